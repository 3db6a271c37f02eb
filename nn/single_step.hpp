#pragma once

#include "nn/gru.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"

namespace gradus::nn {

/// One layer of a cell that is called step by step, as PyTorch's LSTMCell, GRUCell and RNNCell: with their
/// names, weight_ih, weight_hh, bias_ih and bias_hh. The parts of its state are (batch, width).
///
///   nn::LstmStep cell(rng, in, width);
///   LstmState state = cell.start(batch);
///   for (...) state = cell(x, state);  // state.h: (batch, width)
///
/// A layer over whole sequences is faster, and has `step` too.
template <class Cell>
struct SingleStep {
  using State = typename Cell::State;
  RecurrentPart<Cell> part;

  /// Throws ArgumentError for widths below 1.
  SingleStep(Rng& rng, std::int64_t in, std::int64_t width, const Cell& cell = {}, bool bias = true)
      : part((detail::check_options("SingleStep", in, width, {}, false), rng), in, width, cell, bias) {}

  /// Zeros.
  State start(std::int64_t batch) const {
    const Tensor zero = zeros({batch, part.weight_hh.dim(1)}, computing_dtype(part.weight_hh.dtype()));
    return state_of<State>([&](std::size_t) { return Variable(zero); });
  }

  /// x: (batch, in), to the state after it. Throws ShapeError and DtypeError.
  State operator()(const Variable& x, const State& before, Where where = Where::here()) const {
    const InModule here(*this);
    const InOp call("recurrent", where);
    if (x.rank() != 2 || x.dim(1) != part.weight_ih.dim(1))
      fail<ShapeError>("the input has shape {}; it must be (batch, {})", x.shape(), part.weight_ih.dim(1));
    const Shape wanted{x.dim(0), part.weight_hh.dim(1)};
    for (const Variable* given : State::parts(before)) {
      if (given->shape() != wanted)
        fail<ShapeError>("a state of shape {}; it must be (batch, width), here {}", given->shape(), wanted);
      if (given->dtype() != computing_dtype(part.weight_hh.dtype()))
        fail<DtypeError>("a state of {} for weights of {}; start(batch) makes one that fits",
                         name_of(given->dtype()), name_of(computing_dtype(part.weight_hh.dtype())));
    }
    return over_sequence(part.cell, {.count = 1, .batch = x.dim(0)}, {unsqueeze(x, 0, where)}, before,
                         {part.weight_ih, part.weight_hh, part.bias_ih, part.bias_hh}, where)
        .second;
  }

  static void members(auto& self, auto&& visit) {
    visit("weight_ih", self.part.weight_ih);
    visit("weight_hh", self.part.weight_hh);
    visit("bias_ih", self.part.bias_ih);
    visit("bias_hh", self.part.bias_hh);
    if constexpr (Module<Cell>) Cell::members(self.part.cell, visit);
  }
};

using LstmStep = SingleStep<LstmCell>;
using GruStep = SingleStep<GruCell>;
using RnnStep = SingleStep<RnnCell>;

}  // namespace gradus::nn
