#include "models/networks.hpp"

#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "models/documents.hpp"
#include "nn/dropout.hpp"
#include "nn/losses.hpp"

namespace gradus::models {

namespace {

const NetworkOptions& checked(const NetworkOptions& options) {
  if (options.vocab < 2) {
    fail<ArgumentError>("a language model over a vocabulary of {}: at least 2 symbols are needed",
                        options.vocab);
  }
  return options;
}

/// Of a network that sees a window of tokens.
const NetworkOptions& checked_order(const NetworkOptions& options) {
  if (options.order < 2)
    fail<ArgumentError>("a network of order {}, which sees no token at all: at least 2 is needed",
                        options.order);
  if (options.document_end >= 0)
    fail<ArgumentError>("a network that sees a window of tokens does not keep documents apart");
  return checked(options);
}

// Embeddings start small (Zaremba et al. 2014 use 0.1 or less): with a deviation of 1 a wide model starts far
// from the uniform distribution.
template <class Network>
void shrink_embedding(Network& network) {
  Tensor& weight = network.embed.weight.mutable_value();
  weight = std::move(weight) * 0.1;
}

/// The embeddings of the tokens of each step and of those in the window before it, side by side:
/// (time, batch, (reach + 1) * embedding).
std::pair<Variable, Window> embed_window(const nn::Embedding& embed, const Indices& x, const Window& state) {
  auto [ids, next] = state.read(x);
  const Variable embedded = embed(ids);  // (reach + time, batch, embedding)
  std::vector<Variable> steps;
  for (std::int64_t i = 0; i <= state.tokens.dim(0); ++i)
    steps.push_back(slice(embedded, 0, i, i + x.dim(0)));
  return {concat(steps, 2), std::move(next)};
}

}  // namespace

Window Window::filled(std::int64_t reach, std::int64_t batch, std::int64_t padding) {
  return {Indices(
      std::vector<std::int32_t>(static_cast<std::size_t>(reach * batch), static_cast<std::int32_t>(padding)),
      {reach, batch})};
}

std::pair<Indices, Window> Window::read(const Indices& x) const {
  const std::int64_t reach = tokens.dim(0), steps = x.dim(0), batch = x.dim(1);
  std::vector<std::int32_t> ids(tokens.values().begin(), tokens.values().end());
  ids.insert(ids.end(), x.values().begin(), x.values().end());
  Window next{Indices(std::vector<std::int32_t>(ids.end() - reach * batch, ids.end()), {reach, batch})};
  return {Indices(std::move(ids), {reach + steps, batch}), std::move(next)};
}

FeedForwardNetwork::FeedForwardNetwork(Rng& rng, const NetworkOptions& chosen)
    : options(checked_order(chosen)),
      embed(rng, chosen.vocab + 1, chosen.embedding),
      hidden(rng, (chosen.order - 1) * chosen.embedding, chosen.width),
      direct(rng, (chosen.order - 1) * chosen.embedding, chosen.vocab),
      head(rng, chosen.width, chosen.vocab, {.bias = false}) {
  shrink_embedding(*this);
}

double FeedForwardNetwork::fewest_parameters(const NetworkOptions& options) {
  const auto vocab = static_cast<double>(options.vocab), embedding = static_cast<double>(options.embedding),
             width = static_cast<double>(options.width);
  return vocab * embedding + (options.order - 1) * embedding * (width + vocab) + width * vocab;
}

std::pair<Variable, Window> FeedForwardNetwork::features(const Indices& x, const Window& state,
                                                         Rng* /*rng*/) const {
  const InModule here(*this);
  return embed_window(embed, x, state);
}

Variable FeedForwardNetwork::logits(const Variable& features, Rng* rng) const {
  const InModule here(*this);
  return direct(features) + head(nn::dropout(tanh(hidden(features)), options.dropout, rng));
}

LogBilinearNetwork::LogBilinearNetwork(Rng& rng, const NetworkOptions& chosen)
    : options(checked_order(chosen)),
      embed(rng, chosen.vocab + 1, chosen.width),
      predict(rng, (chosen.order - 1) * chosen.width, chosen.width),
      bias(zeros({chosen.vocab})) {
  shrink_embedding(*this);
}

double LogBilinearNetwork::fewest_parameters(const NetworkOptions& options) {
  const auto width = static_cast<double>(options.width);
  return width * (static_cast<double>(options.vocab) + (options.order - 1) * width);
}

std::pair<Variable, Window> LogBilinearNetwork::features(const Indices& x, const Window& state,
                                                         Rng* rng) const {
  const InModule here(*this);
  auto [vectors, next] = embed_window(embed, x, state);
  return {nn::dropout(predict(vectors), options.dropout, rng), std::move(next)};
}

Variable LogBilinearNetwork::logits(const Variable& features, Rng* /*rng*/) const {
  const InModule here(*this);
  return linear(features, slice(embed.weight, 0, 0, options.vocab), bias);
}

template <class Layer>
RecurrentNetwork<Layer>::RecurrentNetwork(Rng& rng, const NetworkOptions& chosen)
    : options(checked(chosen)),
      embed(rng, chosen.vocab, chosen.embedding),
      recurrent(rng, chosen.embedding, chosen.width,
                {.layers = chosen.layers,
                 .dropout = chosen.layer_dropout.value_or(chosen.dropout),
                 .locked_dropout = chosen.locked_dropout,
                 .weight_dropout = chosen.weight_dropout}),
      head(rng, chosen.width, chosen.vocab) {
  shrink_embedding(*this);
  if (chosen.is_tied(false) && chosen.embedding != chosen.width) {
    fail<ArgumentError>(
        "a recurrent network with tied embeddings of width {} and layers of width {}: they must be as wide",
        chosen.embedding, chosen.width);
  }
  if (!chosen.cutoffs.empty()) {
    if (chosen.is_tied(false))
      fail<ArgumentError>(
          "a recurrent network with tied embeddings has no adaptive softmax; leave out one of the two");
    adaptive.emplace(rng, chosen.width, chosen.vocab, chosen.cutoffs);
    head.bias = Parameter();
  }
  if (chosen.is_tied(false) || adaptive) head.weight = Parameter();
}

template <class Layer>
double RecurrentNetwork<Layer>::fewest_parameters(const NetworkOptions& options) {
  const auto vocab = static_cast<double>(options.vocab), embedding = static_cast<double>(options.embedding),
             width = static_cast<double>(options.width);
  const bool full_head = !options.is_tied(false) && options.cutoffs.empty();
  return vocab * embedding + width * embedding + options.layers * width * width +
         (full_head ? width * vocab : 0);
}

template <class Layer>
Variable RecurrentNetwork<Layer>::dropped(const Variable& x, const std::optional<double>& rate,
                                          Rng* rng) const {
  const double share = rate.value_or(options.dropout);
  return options.locked_dropout ? nn::locked_dropout(x, share, rng) : nn::dropout(x, share, rng);
}

template <class Layer>
std::pair<Variable, typename Layer::State> RecurrentNetwork<Layer>::features(const Indices& x,
                                                                             const State& state,
                                                                             Rng* rng) const {
  const InModule here(*this);
  return run(x, state, rng, {});
}

/// Where nothing of the embeddings is dropped, the layer may project their table instead of them.
template <class Layer>
std::pair<Variable, typename Layer::State> RecurrentNetwork<Layer>::run(const Indices& x, const State& state,
                                                                        Rng* rng,
                                                                        const Indices& lengths) const {
  const bool drops = options.word_dropout > 0 || options.input_dropout.value_or(options.dropout) > 0;
  if (rng == nullptr || !drops) return recurrent(embed, x, state, rng, lengths);
  const Variable embedded =
      options.word_dropout > 0 ? nn::embedding_dropout(embed, x, options.word_dropout, rng) : embed(x);
  return recurrent(dropped(embedded, options.input_dropout, rng), state, rng, lengths);
}

/// features of documents that are apart: each is a sequence of a batch of its own, begun with the state of
/// its text where it goes on from the batch before.
template <class Layer>
std::pair<Variable, typename Layer::State> RecurrentNetwork<Layer>::separate_documents(const Indices& x,
                                                                                       const State& state,
                                                                                       Rng* rng) const {
  const detail::SeparateDocuments apart(x, options.document_end);
  const State first = start(1);
  const State begun = nn::state_of<State>([&](std::size_t k) {
    return index_select(concat({*State::parts(state)[k], *State::parts(first)[k]}, 1), 1, apart.before);
  });
  const auto [h, after] = run(apart.ids, begun, rng, apart.lengths);  // (longest, documents, width)
  const Variable by_token = index_select(flatten(h, 0, 1), 0, apart.places);
  return {reshape(by_token, {x.dim(0), x.dim(1), h.dim(2)}),
          nn::state_of<State>([&, &last = after](std::size_t k) {
            return index_select(*State::parts(last)[k], 1, apart.last);
          })};
}

template <class Layer>
Variable RecurrentNetwork<Layer>::logits(const Variable& features, Rng* rng) const {
  const InModule here(*this);
  const Variable h = dropped(features, options.output_dropout, rng);
  if (adaptive) return adaptive->log_prob(h);
  return options.is_tied(false) ? linear(h, embed.weight, head.bias) : head(h);
}

template <class Layer>
std::pair<Variable, typename Layer::State> RecurrentNetwork<Layer>::loss(const Indices& x, const Indices& y,
                                                                         const State& state, Rng* rng) const {
  PenalizedLoss out = penalized_loss(x, y, state, rng, {});
  return {std::move(out.mean), std::move(out.next)};
}

template <class Layer>
auto RecurrentNetwork<Layer>::penalized_loss(const Indices& x, const Indices& y, const State& state, Rng* rng,
                                             const ActivationPenalties& penalties) const -> PenalizedLoss {
  const InModule here(*this);
  auto [h, next] = options.document_end >= 0 ? separate_documents(x, state, rng) : run(x, state, rng, {});
  const Variable dropped_h = dropped(h, options.output_dropout, rng);
  PenalizedLoss out{
      adaptive ? (*adaptive)(dropped_h, y).loss : nn::linear_cross_entropy(dropped_h, output(), head.bias, y),
      {},
      std::move(next)};
  if (penalties.size > 0) out.penalty = nn::activation_penalty(dropped_h, penalties.size);
  if (penalties.change > 0 && h.dim(0) > 1) {
    const Variable change = nn::change_penalty(h, penalties.change);
    out.penalty = out.penalty.value().defined() ? out.penalty + change : change;
  }
  return out;
}

template struct RecurrentNetwork<nn::Rnn>;
template struct RecurrentNetwork<nn::Gru>;
template struct RecurrentNetwork<nn::Lstm>;

}  // namespace gradus::models
