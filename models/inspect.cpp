#include "models/inspect.hpp"

#include <fmt/format.h>

#include "autograd/tape.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

namespace {

/// (time, 1)
Indices column(std::span<const std::int32_t> ids) {
  return Indices(std::vector<std::int32_t>(ids.begin(), ids.end()), {std::ssize(ids), 1});
}

/// One layer's gates at each step, in the order of the rows of its weights.
struct GateLayout {
  std::vector<std::string> names;
  std::vector<std::int64_t> parts;  // which of the weights' parts each is
};

/// The gates are worked out once more from the states between the tokens. `h_of` gives a state's h of all
/// layers, (layers, 1, width).
template <class Network>
std::vector<NetworkView> gate_views(const Network& network, std::span<const std::int32_t> ids,
                                    const GateLayout& layout) {
  const PauseRecording pause;
  const auto steps = std::ssize(ids), gates = std::ssize(layout.names);
  std::vector<NetworkView> out;
  for (std::size_t layer = 0; layer < network.recurrent.layers.size(); ++layer)
    out.push_back({fmt::format("layer {}", layer + 1), layout.names, zeros({gates, steps}, Dtype::f64)});
  auto state = network.start(1);
  for (std::int64_t t = 0; t < steps; ++t) {
    const Indices token = column(ids.subspan(static_cast<std::size_t>(t), 1));
    const auto next = network.features(token, state).second;
    Tensor input = network.embed(token).value()[0][0];  // (width)
    for (std::size_t layer = 0; layer < out.size(); ++layer) {
      const auto l = static_cast<std::int64_t>(layer);
      const nn::RecurrentWeights& w = network.recurrent.layers[layer];
      const Tensor before = (*Network::State::parts(state)[0]).value()[l][0];
      const Tensor sums = matmul(w.weight_ih.value(), input) + w.bias_ih.value() +
                          matmul(w.weight_hh.value(), before) + w.bias_hh.value();
      const std::int64_t width = before.dim(0);
      for (std::int64_t g = 0; g < gates; ++g) {
        const std::int64_t part = layout.parts[static_cast<std::size_t>(g)];
        const Tensor gate = sigmoid(slice(sums, 0, part * width, (part + 1) * width));
        out[layer].values.mutable_values<double>()[static_cast<std::size_t>(g * steps + t)] =
            mean(gate).to(Dtype::f64).item();
      }
      input = (*Network::State::parts(next)[0]).value()[l][0];
    }
    state = next;
  }
  return out;
}

template <class Network>
std::vector<NetworkView> attention_views(const Network& network, std::span<const std::int32_t> ids) {
  const PauseRecording pause;
  const auto most = static_cast<std::size_t>(network.options.context);
  const auto seen = ids.first(std::min(ids.size(), most));
  std::vector<Tensor> layers;
  const Indices x(std::vector<std::int32_t>(seen.begin(), seen.end()), {1, std::ssize(seen)});
  static_cast<void>(network.read(x, {.attention = &layers}));
  std::vector<NetworkView> out;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (std::int64_t head = 0; head < layers[layer].dim(0); ++head)
      out.push_back({fmt::format("layer {}, head {}", layer + 1, head + 1), {}, layers[layer][head]});
  }
  return out;
}

}  // namespace

std::vector<NetworkView> views(const LstmNetwork& network, std::span<const std::int32_t> ids) {
  return gate_views(network, ids, {{"input", "forget", "output"}, {0, 1, 3}});
}
std::vector<NetworkView> views(const GruNetwork& network, std::span<const std::int32_t> ids) {
  return gate_views(network, ids, {{"reset", "update"}, {0, 1}});
}
std::vector<NetworkView> views(const GptNetwork& network, std::span<const std::int32_t> ids) {
  return attention_views(network, ids);
}
std::vector<NetworkView> views(const LlamaNetwork& network, std::span<const std::int32_t> ids) {
  return attention_views(network, ids);
}

}  // namespace gradus::models
