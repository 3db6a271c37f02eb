#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "nn/attention.hpp"
#include "nn/key_values.hpp"
#include "nn/norm.hpp"

/// The encoder and decoder of Vaswani et al. (2017, "Attention Is All You Need", arXiv 1706.03762), over
/// (batch, time, width), with the parts, names and defaults of PyTorch's nn.Transformer and its layers
/// (batch_first=True), so that their weights load. What stands before and behind is the caller's: embeddings
/// times sqrt(width), `sinusoidal_positions` (tensor/ops/rotary.hpp), and the output layer.
///
/// Which keys are seen is said by AttentionOptions, as {.causal = true} or {.lengths = ...}: the results of
/// queries past a sequence's end are computed like others, and of no account. A generator turns dropout on.
namespace gradus::nn {

/// Of the layers between the two products, exact where there are forms of it.
enum class TransformerActivation { relu, gelu };

struct TransformerOptions {
  /// The width between the two products of the feed-forward part.
  std::int64_t inner = 2048;
  /// Of what each part adds, of the feed-forward part's inner vectors, and of the weights of attention.
  double dropout = 0.1;
  TransformerActivation activation = TransformerActivation::relu;
  /// Normalises what each part reads (Xiong et al. 2020), and not, as the paper, the sum with what it adds.
  bool norm_first = false;
  double eps = 1e-5;
  bool bias = true;
};

/// Self-attention and a feed-forward part, each with a residual and a normalisation:
///   x = norm1(x + self_attn(x)),  x = norm2(x + linear2(activation(linear1(x))))
/// or with norm_first
///   x = x + self_attn(norm1(x)),  x = x + linear2(activation(linear1(norm2(x))))
struct TransformerEncoderLayer {
  MultiHeadAttention self_attn;
  Linear linear1, linear2;  // (inner, width), (width, inner)
  LayerNorm norm1, norm2;
  TransformerOptions options;

  /// Throws ArgumentError as MultiHeadAttention, and for an inner width below 1.
  TransformerEncoderLayer(Rng& rng, std::int64_t width, std::int64_t heads,
                          const TransformerOptions& chosen = {});

  /// (batch, time, width) to the same.
  Variable operator()(const Variable& x, const AttentionOptions& how = {}, Rng* rng = nullptr,
                      Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) {
    visit("self_attn", self.self_attn);
    visit("linear1", self.linear1);
    visit("linear2", self.linear2);
    visit("norm1", self.norm1);
    visit("norm2", self.norm2);
  }
};

/// What a decoder layer keeps of what it has read: the keys and values of its own elements, and those of the
/// memory.
struct TransformerDecoderLayerState {
  KeyValues own;
  Variable memory_keys, memory_values;  // (batch, source time, heads, width of a head)
};
/// A value: what is read behind one copy another does not see, and what both have read they share.
struct TransformerDecoderState {
  std::vector<TransformerDecoderLayerState> layers;
  AttentionOptions how_memory;
};

/// The same with attention to an encoder's result, the memory, between the two.
struct TransformerDecoderLayer {
  MultiHeadAttention self_attn, multihead_attn;
  Linear linear1, linear2;
  LayerNorm norm1, norm2, norm3;
  TransformerOptions options;

  TransformerDecoderLayer(Rng& rng, std::int64_t width, std::int64_t heads,
                          const TransformerOptions& chosen = {});

  /// x (batch, time, width), memory (batch, source time, width), to the shape of x. `how` is of the attention
  /// to x itself, `how_memory` of that to the memory.
  Variable operator()(const Variable& x, const Variable& memory,
                      const AttentionOptions& how = {.causal = true}, const AttentionOptions& how_memory = {},
                      Rng* rng = nullptr, Where where = Where::here()) const;
  /// As of TransformerDecoder.
  TransformerDecoderLayerState start(const Variable& memory, Where where = Where::here()) const;
  Variable step(const Variable& x, TransformerDecoderLayerState& state,
                const AttentionOptions& how_memory = {}, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) {
    visit("self_attn", self.self_attn);
    visit("multihead_attn", self.multihead_attn);
    visit("linear1", self.linear1);
    visit("linear2", self.linear2);
    visit("norm1", self.norm1);
    visit("norm2", self.norm2);
    visit("norm3", self.norm3);
  }
};

/// Layers, each reading the one before it, and with `final_norm` a normalisation behind the last. (PyTorch's
/// begins as copies of one layer; here each has values of its own.)
struct TransformerEncoder {
  std::vector<TransformerEncoderLayer> layers;
  std::optional<LayerNorm> norm;

  /// Throws ArgumentError as a layer, and for a number of layers below 1.
  TransformerEncoder(Rng& rng, std::int64_t width, std::int64_t heads, int depth,
                     const TransformerOptions& options = {}, bool final_norm = false);

  Variable operator()(const Variable& x, const AttentionOptions& how = {}, Rng* rng = nullptr,
                      Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) {
    visit("layers", self.layers);
    visit("norm", self.norm);
  }
};

struct TransformerDecoder {
  std::vector<TransformerDecoderLayer> layers;
  std::optional<LayerNorm> norm;

  TransformerDecoder(Rng& rng, std::int64_t width, std::int64_t heads, int depth,
                     const TransformerOptions& options = {}, bool final_norm = false);

  Variable operator()(const Variable& x, const Variable& memory,
                      const AttentionOptions& how = {.causal = true}, const AttentionOptions& how_memory = {},
                      Rng* rng = nullptr, Where where = Where::here()) const;

  // The same element by element, so that writing n of them takes n steps. Keys and values of the memory are
  // computed once, those of each element when it is read. Without dropout.

  /// The state before the first element.
  TransformerDecoderState start(const Variable& memory, const AttentionOptions& how_memory = {},
                                Where where = Where::here()) const;
  /// The next elements, x (batch, time, width), usually one, each of which sees itself and all before it: to
  /// the shape of x, and the state behind them. Throws ShapeError for another batch than the state's.
  std::pair<Variable, TransformerDecoderState> step(const Variable& x, TransformerDecoderState state,
                                                    Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) {
    visit("layers", self.layers);
    visit("norm", self.norm);
  }
};

/// How many elements of each sequence there are, from 0 to all: (batch). Without them, all.
struct TransformerLengths {
  Indices source = {}, target = {};
};

/// Both, each with a normalisation behind its last layer, as PyTorch's nn.Transformer. Matrices are
/// Xavier-uniform at first.
struct Transformer {
  TransformerEncoder encoder;
  TransformerDecoder decoder;

  Transformer(Rng& rng, std::int64_t width = 512, std::int64_t heads = 8, int encoder_layers = 6,
              int decoder_layers = 6, const TransformerOptions& options = {});

  /// source (batch, source time, width), target (batch, time, width), to (batch, time, width). An element of
  /// the target sees itself and those before it, and all of the source.
  Variable operator()(const Variable& source, const Variable& target, const TransformerLengths& lengths = {},
                      Rng* rng = nullptr, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) {
    visit("encoder", self.encoder);
    visit("decoder", self.decoder);
  }
};

}  // namespace gradus::nn
