#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/min_gru.hpp"
#include "models/networks.hpp"
#include "models/transformers.hpp"

/// What goes on in a network while it reads a text, to be looked at.
namespace gradus::models {

/// A table of numbers from 0 to 1.
struct NetworkView {
  std::string name;  // "layer 1, head 2", or "layer 1" of gates
  /// Of attention: empty, and a row for each token, which tells how much it looks at each token (the
  /// columns). Of gates: a row each, "forget", and a column for each token: the mean of the gate over the
  /// layer's units.
  std::vector<std::string> gates;
  Tensor values;  // (rows, tokens), f64
};

/// The attention of each head, of transformers, whose weights in a row add up to 1; the gates of each layer,
/// of an LSTM (input, forget, output) and a GRU (reset, update); nothing of other networks. A transformer
/// reads at most its context. Throws ArgumentError for ids out of range.
std::vector<NetworkView> views(const LstmNetwork& network, std::span<const std::int32_t> ids);
std::vector<NetworkView> views(const GruNetwork& network, std::span<const std::int32_t> ids);
std::vector<NetworkView> views(const GptNetwork& network, std::span<const std::int32_t> ids);
std::vector<NetworkView> views(const LlamaNetwork& network, std::span<const std::int32_t> ids);
template <class Network>
std::vector<NetworkView> views(const Network& /*network*/, std::span<const std::int32_t> /*ids*/) {
  return {};
}

/// The tokens' vectors that a network reads, (vocab, width).
template <class Network>
Tensor embeddings(const Network& network) {
  if constexpr (requires { network.wte; }) {
    return network.wte.weight.value();
  } else if constexpr (requires { network.embed_tokens; }) {
    return network.embed_tokens.weight.value();
  } else {  // the table may have a row of padding behind
    return slice(network.embed.weight.value(), 0, 0, network.options.vocab);
  }
}

}  // namespace gradus::models
