#pragma once

#include "autograd/ops/elementwise.hpp"
#include "nn/lstm.hpp"
#include "nn/norm.hpp"
#include "nn/rnn.hpp"

/// Recurrent layers with layer normalisation inside of the step (Ba, Kiros and Hinton 2016), in plain ops,
/// without fused forms. LN is LayerNorm over all gates of a row; its gains and biases are the cell's weights,
/// norm_ih_weight, norm_ih_bias and so on, and take the place of bias_ih and bias_hh.
namespace gradus::nn {

namespace detail {

/// The two norms of the pre-activations that all have, one of W_ih x and one of W_hh h.
struct NormalisedCell : RecurrentCell {
  static constexpr bool biased = false;
  LayerNormOptions options;
  LayerNorm norm_ih{1}, norm_hh{1};  // (gates * width)

  explicit NormalisedCell(LayerNormOptions chosen) : options(chosen) {}
  void make(std::int64_t width) {
    norm_ih = LayerNorm(width, options);
    norm_hh = LayerNorm(width, options);
  }
  static void members(auto& self, auto&& visit) {
    visit("norm_ih_weight", self.norm_ih.weight);
    visit("norm_ih_bias", self.norm_ih.bias);
    visit("norm_hh_weight", self.norm_hh.weight);
    visit("norm_hh_bias", self.norm_hh.bias);
  }
};

}  // namespace detail

/// See NormLstm.
struct NormLstmCell : detail::NormalisedCell {
  using State = LstmState;
  static constexpr int gates = 4;
  static constexpr int forget_gate = 1;
  LayerNorm norm_c{1};  // (width)

  NormLstmCell(LayerNormOptions chosen = {}) : NormalisedCell(chosen) {}
  void initialize(Rng&, std::int64_t width) {
    make(gates * width);
    norm_c = LayerNorm(width, options);
  }
  State step(const Variable& from_x, const Variable& from_h, const State& before) const {
    const std::vector<Variable> gate = split(norm_ih(from_x) + norm_hh(from_h), gates, 1);
    const Variable c = sigmoid(gate[1]) * before.c + sigmoid(gate[0]) * tanh(gate[2]);
    return {sigmoid(gate[3]) * tanh(norm_c(c)), c};
  }
  static void members(auto& self, auto&& visit) {
    NormalisedCell::members(self, visit);
    visit("norm_c_weight", self.norm_c.weight);
    visit("norm_c_bias", self.norm_c.bias);
  }
};

/// The LSTM of the supplement of Ba et al.:
///
///   (i, f, C~, o) = LN(W_ih x_t) + LN(W_hh h_{t-1}),   of which sigmoid or tanh as Lstm
///   C_t = f * C_{t-1} + i * C~
///   h_t = o * tanh(LN(C_t))
struct NormLstm : Recurrent<NormLstm, NormLstmCell> {
  using Recurrent::Recurrent;
};

/// See NormGru.
struct NormGruCell : detail::NormalisedCell {
  using State = HiddenState;
  static constexpr int gates = 3;
  LayerNorm norm_in{1}, norm_hn{1};  // (width)

  NormGruCell(LayerNormOptions chosen = {}) : NormalisedCell(chosen) {}
  void initialize(Rng&, std::int64_t width) {
    make(2 * width);
    norm_in = LayerNorm(width, options);
    norm_hn = LayerNorm(width, options);
  }
  State step(const Variable& from_x, const Variable& from_h, const State& before) const {
    const std::int64_t width = before.h.dim(1);
    const std::vector<Variable> x = split(from_x, {2 * width, width}, 1),
                                h = split(from_h, {2 * width, width}, 1);
    const std::vector<Variable> gate = split(sigmoid(norm_ih(x[0]) + norm_hh(h[0])), 2, 1);
    const Variable n = tanh(norm_in(x[1]) + gate[0] * norm_hn(h[1]));
    return {(1 - gate[1]) * n + gate[1] * before.h};
  }
  static void members(auto& self, auto&& visit) {
    NormalisedCell::members(self, visit);
    visit("norm_in_weight", self.norm_in.weight);
    visit("norm_in_bias", self.norm_in.bias);
    visit("norm_hn_weight", self.norm_hn.weight);
    visit("norm_hn_bias", self.norm_hn.bias);
  }
};

/// The GRU of the supplement of Ba et al., with z as in Gru:
///
///   (r, z) = sigmoid(LN(W_ih x_t) + LN(W_hh h_{t-1}))
///   n = tanh(LN(W_in x_t) + r * LN(W_hn h_{t-1}))
///   h_t = (1 - z) * n + z * h_{t-1}
struct NormGru : Recurrent<NormGru, NormGruCell> {
  using Recurrent::Recurrent;
};

/// See NormRnn.
struct NormRnnCell : RecurrentCell {
  using State = HiddenState;
  static constexpr int gates = 1;
  static constexpr bool biased = false;
  Activation activation;
  LayerNormOptions options;
  LayerNorm norm{1};  // (width)

  NormRnnCell(Activation f = Activation::tanh, LayerNormOptions chosen = {})
      : activation(f), options(chosen) {}
  void initialize(Rng&, std::int64_t width) { norm = LayerNorm(width, options); }
  State step(const Variable& from_x, const Variable& from_h, const State&) const {
    const Variable sum = norm(from_x + from_h);
    return {activation == Activation::tanh ? tanh(sum) : relu(sum)};
  }
  static void members(auto& self, auto&& visit) {
    visit("norm_weight", self.norm.weight);
    visit("norm_bias", self.norm.bias);
  }
};

/// The simple recurrent network of Ba et al., eq. 4: h_t = f(LN(W_hh h_{t-1} + W_ih x_t)).
struct NormRnn : Recurrent<NormRnn, NormRnnCell> {
  using Recurrent::Recurrent;
};

}  // namespace gradus::nn
