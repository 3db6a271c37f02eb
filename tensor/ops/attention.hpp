#pragma once

// Internal: attention on tensors, for autograd/ops/attention.cpp.

#include <array>
#include <cstdint>

#include "tensor/indices.hpp"
#include "tensor/random.hpp"
#include "tensor/tensor.hpp"

namespace gradus::detail {

/// What is known of a call of attention once its operands are checked.
struct AttentionPlan {
  std::int64_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0, width = 0, value_width = 0;
  /// Operands and result are (batch, time, heads, width), and not (batch, heads, time, width).
  bool time_first = false;
  /// Queries, keys and values are side by side in one tensor, (batch, time, (heads + 2 kv_heads) width),
  /// which stands for each of the three; the result is (batch, time, heads width).
  bool packed = false;
  double scale = 1;
  bool causal = false;
  std::int64_t window = 0, sinks = 0;        // a window of 0 is none
  Indices offsets = {};                      // (batch): the places of the first queries
  Indices lengths = {};                      // (batch), or without elements for none
  Indices starts = {};                       // (batch, queries), or without elements for none
  Indices q_segments = {}, k_segments = {};  // (batch, queries), (batch, keys), or without elements for none
  Tensor mask = {};                          // broadcasts to (batch, heads, queries, keys), or undefined
  Tensor slopes = {};                        // (heads), or undefined
  double keep = 1;                           // the probability that dropout keeps one
  Rng::State random = {};

  Shape scores() const { return {batch, heads, queries, keys}; }
  /// Of an operand of so many heads, rows and columns, that is not packed.
  Shape operand(std::int64_t of_heads, std::int64_t rows, std::int64_t cols) const {
    return time_first ? Shape{batch, rows, of_heads, cols} : Shape{batch, of_heads, rows, cols};
  }
};

struct AttentionResult {
  Tensor out = {};          // as q, with the values' width
  Tensor largest, inverse;  // (batch, heads, queries): see kernels/attention.hpp
};
/// bias broadcasts to the scores, or is undefined.
AttentionResult attention(const AttentionPlan& plan, const Tensor& q, const Tensor& k, const Tensor& v,
                          const Tensor& bias);
/// The gradients by q, k, v and the bias where they are wanted, for g that of the result. Packed ones are the
/// first.
std::array<Tensor, 4> attention_gradients(const AttentionPlan& plan, const AttentionResult& result,
                                          const Tensor& g, const Tensor& q, const Tensor& k, const Tensor& v,
                                          const Tensor& bias, const std::array<bool, 4>& wanted);

/// How many places of its generator dropout takes for each row of so many keys.
std::int64_t attention_dropout_places(std::int64_t keys);

// For the form in plain ops, all (batch, heads, queries, keys):

/// 1 where a query sees a key, else 0; not where the bias is -infinity either.
Tensor attention_sight(const AttentionPlan& plan, const Tensor& bias, Dtype dtype);
/// The distances between queries and keys times the slopes, which are defined.
Tensor attention_distances(const AttentionPlan& plan, Dtype dtype);
/// What dropout multiplies the probabilities by.
Tensor attention_dropout(const AttentionPlan& plan, Dtype dtype);

}  // namespace gradus::detail
