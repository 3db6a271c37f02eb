#include "models/networks.hpp"

#include <algorithm>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "nn/dropout.hpp"
#include "nn/losses.hpp"

namespace gradus::models {

namespace {

const NetworkOptions& checked(const NetworkOptions& options) {
  if (options.vocab < 2) {
    fail<ArgumentError>("a language model over a vocabulary of {}: at least 2 symbols are needed",
                        options.vocab);
  }
  if (options.order < 2) fail<ArgumentError>("a feed-forward model of order {}: at least 2", options.order);
  return options;
}

// Embeddings start small (Zaremba et al. 2014 use 0.1 or less): with a deviation of 1 a wide model starts far
// from the uniform distribution.
template <class Network>
void shrink_embedding(Network& network) {
  Tensor& weight = network.embed.weight.mutable_value();
  weight = std::move(weight) * 0.1;
}

}  // namespace

FeedForwardNetwork::FeedForwardNetwork(Rng& rng, const NetworkOptions& chosen)
    : options(checked(chosen)),
      embed(rng, chosen.vocab + 1, chosen.embedding),
      hidden(rng, (chosen.order - 1) * chosen.embedding, chosen.width),
      direct(rng, (chosen.order - 1) * chosen.embedding, chosen.vocab),
      head(rng, chosen.width, chosen.vocab, {.bias = false}) {
  shrink_embedding(*this);
}

FeedForwardNetwork::State FeedForwardNetwork::start(std::int64_t batch) const {
  const std::int64_t before = options.order - 2;
  return {Indices(std::vector<std::int32_t>(static_cast<std::size_t>(before * batch),
                                            static_cast<std::int32_t>(options.vocab)),
                  {before, batch})};
}

std::pair<Variable, FeedForwardNetwork::State> FeedForwardNetwork::operator()(const Indices& x,
                                                                              const State& state,
                                                                              Rng* rng) const {
  const InModule here(*this);
  const std::int64_t steps = x.dim(0), batch = x.dim(1), before = options.order - 2;
  std::vector<std::int32_t> ids(state.context.values().begin(), state.context.values().end());
  ids.insert(ids.end(), x.values().begin(), x.values().end());
  State next{Indices(std::vector<std::int32_t>(ids.end() - before * batch, ids.end()), {before, batch})};

  const Variable embedded =
      embed(Indices(std::move(ids), {before + steps, batch}));  // (before + time, batch, embedding)
  std::vector<Variable> window;
  for (std::int64_t i = 0; i <= before; ++i) window.push_back(slice(embedded, 0, i, i + steps));
  const Variable e = concat(window, 2);  // (time, batch, (order - 1) * embedding)
  const Variable h = nn::dropout(tanh(hidden(e)), options.dropout, rng);
  return {direct(e) + head(h), std::move(next)};
}

template <class Layer>
RecurrentNetwork<Layer>::RecurrentNetwork(Rng& rng, const NetworkOptions& chosen)
    : options(checked(chosen)),
      embed(rng, chosen.vocab, chosen.embedding),
      recurrent(rng, chosen.embedding, chosen.width, {.layers = chosen.layers, .dropout = chosen.dropout}),
      head(rng, chosen.width, chosen.vocab) {
  shrink_embedding(*this);
}

template <class Layer>
std::pair<Variable, typename Layer::State> RecurrentNetwork<Layer>::features(const Indices& x,
                                                                             const State& state,
                                                                             Rng* rng) const {
  auto result = rng == nullptr || options.dropout == 0
                    ? recurrent(embed, x, state, rng)
                    : recurrent(nn::dropout(embed(x), options.dropout, rng), state, rng);
  result.first = nn::dropout(result.first, options.dropout, rng);
  return result;
}

template <class Layer>
std::pair<Variable, typename Layer::State> RecurrentNetwork<Layer>::operator()(const Indices& x,
                                                                               const State& state,
                                                                               Rng* rng) const {
  const InModule here(*this);
  auto [h, next] = features(x, state, rng);
  return {head(h), std::move(next)};
}

template <class Layer>
std::pair<Variable, typename Layer::State> RecurrentNetwork<Layer>::loss(const Indices& x, const Indices& y,
                                                                         const State& state, Rng* rng) const {
  const InModule here(*this);
  auto [h, next] = features(x, state, rng);
  return {nn::linear_cross_entropy(h, head.weight, head.bias, y), std::move(next)};
}

template struct RecurrentNetwork<nn::Rnn>;
template struct RecurrentNetwork<nn::Gru>;
template struct RecurrentNetwork<nn::Lstm>;

}  // namespace gradus::models
