#pragma once

#include "autograd/ops/elementwise.hpp"
#include "nn/recurrent.hpp"

namespace gradus::nn {

enum class Activation { tanh, relu };

/// See Rnn.
struct RnnCell : RecurrentCell {
  using State = HiddenState;
  static constexpr int gates = 1;
  Activation activation;

  RnnCell(Activation f = Activation::tanh) : activation(f) {}

  State step(const Variable& from_x, const Variable& from_h, const State&) const {
    const Variable sum = from_x + from_h;
    return {activation == Activation::tanh ? tanh(sum) : relu(sum)};
  }

  static constexpr const char* op = "rnn";
  static constexpr bool in_place = true;
  static constexpr int kept = 1;  // tanh's slope
  bool keeps() const { return activation == Activation::tanh; }
  template <class T>
  void forward(const kernels::Part& units, const FusedStep<T, 1>& at) const {
    kernels::recurrent<T>().rnn_forward(units, function(), at.after[0], at.kept);
  }
  template <class T>
  void backward(const kernels::Part& units, const FusedGradient<T, 1>& g) const {
    kernels::recurrent<T>().rnn_backward(units, function(), g.at.after[0], g.at.kept, g.d_state[0],
                                         g.d_gates);
  }
  template <class T>
  void tangent(const kernels::Part& units, const FusedTangent<T, 1>& t) const {
    kernels::recurrent<T>().rnn_tangent(units, function(), t.at.after[0], t.at.kept, t.gates, t.after[0]);
  }
  template <class T>
  void backward_tangent(const kernels::Part& units, const FusedGradientTangent<T, 1>& t) const {
    kernels::recurrent<T>().rnn_backward_tangent(units, function(), t.at.after[0], t.at.kept, t.after[0],
                                                 t.d_state[0], t.tangent_of_d_state[0], t.d_gates);
  }

 private:
  kernels::Unary function() const {
    return activation == Activation::tanh ? kernels::Unary::tanh : kernels::Unary::relu;
  }
};

/// The simple recurrent network (Elman 1990): h_t = f(W_x x_t + W_h h_{t-1} + b), f being tanh or relu, the
/// last argument of its constructor. The weights are PyTorch's: weight_ih is W_x, weight_hh is W_h, b the sum
/// of two biases.
struct Rnn : Recurrent<Rnn, RnnCell> {
  using Recurrent::Recurrent;
};

extern template struct Recurrent<Rnn, RnnCell>;

}  // namespace gradus::nn
