#pragma once

#include <cmath>

#include "autograd/ops/elementwise.hpp"
#include "nn/init.hpp"
#include "nn/lstm.hpp"

namespace gradus::nn {

/// See PeepholeLstm.
struct PeepholeLstmCell : RecurrentCell {
  using State = LstmState;
  static constexpr int gates = 4;
  static constexpr int forget_gate = 1;
  Parameter weight_ci, weight_cf, weight_co;  // (width)

  void initialize(Rng& rng, std::int64_t width) {
    const double bound = 1 / std::sqrt(static_cast<double>(width));
    for (Parameter* weight : {&weight_ci, &weight_cf, &weight_co})
      *weight = Parameter(uniform(rng, {width}, bound));
  }
  State step(const Variable& from_x, const Variable& from_h, const State& before) const {
    const std::vector<Variable> gate = split(from_x + from_h, gates, 1);
    const Variable i = sigmoid(gate[0] + weight_ci * before.c), f = sigmoid(gate[1] + weight_cf * before.c);
    const Variable c = f * before.c + i * tanh(gate[2]);
    return {sigmoid(gate[3] + weight_co * c) * tanh(c), c};
  }
  static void members(auto& self, auto&& visit) {
    visit("weight_ci", self.weight_ci);
    visit("weight_cf", self.weight_cf);
    visit("weight_co", self.weight_co);
  }
};

/// The LSTM whose gates also see the cell, through a weight a unit (Gers and Schmidhuber 2000, "Recurrent
/// nets that time and count"): the input and the forget gate see C_{t-1}, the output gate C_t.
///
///   i_t = sigmoid(W_i [h_{t-1}, x_t] + w_ci * C_{t-1} + b_i)
///   f_t = sigmoid(W_f [h_{t-1}, x_t] + w_cf * C_{t-1} + b_f)
///   o_t = sigmoid(W_o [h_{t-1}, x_t] + w_co * C_t + b_o)
///
/// The rest is Lstm's. In plain ops, without a fused form.
struct PeepholeLstm : Recurrent<PeepholeLstm, PeepholeLstmCell> {
  using Recurrent::Recurrent;
};

}  // namespace gradus::nn
