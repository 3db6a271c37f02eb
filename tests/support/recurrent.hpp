#pragma once

#include <span>
#include <vector>

#include "nn/coupled_lstm.hpp"
#include "nn/gru.hpp"
#include "nn/lstm.hpp"
#include "nn/norm_cells.hpp"
#include "nn/peephole_lstm.hpp"
#include "nn/rnn.hpp"

namespace gradus::test {

/// A recurrent cell over a sequence as a function of all that it depends on: x, (time, batch, in), or a
/// table, the state's parts, (batch, width) each, weight_ih, weight_hh, bias_ih and bias_hh for a cell that
/// has them, and the cell's own weights. Gives h of every step and the last state as one vector.
template <class Cell>
struct CellFunction {
  Cell cell = {};
  bool reverse = false;
  Indices lengths = {};  // (batch), longest first; empty: all sequences have all steps
  Indices ids = {};      // (time, batch), for a table
  bool by_ops = false;

  Variable operator()(std::span<const Variable> in) const {
    using State = typename Cell::State;
    const nn::SequenceInput input{in[0], ids, ids.size() > 0};
    nn::Steps steps = nn::detail::SortedLengths(lengths, input.steps(), input.batch()).steps;
    steps.reverse = reverse;
    std::size_t next = 1;
    State start;
    for (Variable* part : State::parts(start)) *part = in[next++];
    const Variable none;
    const nn::SequenceWeights weights{in[next], in[next + 1], Cell::biased ? in[next + 2] : none,
                                      Cell::biased ? in[next + 3] : none};
    next += Cell::biased ? 4 : 2;
    Cell own = cell;
    if constexpr (Module<Cell>) {
      Rng rng(1);
      own.initialize(rng, in[1].dim(1));
      Cell::members(own, [&](auto, Parameter& p) { static_cast<Variable&>(p) = in[next++]; });
    }
    auto [out, last] = by_ops ? nn::over_sequence_by_ops(own, steps, input, start, weights)
                              : nn::over_sequence(own, steps, input, start, weights);
    std::vector<Variable> results{flatten(out)};
    for (const Variable* part : State::parts(last)) results.push_back(flatten(*part));
    return concat(results, 0);
  }

  /// The shapes of the inputs; x has `in` columns.
  std::vector<Shape> shapes(const Shape& x, std::int64_t batch, std::int64_t width) const {
    constexpr std::int64_t gates = Cell::gates;
    std::vector<Shape> out{x};
    out.insert(out.end(), nn::part_count<typename Cell::State>, Shape{batch, width});
    out.insert(out.end(), {{gates * width, x[-1]}, {gates * width, width}});
    if (Cell::biased) out.insert(out.end(), 2, Shape{gates * width});
    if constexpr (Module<Cell>) {
      Rng rng(1);
      Cell own = cell;
      own.initialize(rng, width);
      Cell::members(own, [&](auto, const Parameter& p) { out.push_back(p.shape()); });
    }
    return out;
  }
};

template <class LayerType, class CellType>
struct RecurrentCase {
  using Layer = LayerType;
  using Cell = CellType;
  const char* name;  // of a fixture, from 4 inputs to 6 units
  /// The cell to take differences of: layer normalisation divides by deviations that may be almost 0.
  Cell smooth = {};
};

/// Calls f with a case for each recurrent layer. What all must do is tested with these.
template <class F>
void for_each_recurrent_layer(const F& f) {
  f(RecurrentCase<nn::Lstm, nn::LstmCell>{"lstm_1"});
  f(RecurrentCase<nn::Gru, nn::GruCell>{"gru_1"});
  f(RecurrentCase<nn::Rnn, nn::RnnCell>{"rnn_tanh_1"});
  f(RecurrentCase<nn::PeepholeLstm, nn::PeepholeLstmCell>{"peephole_lstm_1"});
  f(RecurrentCase<nn::CoupledLstm, nn::CoupledLstmCell>{"coupled_lstm_1"});
  f(RecurrentCase<nn::NormLstm, nn::NormLstmCell>{"norm_lstm_1", {{.eps = 0.5}}});
  f(RecurrentCase<nn::NormGru, nn::NormGruCell>{"norm_gru_1", {{.eps = 0.5}}});
  f(RecurrentCase<nn::NormRnn, nn::NormRnnCell>{"norm_rnn_1", {nn::Activation::tanh, {.eps = 0.5}}});
}

}  // namespace gradus::test
