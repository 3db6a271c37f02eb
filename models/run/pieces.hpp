#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/batches.hpp"

namespace gradus::models {

/// The streams of one of so many equal pieces of a batch.
Batch columns(const Batch& batch, std::int64_t piece, std::int64_t pieces);

/// A tensor's elements as bytes, and back from those that begin at `at`, which moves behind them. Throws
/// DataError where there are too few.
std::string bytes_of_values(const Tensor& x);
void set_values(Tensor& x, std::string_view bytes, std::size_t& at);

}  // namespace gradus::models
