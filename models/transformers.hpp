#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "autograd/ops/rotary.hpp"
#include "models/networks.hpp"
#include "nn/key_values.hpp"
#include "nn/norm.hpp"

/// Transformers as language models: GPT-2's and Llama's. They read ids (time, batch) as the other networks
/// do, and compute (batch, time, width) inside. Their parts have the names of Hugging Face's files
/// (pretrained.hpp), with the layout of nn::Linear.
///
/// In training each batch is a context of its own, which begins empty; a step may have `context` tokens at
/// the most. Reading, a state keeps keys and values, and goes on past the context as each network says.
namespace gradus::models {

using nn::KeyValues;

/// What a transformer remembers of a text.
struct TransformerState {
  std::vector<KeyValues> layers;
  std::int64_t position = 0;  // that of the next token
  Indices tokens;             // (context so far, batch), where a network reads some of them again
};
TransformerState detach(const TransformerState& state);

/// How tokens, (batch, time), are read.
struct Reading {
  std::int64_t position = 0;  // of the first one
  Indices positions = {};     // of each, (batch, time), where they do not follow one another
  Indices starts = {};        // the first token that each sees, (batch, time), where there is no past
  /// What each layer has read before, to which the tokens are appended: one for all of the batch or, of a
  /// batch of one, `texts` for each layer, each of which goes on with one of the tokens. Empty: nothing.
  std::span<KeyValues> past = {};
  std::int64_t texts = 1;
  Rng* rng = nullptr;  // of dropout, in training
  /// Where given, of a batch of one without a past: gets each layer's weights, (heads, time, time), in f64.
  std::vector<Tensor>* attention = nullptr;

  /// What a layer has read before.
  std::span<KeyValues> past_of(std::size_t layer) const {
    const auto count = static_cast<std::size_t>(texts);
    return past.empty() ? past : past.subspan(layer * count, count);
  }
};

/// What both networks share. They have `read`, the hidden vectors (batch, time, width) of x, (batch, time);
/// `output`, the weight of the output layer; `make_room`, after which the state can take a token more; and
/// `keep`, which notes in a state that x, (time, batch), was read.
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
  /// The next token of each of several texts of any lengths, whose states are of one text each: the features
  /// (1, texts, width), and the states after them. The weights are read once for all.
  Variable advance_each(std::span<const std::int32_t> tokens, std::span<State> states) const;

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
  /// x (batch, time, width), read as layer number `layer` does.
  Variable operator()(const Variable& x, const Reading& how, std::size_t layer) const;
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
  Variable operator()(const Variable& x, const Reading& how, std::size_t layer) const;
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

  Variable read(const Indices& x, const Reading& how) const;
  void make_room(State& state, Rng* rng = nullptr) const;
  static void keep(State& state, const Indices& x);
  Variable output() const { return wte.weight; }

  static void members(auto& self, auto&& visit) {
    visit("wte", self.wte);
    visit("wpe", self.wpe);
    visit("h", self.h);
    visit("ln_f", self.ln_f);
  }
};

/// By how much queries and keys are turned, (time) or (batch, time); and queries for the sinks, where tokens
/// stand so far behind the context that this is less.
struct LlamaAngles {
  RotaryAngles own;
  std::optional<RotaryAngles> for_sinks;
};

/// Attention with rotary positions, and fewer heads of keys and values than of queries where so chosen.
struct LlamaAttention {
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  std::int64_t heads, kv_heads, context, sinks;

  LlamaAttention(Rng& rng, const NetworkOptions& options);
  /// x (batch, time, width) at the positions of the angles, read as layer number `layer` does.
  Variable operator()(const Variable& x, const LlamaAngles& angles, const Reading& how,
                      std::size_t layer) const;
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
  Variable operator()(const Variable& x, const LlamaAngles& angles, const Reading& how,
                      std::size_t layer) const;
  static void members(auto& self, auto&& visit) {
    visit("input_layernorm", self.input_layernorm);
    visit("self_attn", self.self_attn);
    visit("post_attention_layernorm", self.post_attention_layernorm);
    visit("mlp", self.mlp);
  }
};

/// Llama (Touvron et al. 2023): RMS normalisation, rotary positions, SwiGLU, grouped queries; an output
/// layer of its own, or the embeddings. Reading on past the context, each token sees the `context` last ones,
/// itself included; with `sinks` (Xiao et al. 2024, arXiv 2309.17453) the first `sinks` tokens of the text
/// and the context - sinks last ones. Positions are those of the paper, places in what is seen and not in the
/// text: a token beyond the context stands at place context - 1, those before it in order down to `sinks`,
/// and the sinks at 0 to sinks - 1, so that no distance is longer than those of training. (Without sinks the
/// two are the same, as rotary positions count by distances.)
struct LlamaNetwork : Transformer<LlamaNetwork> {
  nn::Embedding embed_tokens;  // (vocab, width)
  std::vector<LlamaBlock> layers;
  nn::RmsNorm norm;
  std::optional<nn::Linear> lm_head;  // (vocab, width); without one the embeddings

  /// Throws as GptNetwork, and for key heads that do not divide the heads, an odd width of a head, or sinks
  /// that leave no room in the context.
  LlamaNetwork(Rng& rng, const NetworkOptions& chosen);
  static double fewest_parameters(const NetworkOptions& options);
  std::pair<Variable, State> features(const Indices& x, const State& state, Rng* rng = nullptr) const;

  Variable read(const Indices& x, const Reading& how) const;
  LlamaAngles angles_of(std::int64_t time, const Reading& how, Dtype dtype) const;
  void make_room(State& /*state*/) const {}
  static void keep(State& state, const Indices& x) { state.position += x.dim(0); }
  Variable output() const { return lm_head ? lm_head->effective_weight() : Variable(embed_tokens.weight); }

  static void members(auto& self, auto&& visit) {
    visit("embed_tokens", self.embed_tokens);
    visit("layers", self.layers);
    visit("norm", self.norm);
    visit("lm_head", self.lm_head);
  }
};

}  // namespace gradus::models
