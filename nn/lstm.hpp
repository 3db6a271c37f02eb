#pragma once

#include "autograd/ops/elementwise.hpp"
#include "nn/recurrent.hpp"

namespace gradus::nn {

struct LstmState {
  Variable h, c;  // as HiddenState's

  static auto parts(auto& self) { return std::array{&self.h, &self.c}; }
};

/// See Lstm.
struct LstmCell : RecurrentCell {
  using State = LstmState;
  static constexpr int gates = 4;
  static constexpr int forget_gate = 1;

  State step(const Variable& from_x, const Variable& from_h, const State& before) const {
    const std::vector<Variable> gate = split(from_x + from_h, gates, 1);
    const Variable c = sigmoid(gate[1]) * before.c + sigmoid(gate[0]) * tanh(gate[2]);
    return {sigmoid(gate[3]) * tanh(c), c};
  }

  static constexpr const char* op = "lstm";
  static constexpr int kept = 1;  // tanh(c)
  template <class T>
  void forward(const kernels::Part& units, const FusedStep<T, 2>& at) const {
    kernels::recurrent<T>().lstm_forward(units, at.gates, at.before[1], at.after[1], at.kept, at.after[0]);
  }
  template <class T>
  void backward(const kernels::Part& units, const FusedGradient<T, 2>& g) const {
    kernels::recurrent<T>().lstm_backward(units, g.at.gates, g.at.before[1], g.at.kept, g.d_state[0],
                                          g.d_state[1], g.d_gates);
  }
  template <class T>
  void tangent(const kernels::Part& units, const FusedTangent<T, 2>& t) const {
    kernels::recurrent<T>().lstm_tangent(units, t.at.gates, t.at.before[1], t.at.kept, t.gates, t.before[1],
                                         t.after[1], t.after[0]);
  }
  template <class T>
  void backward_tangent(const kernels::Part& units, const FusedGradientTangent<T, 2>& t) const {
    kernels::recurrent<T>().lstm_backward_tangent(
        units, t.at.gates, t.at.before[1], t.at.kept, t.gates, t.before[1], t.after[1], t.d_state[0],
        t.d_state[1], t.tangent_of_d_state[0], t.tangent_of_d_state[1], t.d_gates);
  }
};

/// The long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and
/// Cummins 2000), over the concatenation [h_{t-1}, x_t]:
///
///   i_t = sigmoid(W_i [h_{t-1}, x_t] + b_i)        input gate
///   f_t = sigmoid(W_f [h_{t-1}, x_t] + b_f)        forget gate
///   C~_t = tanh(W_C [h_{t-1}, x_t] + b_C)          candidate
///   o_t = sigmoid(W_o [h_{t-1}, x_t] + b_o)        output gate
///   C_t = f_t * C_{t-1} + i_t * C~_t
///   h_t = o_t * tanh(C_t)
///
/// The weights are PyTorch's: weight_ih and weight_hh are the columns of W for x and for h, with the gates'
/// rows in the order i, f, C~, o; b is the sum of two biases. With RecurrentOptions::projection the h that is
/// handed on is weight_hr o_t * tanh(C_t) (Sak, Senior and Beaufays 2014, eq. 8), PyTorch's proj_size.
struct Lstm : Recurrent<Lstm, LstmCell> {
  using Recurrent::Recurrent;
};

extern template struct Recurrent<Lstm, LstmCell>;

}  // namespace gradus::nn
