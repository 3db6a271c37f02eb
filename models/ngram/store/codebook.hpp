#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <vector>

#include "tensor/support/function_ref.hpp"

namespace gradus::models::ngram {

/// Gives the i-th of `count` numbers.
using Numbers = FunctionRef<float(std::uint64_t)>;

/// A sorted list of floats. Numbers are stored as indices into it.
struct Codebook {
  std::vector<float> floats;  // empty: the numbers are stored as they are

  int bits() const;
  /// The index of the float nearest to x.
  std::uint32_t code(float x) const;
};

/// A codebook of all different numbers, if this takes less room than storing each in `float_bits` bits;
/// otherwise an empty one. Memory is bounded: for more than a million different numbers the codebook is
/// empty.
Codebook exact_codebook(std::uint64_t count, Numbers numbers, int float_bits);

/// A codebook of at most 2^bits floats: the means of bins that have equally many numbers (Federico and
/// Bertoldi 2006, "How many bits are needed to store probabilities for phrase-based translation?"), then
/// improved by a few rounds in which each is moved to the mean of the numbers nearest to it (Lloyd 1982).
/// Zero and -infinity, if they occur, are represented exactly. When there are very many numbers, an even
/// sample is used.
Codebook quantized_codebook(std::uint64_t count, Numbers numbers, int bits);

}  // namespace gradus::models::ngram
