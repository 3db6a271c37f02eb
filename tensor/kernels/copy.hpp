#pragma once

#include <cstddef>

namespace gradus::kernels {

/// Bytes of which those that come first are no longer in a cache when the last have been read or written.
constexpr std::size_t past_caches = std::size_t{32} << 20;

/// Copies bytes to memory that does not overlap. What is far larger than the caches goes past them, on all
/// threads: an ordinary store reads its line first, which is half as much memory again to move.
void copy_bytes(const std::byte* from, std::byte* to, std::size_t count);

}  // namespace gradus::kernels
