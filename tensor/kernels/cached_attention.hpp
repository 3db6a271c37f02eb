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
  HeadMatrices<T> out;
  std::span<const CachedPiece<T>> pieces;  // the queries stand at the last places
  T scale;
  std::int64_t window = 0, sinks = 0;  // a query sees the last `window` keys, its own included, and the
                                       // first `sinks`; 0: all up to its own
  HeadMatrices<const T> sink_q = {};   // what the first `sinks` keys are multiplied by in place of q; or null
};
/// As `attention`, causal, of each of some calls, such as one for each text of a batch, in one parallel
/// region. The bits depend on neither the number of threads nor the other calls.
template <class T>
void cached_attention(std::span<const CachedAttention<T>> calls);

}  // namespace gradus::kernels
