#pragma once

#include <cstddef>

namespace gradus::kernels {

/// A pass over this many bytes leaves the first of them in no cache when it reaches the last.
constexpr std::size_t past_caches = std::size_t{32} << 20;

/// Copies bytes to memory that does not overlap. Copies far larger than the caches are split among threads
/// and use streaming stores: an ordinary store would first read its cache line, which is half as much memory
/// traffic again.
void copy_bytes(const std::byte* from, std::byte* to, std::size_t count);

}  // namespace gradus::kernels
