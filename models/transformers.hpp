#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "autograd/ops/rotary.hpp"
#include "models/key_values.hpp"
#include "models/networks.hpp"
#include "nn/norm.hpp"

/// Transformers as language models: GPT-2's and Llama's. They read ids (time, batch) as the other networks
/// do, and compute (batch, time, width) inside. Their parts have the names of Hugging Face's files
/// (pretrained.hpp), with the layout of nn::Linear.
///
/// In training each batch is a context of its own, which begins empty; a step may have `context` tokens at
/// the most. Reading, a state keeps keys and values, and goes on past the context as each network says.
namespace gradus::models {

/// What a transformer remembers of a text.
struct TransformerState {
  std::vector<KeyValues> layers;
  std::int64_t position = 0;  // that of the next token
  Indices tokens;             // (context so far, batch), where a network reads some of them again
};
TransformerState detach(const TransformerState& state);

/// What both networks share. They have `read`, the hidden vectors (batch, time, width) of x, (batch, time),
/// at positions from `position` on, behind the past, to which x is appended where it is given; and `output`,
/// the weight of the output layer.
template <class Network>
struct Transformer : TwoPartNetwork<Network> {
  using State = TransformerState;
  static constexpr bool carries_state = false;
  NetworkOptions options;

  explicit Transformer(const NetworkOptions& chosen) : options(chosen) {}
  State start(std::int64_t batch) const;
  Variable logits(const Variable& features, Rng* rng = nullptr) const;
  /// The mean cross entropy of targets y, (time, batch), without logits of all of them at once. The state
  /// after it is a beginning. Throws ShapeError for more than `context` tokens.
  std::pair<Variable, State> loss(const Indices& x, const Indices& y, const State& state,
                                  Rng* rng = nullptr) const;

 private:
  const Network& self() const { return static_cast<const Network&>(*this); }
};

/// One head of queries, keys and values per `width / heads` columns, in one product.
struct GptAttention {
  nn::Linear c_attn;  // (3 * width, width): queries, keys, values
  nn::Linear c_proj;  // (width, width)
  std::int64_t heads;
  double dropout;

  GptAttention(Rng& rng, const NetworkOptions& options);
  /// x (batch, time, width), behind what `past` holds and, where it is given, is appended to.
  Variable operator()(const Variable& x, KeyValues* past, Rng* rng) const;
  static void members(auto& self, auto&& visit) {
    visit("c_attn", self.c_attn);
    visit("c_proj", self.c_proj);
  }
};

struct GptMlp {
  nn::Linear c_fc, c_proj;  // (4 * width, width), (width, 4 * width)

  GptMlp(Rng& rng, const NetworkOptions& options);
  Variable operator()(const Variable& x) const;
  static void members(auto& self, auto&& visit) {
    visit("c_fc", self.c_fc);
    visit("c_proj", self.c_proj);
  }
};

struct GptBlock {
  nn::LayerNorm ln_1;
  GptAttention attn;
  nn::LayerNorm ln_2;
  GptMlp mlp;
  double dropout;

  GptBlock(Rng& rng, const NetworkOptions& options);
  Variable operator()(const Variable& x, KeyValues* past, Rng* rng) const;
  static void members(auto& self, auto&& visit) {
    visit("ln_1", self.ln_1);
    visit("attn", self.attn);
    visit("ln_2", self.ln_2);
    visit("mlp", self.mlp);
  }
};

/// GPT-2 (Radford et al. 2019): learned positions, layer normalisation before each part, GELU by tanh, and
/// the embeddings as the output layer. A text longer than the context is read on from its last half, at the
/// first positions, as there are no others.
struct GptNetwork : Transformer<GptNetwork> {
  nn::Embedding wte, wpe;  // (vocab, width), (context, width)
  std::vector<GptBlock> h;
  nn::LayerNorm ln_f;

  /// Throws ArgumentError for a vocabulary below 2, other sizes below 1, or heads that do not divide the
  /// width.
  GptNetwork(Rng& rng, const NetworkOptions& chosen);
  static double fewest_parameters(const NetworkOptions& options);
  /// (time, batch, width). Throws ShapeError in training for more than `context` tokens at once.
  std::pair<Variable, State> features(const Indices& x, const State& state, Rng* rng = nullptr) const;

  Variable read(const Indices& x, std::int64_t position, std::vector<KeyValues>* past, Rng* rng) const;
  Variable output() const { return wte.weight; }

  static void members(auto& self, auto&& visit) {
    visit("wte", self.wte);
    visit("wpe", self.wpe);
    visit("h", self.h);
    visit("ln_f", self.ln_f);
  }
};

/// Attention with rotary positions, and fewer heads of keys and values than of queries where so chosen.
struct LlamaAttention {
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  std::int64_t heads, kv_heads, context;

  LlamaAttention(Rng& rng, const NetworkOptions& options);
  /// x (batch, time, width) at the positions of the angles.
  Variable operator()(const Variable& x, const RotaryAngles& angles, KeyValues* past) const;
  static void members(auto& self, auto&& visit) {
    visit("q_proj", self.q_proj);
    visit("k_proj", self.k_proj);
    visit("v_proj", self.v_proj);
    visit("o_proj", self.o_proj);
  }
};

/// SwiGLU (Shazeer 2020): down(silu(gate(x)) * up(x)).
struct LlamaMlp {
  nn::Linear gate_proj, up_proj, down_proj;

  LlamaMlp(Rng& rng, const NetworkOptions& options);
  Variable operator()(const Variable& x) const;
  static void members(auto& self, auto&& visit) {
    visit("gate_proj", self.gate_proj);
    visit("up_proj", self.up_proj);
    visit("down_proj", self.down_proj);
  }
};

struct LlamaBlock {
  nn::RmsNorm input_layernorm;
  LlamaAttention self_attn;
  nn::RmsNorm post_attention_layernorm;
  LlamaMlp mlp;
  double dropout;

  LlamaBlock(Rng& rng, const NetworkOptions& options);
  Variable operator()(const Variable& x, const RotaryAngles& angles, KeyValues* past, Rng* rng) const;
  static void members(auto& self, auto&& visit) {
    visit("input_layernorm", self.input_layernorm);
    visit("self_attn", self.self_attn);
    visit("post_attention_layernorm", self.post_attention_layernorm);
    visit("mlp", self.mlp);
  }
};

/// Llama (Touvron et al. 2023): RMS normalisation, rotary positions, SwiGLU, grouped queries; an output
/// layer of its own, or the embeddings. Reading on past the context, each token sees the `context` last ones,
/// itself included.
struct LlamaNetwork : Transformer<LlamaNetwork> {
  nn::Embedding embed_tokens;  // (vocab, width)
  std::vector<LlamaBlock> layers;
  nn::RmsNorm norm;
  std::optional<nn::Linear> lm_head;  // (vocab, width); without one the embeddings

  /// Throws as GptNetwork, and for key heads that do not divide the heads or an odd width of a head.
  LlamaNetwork(Rng& rng, const NetworkOptions& chosen);
  static double fewest_parameters(const NetworkOptions& options);
  std::pair<Variable, State> features(const Indices& x, const State& state, Rng* rng = nullptr) const;

  Variable read(const Indices& x, std::int64_t position, std::vector<KeyValues>* past, Rng* rng) const;
  Variable output() const { return lm_head ? lm_head->effective_weight() : Variable(embed_tokens.weight); }

  static void members(auto& self, auto&& visit) {
    visit("embed_tokens", self.embed_tokens);
    visit("layers", self.layers);
    visit("norm", self.norm);
    visit("lm_head", self.lm_head);
  }
};

}  // namespace gradus::models
