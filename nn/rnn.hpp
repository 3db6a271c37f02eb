#pragma once

#include <utility>

#include "nn/recurrent.hpp"

namespace gradus::nn {

enum class Activation { tanh, relu };

/// The simple recurrent network (Elman 1990): h_t = f(W_x x_t + W_h h_{t-1} + b), f being tanh or relu.
/// The weights are PyTorch's: weight_ih is W_x, weight_hh is W_h, b the sum of two biases. Several layers:
/// each reads the h of the one below.
struct Rnn {
  struct State {
    Variable h;  // (layers, batch, width)
  };
  std::vector<RecurrentWeights> layers;
  RecurrentOptions options;
  Activation activation;

  /// Throws ArgumentError for widths or a number of layers below 1.
  Rnn(Rng& rng, std::int64_t in, std::int64_t width, RecurrentOptions chosen = {},
      Activation f = Activation::tanh)
      : layers(recurrent_layers("Rnn", rng, 1, in, width, chosen)), options(chosen), activation(f) {}

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

inline Rnn::State detach(const Rnn::State& state) {
  return {gradus::detach(state.h)};
}

/// One layer over a sequence, as three nodes of the tape. x: (time, batch, in); h: (batch, width). The result
/// is h of every step, (time, batch, width).
Variable rnn_sequence(Activation f, const Variable& x, const Variable& h, const Variable& weight_ih,
                      const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                      Where where = Where::here());
/// The same where x is the rows of a table, (count, in), that ids, (time, batch), name.
Variable rnn_sequence(Activation f, const Variable& table, const Indices& ids, const Variable& h,
                      const Variable& weight_ih, const Variable& weight_hh, const Variable& bias_ih,
                      const Variable& bias_hh, Where where = Where::here());
/// The same step by step in plain ops: what the second derivative goes through, and the tests' reference.
Variable rnn_sequence_by_ops(Activation f, const Variable& x, const Variable& h, const Variable& weight_ih,
                             const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh);

}  // namespace gradus::nn
