#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace gradus {

/// The number of threads the library uses, from then on; 0 means one a core. Results do not depend on it.
/// Call it outside of running ops. Throws ArgumentError for a negative number.
void set_threads(int count);
int threads();

namespace parallel {

/// The one grain policy: a piece of work below this many scalar operations is not worth another thread
/// (handing over costs a few microseconds).
inline constexpr std::int64_t grain = 1 << 15;

namespace detail {
void run(std::int64_t chunks, void (*body)(void* context, std::int64_t chunk), void* context);
}

/// Runs body(chunk) for chunk in 0..chunks-1 on the library's threads; the work of one chunk must not depend
/// on the number of threads. Exceptions of the body reach the caller. One chunk, or one thread, runs here.
template <class Body>
void for_chunks(std::int64_t chunks, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  if (chunks <= 1 || threads() == 1) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
    return;
  }
  detail::run(
      chunks, [](void* context, std::int64_t chunk) { (*static_cast<Plain*>(context))(chunk); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

/// Splits 0..n-1 into ranges and runs body(begin, end) on each. `cost` is the work of one item in scalar
/// operations; the ranges are cut by n and cost alone, at multiples of `align`. Elementwise work only: each
/// item's result must not depend on where the cuts are.
template <class Body>
void for_range(std::int64_t n, std::int64_t cost, Body&& body, std::int64_t align = 1) {
  if (n <= 0) return;
  const std::int64_t per_chunk_wanted = (grain + cost - 1) / (cost > 0 ? cost : 1);
  if (n <= 2 * per_chunk_wanted || threads() == 1) {
    body(std::int64_t{0}, n);
    return;
  }
  // One chunk a thread, static: within a tenth of a spinning barrier on a quiet machine, unharmed on a busy
  // one.
  std::int64_t chunks = n / per_chunk_wanted;
  if (chunks > threads()) chunks = threads();
  const std::int64_t units = (n + align - 1) / align;
  for_chunks(chunks, [&](std::int64_t chunk) {
    const std::int64_t begin = units * chunk / chunks * align;
    const std::int64_t end = units * (chunk + 1) / chunks * align;
    if (begin < n && begin < end) body(begin, end < n ? end : n);
  });
}

}  // namespace parallel
}  // namespace gradus
