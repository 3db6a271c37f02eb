#pragma once

#include <cstdint>

#include "tensor/random.hpp"

/// Scaled dot-product attention over blocks of queries and keys, with an online softmax (Dao et al. 2022,
/// "FlashAttention", arXiv 2205.14135): the scores, (queries, keys), are never kept, and the gradient
/// computes them again. The bits do not depend on the number of threads. T is float or double.
namespace gradus::kernels {

/// The matrices (rows, width) of the heads of a batch, whose rows lie row_step apart. T may be const.
template <class T>
struct HeadMatrices {
  T* data = nullptr;
  std::int64_t batch_step = 0, head_step = 0, row_step = 0;

  T* at(std::int64_t b, std::int64_t h, std::int64_t row) const {
    return data + b * batch_step + h * head_step + row * row_step;
  }
};

/// What broadcasts to (batch, heads, queries, keys): a step is 0 where it has one entry for all.
template <class T>
struct PerScore {
  T* data = nullptr;
  std::int64_t batch_step = 0, head_step = 0, query_step = 0, key_step = 0;

  T* at(std::int64_t b, std::int64_t h, std::int64_t query, std::int64_t key) const {
    return data + b * batch_step + h * head_step + query * query_step + key * key_step;
  }
};

/// The keys that a query sees by its place: first..end-1, and 0..sinks-1.
struct KeyRange {
  std::int64_t first, end, sinks;
};

/// Which keys a query sees by its place among them: query i of entry b stands at offsets[b] + i.
struct Sight {
  std::int64_t keys = 0;
  bool causal = false;                       // none after its own place
  std::int64_t window = 0, sinks = 0;        // none `window` or more away, but for the first `sinks`; or 0
  const std::int32_t* offsets = nullptr;     // (batch)
  const std::int32_t* lengths = nullptr;     // (batch): how many keys there are; or null
  const std::int32_t* starts = nullptr;      // (batch, queries): the first key that is seen, which does not
  std::int64_t queries = 0;                  // fall from one query to the next; or null
  const std::int32_t* q_segments = nullptr;  // (batch, queries) and (batch, keys): only those of its own
  const std::int32_t* k_segments = nullptr;  // segment; or null

  std::int64_t place(std::int64_t b, std::int64_t query) const { return offsets[b] + query; }
  /// None of the three grows smaller from one query to the next, where the range is not empty.
  KeyRange range(std::int64_t b, std::int64_t query) const;
};

template <class T>
struct Attention {
  std::int64_t batch, heads, kv_heads, queries, keys, width, value_width;
  HeadMatrices<const T> q, k, v;
  T scale;
  Sight sight;
  PerScore<const T> mask;     // a query sees a key where this is not 0; or null
  PerScore<const T> bias;     // added to the scores; or null
  const T* slopes = nullptr;  // (heads): what times the distance is subtracted from the scores; or null
  double keep = 1;            // the probability that dropout keeps one
  Rng::State random;          // what it draws from; see dropout_places
};

/// Dropout takes four random words a place: word j % 4 of place row * dropout_places(keys) + j / 4, from the
/// generator's own place on, decides on key j of row (b * heads + h) * queries + i.
inline std::int64_t dropout_places(std::int64_t keys) {
  return (keys + 3) / 4;
}
/// What dropout multiplies the probabilities of the keys first..first+count-1 by.
template <class T>
void dropout_factors(const Attention<T>& a, std::int64_t row, std::int64_t first, std::int64_t count, T* out);

/// out = softmax(scale q k^T + ...) v. Of each row, (batch, heads, queries), what the gradient needs: the
/// largest score, or 0 where that is not finite, and the inverse of the sum of exp(score - largest). A query
/// that sees no key has 0 as its result and its inverse.
template <class T>
void attention(const Attention<T>& a, const HeadMatrices<T>& out, T* largest, T* inverse);

/// Null where one is not wanted; else they hold 0 at first.
template <class T>
struct AttentionGradients {
  HeadMatrices<T> q = {}, k = {}, v = {};
  T* bias = nullptr;        // of each score: (batch, heads, queries, keys)
  bool bias_apart = false;  // the scale comes after the gradients of the scores, as where bias is wanted
};
template <class T>
void attention_backward(const Attention<T>& a, const HeadMatrices<const T>& g,
                        const HeadMatrices<const T>& out, const T* largest, const T* inverse,
                        const AttentionGradients<T>& gradients);

/// Rows of scores, ld apart, of which row r holds those of the keys begin[r]..end[r]-1. There is room for
/// whole registers behind them.
template <class T>
struct ScoreRows {
  T* scores;
  std::int64_t ld, rows, cols;
  const std::int32_t *begin, *end;  // (rows)
};
/// The softmax of rows that come in blocks: the largest score so far, and the sum of exp(score - it).
template <class T>
struct RunningSoftmax {
  T* largest;
  double* total;
  T* factor;  // what is to be multiplied by when the largest has grown
};

/// What each instruction set provides, on the caller's thread.
template <class T>
struct AttentionKernels {
  /// The scores become exp(score - largest), and 0 beyond begin and end.
  virtual void exponentials(const ScoreRows<T>& rows, const RunningSoftmax<T>& running) const = 0;
  /// The scores become probabilities p = exp(score - largest) inverse, and the gradients of the
  /// probabilities, laid out as the scores, p (gradient - delta) scale; 0 beyond begin and end.
  virtual void score_gradients(const ScoreRows<T>& rows, const T* largest, const T* inverse, const T* delta,
                               T scale, T* gradients) const = 0;
};

}  // namespace gradus::kernels
