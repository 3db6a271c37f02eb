#pragma once

#include <cstdint>

#include "tensor/support/function_ref.hpp"

namespace gradus {

/// Sets the number of threads that the library uses; 0 means one for each core. Results do not depend on it.
/// It must not be called while ops run. Throws ArgumentError for a negative number.
void set_threads(int count);
int threads();

namespace parallel {

/// The grain size, in scalar operations: less work than this is not worth another thread, since handing it
/// over costs a few microseconds.
inline constexpr std::int64_t grain = 1 << 15;

namespace detail {
void run(std::int64_t chunks, FunctionRef<void(std::int64_t)> body);
}

/// Runs body(chunk) for each chunk in 0..chunks-1 on the library's threads. What a chunk computes must not
/// depend on the number of threads. Exceptions thrown by the body reach the caller. A single chunk runs on
/// the calling thread, and so do all chunks when the library uses one thread.
template <class Body>
void for_chunks(std::int64_t chunks, Body&& body) {
  if (chunks <= 1 || threads() == 1) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
    return;
  }
  detail::run(chunks, body);
}

/// Splits 0..n-1 into ranges, at multiples of `align`, and runs body(begin, end) on each. `cost` is the work
/// of one item in scalar operations. The ranges depend on the number of threads, so an item's result must not
/// depend on where they begin and end.
template <class Body>
void for_range(std::int64_t n, std::int64_t cost, Body&& body, std::int64_t align = 1) {
  if (n <= 0) return;
  const std::int64_t per_chunk_wanted = (grain + cost - 1) / (cost > 0 ? cost : 1);
  if (n <= 2 * per_chunk_wanted || threads() == 1) {
    body(std::int64_t{0}, n);
    return;
  }
  // One chunk for each thread, without work stealing: on a quiet machine this takes at most a tenth longer
  // than a spinning barrier, and on a busy one it does not suffer as that does.
  std::int64_t chunks = n / per_chunk_wanted;
  if (chunks > threads()) chunks = threads();
  const std::int64_t units = (n + align - 1) / align;
  for_chunks(chunks, [&](std::int64_t chunk) {
    const std::int64_t begin = units * chunk / chunks * align;
    const std::int64_t end = units * (chunk + 1) / chunks * align;
    if (begin < n && begin < end) body(begin, end < n ? end : n);
  });
}

/// Runs body(i) for each i in 0..n-1, split like that.
template <class Body>
void for_each(std::int64_t n, std::int64_t cost, Body&& body) {
  for_range(n, cost, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(i);
  });
}

/// Splits each of `outer` blocks, `inner` columns wide, in tiles of up to `tile` columns, and runs
/// body(block, column, columns) for each tile; `column` is its first one. `cost` is the work of a column.
template <class Body>
void for_tiles(std::int64_t outer, std::int64_t inner, std::int64_t tile, std::int64_t cost, Body&& body) {
  const std::int64_t tiles = (inner + tile - 1) / tile;
  for_each(outer * tiles, cost * (tile < inner ? tile : inner), [&](std::int64_t i) {
    const std::int64_t column = i % tiles * tile, left = inner - column;
    body(i / tiles, column, left < tile ? left : tile);
  });
}

}  // namespace parallel
}  // namespace gradus
