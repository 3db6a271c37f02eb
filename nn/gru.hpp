#pragma once

#include <utility>

#include "nn/recurrent.hpp"

namespace gradus::nn {

/// The gated recurrent unit (Cho et al. 2014), with the reset gate on the product as in PyTorch:
///
///   r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)              reset gate
///   z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)              update gate
///   n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))         candidate
///   h_t = (1 - z_t) * n_t + z_t * h_{t-1}
///
/// The weights are PyTorch's, with the gates' rows in the order r, z, n. Several layers: each reads the h of
/// the one below.
struct Gru {
  struct State {
    Variable h;  // (layers, batch, width)
  };
  std::vector<RecurrentWeights> layers;
  RecurrentOptions options;

  /// Throws ArgumentError for widths or a number of layers below 1.
  Gru(Rng& rng, std::int64_t in, std::int64_t width, RecurrentOptions chosen = {})
      : layers(recurrent_layers("Gru", rng, 3, in, width, chosen)), options(chosen) {}

  std::int64_t input_width() const { return layers.front().weight_ih.dim(1); }
  std::int64_t width() const { return layers.front().weight_hh.dim(1); }
  /// A state of zeros.
  State start(std::int64_t batch) const;
  /// x: (time, batch, in), to the last layer's h of every step, (time, batch, width), and the state after the
  /// last. With a generator, dropout is applied between layers. Throws ShapeError.
  std::pair<Variable, State> operator()(const Variable& x, const State& state, Rng* rng = nullptr,
                                        Where where = Where::here()) const;
  /// The same of the embeddings of ids, (time, batch); see Lstm.
  std::pair<Variable, State> operator()(const Embedding& embedding, const Indices& ids, const State& state,
                                        Rng* rng = nullptr, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) { visit_layers(self.layers, visit); }

 private:
  /// `first` runs the first layer.
  std::pair<Variable, State> run(FunctionRef<Variable(const RecurrentWeights&, const Variable& h)> first,
                                 const State& state, Rng* rng, Where where) const;
};

inline Gru::State detach(const Gru::State& state) {
  return {gradus::detach(state.h)};
}

/// One layer over a sequence, as two nodes of the tape. x: (time, batch, in); h: (batch, width). The result
/// is h of every step, (time, batch, width).
Variable gru_sequence(const Variable& x, const Variable& h, const Variable& weight_ih,
                      const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                      Where where = Where::here());
/// The same where x is the rows of a table, (count, in), that ids, (time, batch), name.
Variable gru_sequence(const Variable& table, const Indices& ids, const Variable& h, const Variable& weight_ih,
                      const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                      Where where = Where::here());
/// The same step by step in plain ops: what the second derivative goes through, and the tests' reference.
Variable gru_sequence_by_ops(const Variable& x, const Variable& h, const Variable& weight_ih,
                             const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh);

}  // namespace gradus::nn
