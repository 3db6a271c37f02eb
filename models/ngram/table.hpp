#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

#include "autograd/variable.hpp"
#include "models/neural.hpp"
#include "tensor/indices.hpp"
#include "tensor/random.hpp"

namespace gradus::models {

/// An n-gram model as a table of logits with a row for each context of order - 1 tokens. Trained by gradients
/// like any network, it converges to the maximum likelihood estimate of counting, p(w | h) = c(h w) / c(h),
/// because the cross entropy is convex in each row and has its minimum there.
struct TableNetwork {
  struct Options {
    std::int64_t vocab = 0;
    int order = 2;
  };
  using State = Window;  // of order - 2 tokens; of none for order 1
  Options options;
  Parameter logits;  // (contexts + 1, vocab); row 0 is for all contexts that the text does not have

  /// Gives each context of the text a row of zeros, the uniform distribution. The text is preceded by padding
  /// with the id vocab. Throws ArgumentError for an order or a vocabulary below 1 or an id out of range.
  TableNetwork(std::span<const std::int32_t> text, const Options& options);

  State start(std::int64_t batch) const;
  /// x: (time, batch) to logits (time, batch, vocab).
  std::pair<Variable, State> operator()(const Indices& x, const State& state, Rng* rng = nullptr) const;

  static void members(auto& self, auto&& visit) { visit("logits", self.logits); }

 private:
  std::unordered_map<std::u32string, std::int32_t> rows_;  // of each context
};

/// The table as a LanguageModel.
using TableModel = NeuralModel<TableNetwork>;

}  // namespace gradus::models
