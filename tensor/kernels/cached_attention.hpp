#pragma once

#include <cstdint>
#include <span>

#include "tensor/kernels/attention.hpp"

/// Attention of a few queries over keys and values that lie in pieces, as a cache keeps them. They are read
/// where they lie: a token that is generated reads each once. T is float or double.
namespace gradus::kernels {

/// The keys and values of `count` places in a row: those of a head are (count, width).
template <class T>
struct CachedPiece {
  const T *keys, *values;
  std::int64_t batch_step, head_step, count;
};

template <class T>
struct CachedAttention {
  std::int64_t batch, heads, kv_heads, queries, width;
  HeadMatrices<const T> q;
  std::span<const CachedPiece<T>> pieces;  // the queries stand at the last places
  T scale;
  std::int64_t window = 0, sinks = 0;  // a query sees the last `window` keys, its own included, and the
                                       // first `sinks`; 0: all up to its own
};
/// As `attention`, causal. The bits do not depend on the number of threads.
template <class T>
void cached_attention(const CachedAttention<T>& a, const HeadMatrices<T>& out);

}  // namespace gradus::kernels
