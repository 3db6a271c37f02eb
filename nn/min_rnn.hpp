#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "nn/linear.hpp"
#include "nn/recurrent.hpp"

/// Minimal recurrent layers, minGRU and minLSTM (Feng et al. 2024, "Were RNNs All We Needed?", arXiv
/// 2410.01201). Their gates and candidates depend on the input alone, so h_t = a_t * h_{t-1} + b_t with all
/// a and b known beforehand: a step takes no product of matrices, and a sequence is one `linear_scan`, which
/// threads share over time too. What they remember is used by the layers above.
namespace gradus::nn {

/// What stands for the candidate of a linear map's v (the paper's appendix B): v itself, or a positive
/// number, v + 0.5 for v >= 0 and sigmoid(v) below.
enum class MinCandidate { linear, positive };

struct MinRnnOptions {
  /// Each layer but the first reads the h of the one below.
  int layers = 1;
  /// Dropout between layers, when a generator is given to the call.
  double dropout = 0;
  MinCandidate candidate = MinCandidate::linear;
  bool bias = true;
};

/// The factors and terms of a layer's recurrence, (time, batch, width) each.
struct ScanTerms {
  Variable a, b;
};

/// A layer of a MinGru.
struct MinGruCell {
  Linear linear_z, linear_h;  // (width, in)

  MinGruCell(Rng& rng, std::int64_t in, std::int64_t width, bool bias)
      : linear_z(rng, in, width, {.bias = bias}), linear_h(rng, in, width, {.bias = bias}) {}
  ScanTerms operator()(const Variable& x, MinCandidate candidate, Where where) const;
  static void members(auto& self, auto&& visit) {
    visit("linear_z", self.linear_z);
    visit("linear_h", self.linear_h);
  }
};

/// A layer of a MinLstm.
struct MinLstmCell {
  Linear linear_f, linear_i, linear_h;  // (width, in)

  MinLstmCell(Rng& rng, std::int64_t in, std::int64_t width, bool bias)
      : linear_f(rng, in, width, {.bias = bias}),
        linear_i(rng, in, width, {.bias = bias}),
        linear_h(rng, in, width, {.bias = bias}) {}
  ScanTerms operator()(const Variable& x, MinCandidate candidate, Where where) const;
  static void members(auto& self, auto&& visit) {
    visit("linear_f", self.linear_f);
    visit("linear_i", self.linear_i);
    visit("linear_h", self.linear_h);
  }
};

/// What both layers are, called as the layers of nn/recurrent.hpp are.
template <class Layer, class Cell>
struct MinRecurrent {
  using State = HiddenState;  // h: (layers, batch, width)
  using Result = std::pair<Variable, State>;
  std::vector<Cell> layers;
  MinRnnOptions options;

  /// Throws ArgumentError for widths or a number of layers below 1, and for a dropout outside of [0, 1).
  MinRecurrent(Rng& rng, std::int64_t in, std::int64_t width, MinRnnOptions chosen = {});

  std::int64_t input_width() const { return layers.front().linear_h.weight.dim(1); }
  std::int64_t width() const { return layers.front().linear_h.weight.dim(0); }
  /// A state of zeros.
  State start(std::int64_t batch) const;

  /// x: (time, batch, in), to the last layer's h of every step, (time, batch, width), and the state after the
  /// last. lengths, (batch), as those of a Recurrent: past a sequence's end its state stays as it is, and h
  /// is 0 in the result. Throws ShapeError and DtypeError.
  Result operator()(const Variable& x, const State& state, Rng* rng = nullptr, const Indices& lengths = {},
                    Where where = Where::here()) const;
  /// The same of texts in which the state begins anew, from 0, before each step where `begins`, (time, batch,
  /// 1), is not 0.
  Result restarted(const Variable& x, const Tensor& begins, const State& state, Rng* rng = nullptr,
                   Where where = Where::here()) const;
  /// The same of the embeddings of ids, (time, batch).
  Result operator()(const Embedding& embedding, const Indices& ids, const State& state, Rng* rng = nullptr,
                    const Indices& lengths = {}, Where where = Where::here()) const {
    return (*this)(embedding(ids, where), state, rng, lengths, where);
  }
  /// A single step, x: (batch, in), to the last layer's h, (batch, width). Without dropout.
  Result step(const Variable& x, const State& state, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) { visit("layers", self.layers); }

 private:
  Result run(const Variable& x, const State& state, Rng* rng, const Indices& lengths, const Tensor& begins,
             Where where) const;
};

/// The minimal gated recurrent unit (section 3.1):
///
///   z_t = sigmoid(linear_z x_t)                   gate
///   v_t = linear_h x_t                            candidate, or positive (MinCandidate)
///   h_t = (1 - z_t) * h_{t-1} + z_t * v_t
struct MinGru : MinRecurrent<MinGru, MinGruCell> {
  using MinRecurrent::MinRecurrent;
};

/// The minimal LSTM (section 3.2), whose two gates are made to sum to 1:
///
///   f_t = sigmoid(linear_f x_t),  i_t = sigmoid(linear_i x_t)
///   v_t = linear_h x_t                            candidate, or positive (MinCandidate)
///   h_t = f_t / (f_t + i_t) * h_{t-1} + i_t / (f_t + i_t) * v_t
struct MinLstm : MinRecurrent<MinLstm, MinLstmCell> {
  using MinRecurrent::MinRecurrent;
};

extern template struct MinRecurrent<MinGru, MinGruCell>;
extern template struct MinRecurrent<MinLstm, MinLstmCell>;

}  // namespace gradus::nn
