#pragma once

#include <cstdint>

#include "tensor/indices.hpp"
#include "tensor/random.hpp"

namespace gradus {

/// 0..n-1 in random order, each order equally likely (Fisher and Yates; Durstenfeld, 1964). With index_select
/// or gather_rows it shuffles. Throws ArgumentError for a negative n and for more than 2^31-1.
Indices permutation(std::int64_t n, Rng& rng);

}  // namespace gradus
