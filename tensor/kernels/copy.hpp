#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gradus::kernels {

/// A pass over this many bytes leaves the first of them in no cache when it reaches the last.
constexpr std::size_t past_caches = std::size_t{32} << 20;

/// Copies bytes to memory that does not overlap. Copies far larger than the caches are split among threads
/// and use streaming stores: an ordinary store would first read its cache line, which is half as much memory
/// traffic again.
void copy_bytes(const std::byte* from, std::byte* to, std::size_t count);

/// Copies n elements to memory that does not overlap, on the caller's thread. Few of them cost no call, which
/// is what a run along a short last axis would mostly be.
template <class T>
inline void copy_run(const T* from, std::int64_t n, T* to) {
  if (n > 32) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
    return;
  }
  // Each of these is a load and a store.
  for (; n >= 4; n -= 4, from += 4, to += 4) std::memcpy(to, from, 4 * sizeof(T));
  if (n >= 2) {
    std::memcpy(to, from, 2 * sizeof(T));
    from += 2;
    to += 2;
    n -= 2;
  }
  if (n == 1) *to = *from;
}

/// One value in n places, which are few.
template <class T>
inline void fill_run(T value, std::int64_t n, T* to) {
  for (; n >= 4; n -= 4, to += 4) {
    for (int i = 0; i < 4; ++i) to[i] = value;
  }
  for (; n > 0; --n) *to++ = value;
}

}  // namespace gradus::kernels
