#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "autograd/elementwise.hpp"
#include "autograd/ops/elementwise.hpp"
#include "nn/activations.hpp"
#include "nn/dropout.hpp"
#include "nn/linear.hpp"
#include "tensor/support/list.hpp"

namespace gradus::nn {

struct MlpOptions {
  bool bias = true;
  double dropout = 0;  // behind each activation
};

/// A multilayer perceptron: linear maps between the widths listed, with an activation behind each but the
/// last.
///
///   const nn::Mlp model(rng, {784, 256, 10});             // relu
///   const nn::Mlp smooth(rng, {2, 64, 64, 1}, nn::Tanh{});
template <class Activation = Relu>
struct Mlp {
  std::vector<Linear> layers;
  Activation activation;
  MlpOptions options;

  /// Throws ArgumentError for fewer than two widths, one below 1 or a rate of dropout out of range.
  Mlp(Rng& rng, List<std::int64_t> widths, Activation between = {}, MlpOptions chosen = {})
      : activation(std::move(between)), options(chosen) {
    if (widths.size() < 2) fail<ArgumentError>("Mlp: {} widths; there must be at least 2", widths.size());
    if (!(chosen.dropout >= 0 && chosen.dropout < 1))
      fail<ArgumentError>("Mlp: a rate of dropout of {}; it must be at least 0 and below 1", chosen.dropout);
    layers.reserve(widths.size() - 1);
    for (std::size_t i = 0; i + 1 < widths.size(); ++i)
      layers.emplace_back(rng, widths[i], widths[i + 1], LinearOptions{.bias = chosen.bias});
  }

  /// (..., the first width) to (..., the last). With dropout it is called with a generator, or with nullptr
  /// in evaluation.
  Variable operator()(const Variable& x) const {
    if (options.dropout > 0) {
      fail<ArgumentError>(
          "Mlp: with dropout it trains otherwise than it evaluates: call model(x, &rng) to train and "
          "model(x, nullptr) to evaluate");
    }
    return (*this)(x, nullptr);
  }
  Variable operator()(Variable x, Rng* rng) const {
    const InModule here(*this);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (i > 0) x = dropout(activation(x), options.dropout, rng);
      x = layers[i](x);
    }
    return x;
  }
  static void members(auto& self, auto&& visit) {
    visit("layers", self.layers);
    visit("activation", self.activation);
  }
};

struct HighwayOptions {
  /// The gate's initial bias: below 0 the layer begins as one that lets its input pass.
  double gate_bias = -1;
};

/// t * activation(change(x)) + (1 - t) * x with t = sigmoid(gate(x)), (..., width) to (..., width)
/// (Srivastava, Greff and Schmidhuber 2015).
template <class Activation = Relu>
struct Highway {
  Linear change, gate;
  Activation activation;

  Highway(Rng& rng, std::int64_t width, Activation of_change = {}, HighwayOptions options = {})
      : change(rng, width, width), gate(rng, width, width), activation(std::move(of_change)) {
    gate.bias = Parameter(full({width}, options.gate_bias));
  }

  Variable operator()(const Variable& x) const {
    const InModule here(*this);
    const auto mix = [](auto t, auto new_x, auto old_x) {
      const auto open = sigmoid(t);
      return open * new_x + (1 - open) * old_x;
    };
    return elementwise(mix, gate(x), activation(change(x)), x);
  }
  static void members(auto& self, auto&& visit) {
    visit("change", self.change);
    visit("gate", self.gate);
    visit("activation", self.activation);
  }
};

}  // namespace gradus::nn
