#pragma once

// Internal: the random words behind Rng, for kernels that draw their own.

#include <cstdint>

#include "tensor/random.hpp"

namespace gradus::detail {

/// Four random words for each of `places` places of the generator's stream from `place` on.
void random_words(const Rng::State& state, std::uint64_t place, std::int64_t places, std::uint32_t* out);

}  // namespace gradus::detail
