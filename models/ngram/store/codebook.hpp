#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/support/function_ref.hpp"

namespace gradus::models::ngram {

/// The float of the i-th of `count` numbers.
using Numbers = FunctionRef<float(std::uint64_t)>;

/// Floats that numbers are replaced by the places of, sorted.
struct Codebook {
  std::vector<float> floats;  // none: the numbers are kept as they are

  int bits() const;
  /// The place of the float nearest to x; of x itself, where it is there.
  std::uint32_t code(float x) const;
};

/// All the numbers there are, if keeping them once and their places takes less room than keeping each, of
/// `float_bits` bits. Chosen with bounded memory: of more than a million different numbers, none is made.
Codebook exact_codebook(std::uint64_t count, Numbers numbers, int float_bits);

/// 2^bits floats or fewer: the means of bins of equally many numbers (Federico and Bertoldi 2006, "How many
/// bits are needed to store probabilities for phrase-based translation?"), then moved to the means of the
/// numbers nearest to each (Lloyd 1982), a few times. Zero and -infinity, wherever they stand, are kept as
/// they are. Of very many other numbers, some at equal steps stand for all.
Codebook quantized_codebook(std::uint64_t count, Numbers numbers, int bits);

}  // namespace gradus::models::ngram
