#pragma once

#include "autograd/ops/elementwise.hpp"
#include "nn/recurrent.hpp"

namespace gradus::nn {

/// See Gru.
struct GruCell : RecurrentCell {
  using State = HiddenState;
  static constexpr int gates = 3;
  static constexpr bool separate = true;

  State step(const Variable& from_x, const Variable& from_h, const State& before) const {
    const std::vector<Variable> x = split(from_x, gates, 1), h = split(from_h, gates, 1);
    const Variable r = sigmoid(x[0] + h[0]), z = sigmoid(x[1] + h[1]), n = tanh(x[2] + r * h[2]);
    return {(1 - z) * n + z * before.h};
  }

  static constexpr const char* op = "gru";
  static constexpr bool reads_h = true;
  template <class T>
  void forward(const kernels::Part& units, const FusedStep<T, 1>& at) const {
    kernels::recurrent<T>().gru_forward(units, at.gates, at.from_h, at.before[0], at.after[0]);
  }
  template <class T>
  void backward(const kernels::Part& units, const FusedGradient<T, 1>& g) const {
    kernels::recurrent<T>().gru_backward(units, g.at.gates, g.at.from_h, g.at.before[0], g.d_state[0],
                                         g.d_gates, g.d_from_h);
  }
  template <class T>
  void tangent(const kernels::Part& units, const FusedTangent<T, 1>& t) const {
    kernels::recurrent<T>().gru_tangent(units, t.at.gates, t.at.from_h, t.at.before[0], t.gates, t.from_h,
                                        t.before[0], t.after[0]);
  }
  template <class T>
  void backward_tangent(const kernels::Part& units, const FusedGradientTangent<T, 1>& t) const {
    kernels::recurrent<T>().gru_backward_tangent(units, t.at.gates, t.at.from_h, t.at.before[0], t.gates,
                                                 t.from_h, t.before[0], t.d_state[0], t.tangent_of_d_state[0],
                                                 t.d_gates, t.d_from_h);
  }
};

/// The gated recurrent unit (Cho et al. 2014), with the reset gate on the product as in PyTorch:
///
///   r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)              reset gate
///   z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)              update gate
///   n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))         candidate
///   h_t = (1 - z_t) * n_t + z_t * h_{t-1}
///
/// The weights are PyTorch's, with the gates' rows in the order r, z, n.
struct Gru : Recurrent<Gru, GruCell> {
  using Recurrent::Recurrent;
};

extern template struct Recurrent<Gru, GruCell>;

}  // namespace gradus::nn
