#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "autograd/module_path.hpp"
#include "autograd/ops/attention.hpp"
#include "nn/linear.hpp"

namespace gradus::nn {

struct MultiHeadAttentionOptions {
  /// Key and value heads; each serves heads / kv_heads query heads (grouped queries, Ainslie et al. 2023).
  /// Without it there are as many as query heads.
  std::optional<std::int64_t> kv_heads = {};
  /// The widths of what keys and values are made of, for cross-attention; without them the width.
  std::optional<std::int64_t> key_width = {}, value_width = {};
  bool bias = true;
  /// The probability that a weight of attention is dropped in training.
  double dropout = 0;
};

/// Queries, keys and values by heads, (batch, time, heads or kv_heads, head width), as attention takes them
/// with time_first.
struct AttentionHeads {
  Variable q, k, v;
};

/// Multi-head attention (Vaswani et al. 2017, section 3.2.2) over (batch, time, width), with the names,
/// layouts and initial values of PyTorch's nn.MultiheadAttention(batch_first=True): projections of the input
/// to queries, keys and values of `heads` heads, attention in each, and a projection of their results side by
/// side. How keys are hidden is said by AttentionOptions, as {.causal = true} or {.lengths = ...}; its
/// time_first, dropout and rng are the layer's. (PyTorch's boolean masks hide where they are true, a mask
/// here where it is 0.)
///
/// Weights of keys and values of a width of their own stand apart, as in PyTorch: then q_proj_weight,
/// k_proj_weight and v_proj_weight take the place of in_proj_weight.
struct MultiHeadAttention {
  Parameter in_proj_weight;                               // (width + 2 kv width, width)
  Parameter q_proj_weight, k_proj_weight, v_proj_weight;  // (width, width), (kv width, key or value width)
  Parameter in_proj_bias;                                 // (width + 2 kv width)
  Linear out_proj;
  std::int64_t width, heads, kv_heads;
  double dropout;

  /// Throws ArgumentError for lengths below 1, heads that do not divide the width, kv_heads that do not
  /// divide the heads, and a dropout outside of [0, 1).
  MultiHeadAttention(Rng& rng, std::int64_t width, std::int64_t heads,
                     const MultiHeadAttentionOptions& options = {});

  /// Self-attention, (batch, time, width) to the same. With a generator, as in training, weights are dropped.
  Variable operator()(const Variable& x, const AttentionOptions& how = {}, Rng* rng = nullptr,
                      Where where = Where::here()) const;
  /// Cross-attention: queries (batch, queries, width), keys and values (batch, keys, key or value width).
  Variable operator()(const Variable& queries, const Variable& keys, const Variable& values,
                      const AttentionOptions& how = {}, Rng* rng = nullptr,
                      Where where = Where::here()) const;

  // Its parts, for what stands between them, as rotary positions or a cache of keys and values.

  AttentionHeads project(const Variable& x, Where where = Where::here()) const;
  AttentionHeads project(const Variable& queries, const Variable& keys, const Variable& values,
                         Where where = Where::here()) const;
  /// The queries alone, and the keys and values of what many queries see.
  Variable project_queries(const Variable& queries, Where where = Where::here()) const;
  std::pair<Variable, Variable> project_memory(const Variable& keys, const Variable& values,
                                               Where where = Where::here()) const;
  /// Attention of the heads and the last projection: (batch, queries, width).
  Variable attend(const AttentionHeads& by_heads, const AttentionOptions& how = {}, Rng* rng = nullptr,
                  Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) {
    visit("in_proj_weight", self.in_proj_weight);
    visit("q_proj_weight", self.q_proj_weight);
    visit("k_proj_weight", self.k_proj_weight);
    visit("v_proj_weight", self.v_proj_weight);
    visit("in_proj_bias", self.in_proj_bias);
    visit("out_proj", self.out_proj);
  }

 private:
  std::int64_t kv_width() const { return width / heads * kv_heads; }
  /// Of queries, keys and values, in this order.
  struct Projections {
    std::vector<Variable> weights, biases;
  };
  Projections projections(Where where) const;
  Variable projected(const Projections& by, const Variable& x, std::size_t part, Where where) const;
  Variable in_heads(const Variable& x, Where where) const;
  AttentionOptions options_of(const AttentionOptions& how, Rng* rng) const;
};

}  // namespace gradus::nn
