#pragma once

#include <cstdint>
#include <span>

#include "models/evaluate.hpp"
#include "models/neural.hpp"
#include "nn/quantize.hpp"

namespace gradus::models {

/// What rounding the weights of a model costs, on a text.
struct QuantizedPerplexity {
  double exact, quantized;
  /// 0.005 where the perplexity rises by half a percent.
  double rise() const { return quantized / exact - 1; }
};

/// The perplexity of a model beside that of a quantized copy of it (nn/quantize.hpp), over tokens[1],
/// tokens[2], ... Throws what evaluate and nn::quantize throw.
template <class Network>
QuantizedPerplexity quantized_perplexity(const NeuralModel<Network>& model,
                                         std::span<const std::int32_t> tokens,
                                         const nn::QuantizeOptions& options = {}) {
  NeuralModel<Network> copy = model;
  nn::quantize(copy.network, options);
  return {evaluate(model, tokens, 0).perplexity(), evaluate(copy, tokens, 0).perplexity()};
}

}  // namespace gradus::models
