#pragma once

#include <cstdint>
#include <optional>

#include "autograd/variable.hpp"
#include "tensor/indices.hpp"
#include "tensor/random.hpp"

/// Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, section 3.2.1).
namespace gradus {

/// Which keys a query sees, and what its scores are. A key is seen that every option shows.
///
/// Options that speak of places: key j stands at place j, query i at place offset + i. With the default
/// offset the last query stands at the place of the last key, as queries behind a cache of keys do.
/// (PyTorch's is_causal has the first query at the place of the first key, which is .offset = 0.)
struct AttentionOptions {
  /// What the products of queries and keys are multiplied by; without one 1 / sqrt(width).
  std::optional<double> scale = {};
  /// No query sees a key after its own place.
  bool causal = false;
  /// The place of the first query; without one it is keys - queries. It may be negative.
  std::optional<std::int64_t> offset = {};
  /// The same for each entry of a batch: (batch).
  Indices offsets = {};
  /// A query sees keys less than `window` places away, so with `causal` itself and the window - 1 before; 0
  /// for all (Beltagy et al. 2020; as Mistral's sliding window).
  std::int64_t window = 0;
  /// The first `sinks` keys are within every window (Xiao et al. 2024, "attention sinks").
  std::int64_t sinks = 0;
  /// How many keys an entry of the batch has, from 0 to all: (batch). What stands behind them is not read.
  Indices lengths = {};
  /// The documents that are packed in an entry, by any ids: (batch, keys). A query sees the keys of its own
  /// document alone: that of the key at its place, or of query_segments, (batch, queries), where given.
  Indices segments = {}, query_segments = {};
  /// The first key that each query may see, such as that of its document where several are packed one behind
  /// another: (batch, queries), from 0 to the number of keys, and not less from one query to the next. Blocks
  /// that are before it for all their queries take no time, in the gradient neither.
  Indices starts = {};
  /// A key is seen where this is not 0. Broadcasts to (batch, heads, queries, keys).
  Tensor mask = {};
  /// Added to the scaled products, and differentiated; -infinity hides a key. Broadcasts likewise. Its
  /// gradient takes memory for all scores.
  Variable bias = {};
  /// ALiBi: slopes[h] times the distance of places is subtracted from the scores of head h (Press et al.
  /// 2022): (heads). See alibi_slopes.
  Tensor slopes = {};
  /// With a generator each probability is set to 0 with this one, and else multiplied by 1 / (1 - dropout).
  double dropout = 0;
  Rng* rng = nullptr;
  /// The operands and the result are (batch, time, heads, width), as a projection gives them.
  bool time_first = false;
};

/// softmax(scale q k^T + bias) v for each head, over the keys that a query sees.
///
///   q (batch, heads, queries, width)
///   k (batch, kv_heads, keys, width)
///   v (batch, kv_heads, keys, value width)   to   (batch, heads, queries, value width)
///
/// heads is a multiple of kv_heads: each key and value head serves heads / kv_heads query heads in a row
/// (grouped queries, Ainslie et al. 2023). A query that sees no key has 0 as its result, as in PyTorch, and
/// gives no gradient. NaN passes on; that of a hidden key may do so too, as 0 times NaN is NaN, unless the
/// key stands behind the `lengths`.
///
/// One node. It goes over blocks of keys with an online softmax, and its gradient computes the scores again
/// (Dao et al. 2022, arXiv 2205.14135), so memory grows with queries + keys and not with their product;
/// blocks that are hidden take no time. Derivatives of second and higher order are taken of the plain form,
/// which keeps all scores.
///
/// Throws ShapeError for shapes, lengths and segments that do not fit, DtypeError for operands of different
/// dtypes, and ArgumentError for other options out of range.
Variable attention(const Variable& q, const Variable& k, const Variable& v,
                   const AttentionOptions& options = {}, Where where = Where::here());

/// The same of queries, keys and values side by side, (batch, time, (heads + 2 kv_heads) width), as one
/// projection gives them, to (batch, time, heads width): none of them is copied. options.time_first is of no
/// account. Throws ShapeError where the last axis is not of such a length.
Variable packed_attention(const Variable& qkv, std::int64_t heads, std::int64_t kv_heads,
                          const AttentionOptions& options = {}, Where where = Where::here());

/// The slopes of Press et al. (2022): 2^(-8 i / heads) for i = 1..heads where heads is a power of two; else
/// those of the next smaller power and, of twice that, every other one.
Tensor alibi_slopes(std::int64_t heads, Dtype dtype = Dtype::f32);

}  // namespace gradus
