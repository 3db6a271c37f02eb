#pragma once

#include <utility>

#include "nn/recurrent.hpp"

namespace gradus::nn {

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
/// rows in the order i, f, C~, o; b is the sum of two biases. Several layers: each reads the h of the one
/// below.
struct Lstm {
  struct State {
    Variable h, c;  // (layers, batch, width)
  };
  std::vector<RecurrentWeights> layers;
  RecurrentOptions options;

  /// Throws ArgumentError for widths or a number of layers below 1.
  Lstm(Rng& rng, std::int64_t in, std::int64_t width, RecurrentOptions chosen = {})
      : layers(recurrent_layers("Lstm", rng, 4, in, width, chosen)), options(chosen) {}

  std::int64_t input_width() const { return layers.front().weight_ih.dim(1); }
  std::int64_t width() const { return layers.front().weight_hh.dim(1); }
  /// A state of zeros.
  State start(std::int64_t batch) const;
  /// x: (time, batch, in), to the last layer's h of every step, (time, batch, width), and the state after the
  /// last. With a generator, dropout is applied between layers. Throws ShapeError.
  std::pair<Variable, State> operator()(const Variable& x, const State& state, Rng* rng = nullptr,
                                        Where where = Where::here()) const;
  /// The same of the embeddings of ids, (time, batch). Where there are fewer embeddings than ids, as with
  /// characters, the first layer's product with the input is computed once an embedding and not once an id.
  std::pair<Variable, State> operator()(const Embedding& embedding, const Indices& ids, const State& state,
                                        Rng* rng = nullptr, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) { visit_layers(self.layers, visit); }

 private:
  /// `first` runs the first layer.
  std::pair<Variable, State> run(
      FunctionRef<Variable(const RecurrentWeights&, const Variable& h, const Variable& c)> first,
      const State& state, Rng* rng, Where where) const;
};

inline Lstm::State detach(const Lstm::State& state) {
  return {gradus::detach(state.h), gradus::detach(state.c)};
}

/// One layer over a sequence, as three nodes of the tape. x: (time, batch, in); h, c: (batch, width). The
/// result is (time + 1, batch, width): h of every step, then c of the last.
Variable lstm_sequence(const Variable& x, const Variable& h, const Variable& c, const Variable& weight_ih,
                       const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                       Where where = Where::here());
/// The same where x is the rows of a table, (count, in), that ids, (time, batch), name: exact, and with less
/// work where the table is shorter than the ids.
Variable lstm_sequence(const Variable& table, const Indices& ids, const Variable& h, const Variable& c,
                       const Variable& weight_ih, const Variable& weight_hh, const Variable& bias_ih,
                       const Variable& bias_hh, Where where = Where::here());
/// The same step by step in plain ops: what the second derivative goes through, and the tests' reference.
Variable lstm_sequence_by_ops(const Variable& x, const Variable& h, const Variable& c,
                              const Variable& weight_ih, const Variable& weight_hh, const Variable& bias_ih,
                              const Variable& bias_hh);

}  // namespace gradus::nn
