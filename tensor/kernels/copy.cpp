#include "tensor/kernels/copy.hpp"

#include <cstdint>
#include <cstring>

#include "tensor/support/parallel.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace gradus::kernels {

namespace {

/// count is a multiple of 64, and `to` is aligned to 64 bytes.
void copy_lines(const std::byte* from, std::byte* to, std::size_t count) {
#if defined(__SSE2__)
  for (std::size_t at = 0; at < count; at += 64) {
    const auto* x = reinterpret_cast<const __m128i*>(from + at);
    auto* y = reinterpret_cast<__m128i*>(to + at);
    const __m128i a = _mm_loadu_si128(x), b = _mm_loadu_si128(x + 1), c = _mm_loadu_si128(x + 2),
                  d = _mm_loadu_si128(x + 3);
    _mm_stream_si128(y, a);
    _mm_stream_si128(y + 1, b);
    _mm_stream_si128(y + 2, c);
    _mm_stream_si128(y + 3, d);
  }
  _mm_sfence();  // streaming stores are not ordered with the store that tells another thread
#else
  std::memcpy(to, from, count);
#endif
}

}  // namespace

void copy_bytes(const std::byte* from, std::byte* to, std::size_t count) {
  if (count < past_caches) {
    if (count > 0) std::memcpy(to, from, count);
    return;
  }
  const std::size_t head = (64 - reinterpret_cast<std::uintptr_t>(to) % 64) % 64;
  const std::size_t lines = (count - head) / 64, done = head + lines * 64;
  std::memcpy(to, from, head);
  std::memcpy(to + done, from + done, count - done);
  parallel::for_range(static_cast<std::int64_t>(lines), 64, [&](std::int64_t begin, std::int64_t end) {
    const auto at = head + static_cast<std::size_t>(begin) * 64;
    copy_lines(from + at, to + at, static_cast<std::size_t>(end - begin) * 64);
  });
}

}  // namespace gradus::kernels
