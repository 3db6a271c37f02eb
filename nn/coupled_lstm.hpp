#pragma once

#include "autograd/ops/elementwise.hpp"
#include "nn/lstm.hpp"

namespace gradus::nn {

/// See CoupledLstm.
struct CoupledLstmCell : RecurrentCell {
  using State = LstmState;
  static constexpr int gates = 3;
  static constexpr int forget_gate = 0;

  State step(const Variable& from_x, const Variable& from_h, const State& before) const {
    const std::vector<Variable> gate = split(from_x + from_h, gates, 1);
    const Variable f = sigmoid(gate[0]), c = f * before.c + (1 - f) * tanh(gate[1]);
    return {sigmoid(gate[2]) * tanh(c), c};
  }
};

/// The LSTM whose input gate is what its forget gate leaves, i_t = 1 - f_t
/// (Greff et al. 2017, "LSTM: a search space odyssey", CIFG), so that a quarter
/// of the weights goes. The gates' rows are in the order f, C~, o; the rest is
/// Lstm's. In plain ops, without a fused form.
struct CoupledLstm : Recurrent<CoupledLstm, CoupledLstmCell> {
  using Recurrent::Recurrent;
};

}  // namespace gradus::nn
