#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "models/neural.hpp"
#include "models/train.hpp"
#include "nn/weights.hpp"
#include "tensor/ops.hpp"
#include "text/batches.hpp"

namespace gradus::models {

struct DynamicOptions {
  double lr = 1e-3;         // eta
  double decay = 0;         // lambda: the share of the way back to the trained weights that each update goes
  std::int64_t steps = 20;  // predictions between two updates
  double clip = 0.25;       // the gradients' largest norm; 0: none
  double eps = 1e-5;        // of the rule by mean squares
};

namespace detail {
/// Throws ArgumentError for options out of range.
void check_options(const DynamicOptions& options);
/// w - lr g, and decay of the way back to `trained`. With mean squares m of the training gradients the
/// gradient is divided by sqrt(m) + eps, and the decay multiplied by sqrt(m) over its mean, at most 1 / decay
/// of it (Krause et al. 2018).
Tensor dynamic_update(const Tensor& weight, const Tensor& trained, const Tensor& gradient, double scale,
                      const Tensor& mean_squares, double mean_root, const DynamicOptions& options);
}  // namespace detail

/// The mean squares of a network's gradients over a text, by the paths of its parameters, for the rule below.
/// Throws as `batches` does.
template <class Network>
Safetensors gradient_mean_squares(const Network& network, std::span<const std::int32_t> tokens,
                                  const BatchOptions& options = {.batch = 20, .steps = 20}) {
  Safetensors out;
  std::int64_t count = 0;
  auto state = network.start(options.batch);
  for (const Batch& batch : batches(tokens, options)) {
    Tape tape;
    auto [loss, next] = detail::loss_of(network, batch.x, batch.y, state, nullptr);
    const Gradients gradients = tape.backward(loss);
    if constexpr (detail::carries_state<Network>) state = detach(next);
    for_each_parameter(network, [&](const std::string& path, const Parameter& parameter) {
      if (!gradients.contains(parameter)) return;
      const Tensor g = gradients[parameter];
      Tensor& sum = out.tensors[path];
      sum = sum.defined() ? sum + g * g : g * g;
    });
    ++count;
  }
  for (auto& [path, sum] : out.tensors) sum = sum * (1 / static_cast<double>(count));
  return out;
}

/// Dynamic evaluation (Krause, Kahembwe, Murray and Renals 2018, "Dynamic evaluation of neural sequence
/// models"): the network goes on learning from what it reads. After every `steps` tokens, each predicted
/// before it was learned from, its weights take a step down the gradient of their loss, and back towards the
/// trained ones:
///   w <- w - eta g + lambda (w_trained - w)
/// or, with the mean squares of the training gradients (gradient_mean_squares), scaled by them. A
/// LanguageModel; a state holds weights of its own, which copies share until they learn something else.
template <class Network>
class DynamicEvaluation {
 public:
  struct State {
    std::shared_ptr<const Network> network;  // as it has become
    typename Network::State before;          // what it has read but for `last`
    std::int32_t last = -1;  // the token that the next one is predicted behind; -1 at the beginning
    // Of the update to come: where it begins, and the tokens that were read since, with what came after each.
    typename Network::State begun;
    std::vector<std::int32_t> read, after;
  };

  /// Throws ArgumentError for options out of range.
  DynamicEvaluation(Network network, const DynamicOptions& options, Safetensors mean_squares = {})
      : trained_(std::make_shared<const Network>(std::move(network))),
        options_(options),
        mean_squares_(std::move(mean_squares)) {
    detail::check_options(options);
    double roots = 0, count = 0;
    for (const auto& [path, squares] : mean_squares_.tensors) {
      roots += sum(sqrt(squares)).to(Dtype::f64).item();
      count += static_cast<double>(squares.size());
    }
    if (count > 0) mean_root_ = roots / count;
  }

  std::int32_t vocab_size() const { return static_cast<std::int32_t>(trained_->options.vocab); }
  State start() const { return {trained_, trained_->start(1), -1, {}, {}, {}}; }
  State advance(const State& state, std::int32_t token) const {
    State out = state;
    score(out, std::span(&token, 1));
    return out;
  }
  Tensor log_probs(const State& state) const {
    const PauseRecording pause;
    if (state.last < 0) return full({vocab_size()}, uniform());
    const auto [logits, next] = (*state.network)(column(std::span(&state.last, 1)), state.before);
    return log_softmax(logits.value()).reshape({vocab_size()}).to(Dtype::f32);
  }
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const {
    std::vector<double> out;
    out.reserve(tokens.size());
    if (state.last < 0 && !tokens.empty()) {
      state.last = tokens.front();
      state.begun = state.before;
      out.push_back(uniform());
      tokens = tokens.subspan(1);
    }
    while (!tokens.empty()) {
      const auto room = static_cast<std::size_t>(options_.steps) - state.read.size();
      const auto part = tokens.first(std::min(room, tokens.size()));
      read_part(state, part, out);
      if (std::ssize(state.read) == options_.steps) learn(state);
      tokens = tokens.subspan(part.size());
    }
    return out;
  }
  /// The network as a state's reading has made it.
  const Network& network(const State& state) const { return *state.network; }

 private:
  double uniform() const { return -std::log(static_cast<double>(vocab_size())); }
  static Indices column(std::span<const std::int32_t> tokens) {
    return Indices(std::vector<std::int32_t>(tokens.begin(), tokens.end()), {std::ssize(tokens), 1});
  }
  /// Predicts tokens from `last` on, and reads all but the last of them.
  void read_part(State& state, std::span<const std::int32_t> part, std::vector<double>& out) const {
    const PauseRecording pause;
    std::vector<std::int32_t> inputs{state.last};
    inputs.insert(inputs.end(), part.begin(), part.end() - 1);
    auto [logits, next] = (*state.network)(column(inputs), state.before);
    const Tensor losses = cross_entropy(logits, column(part), Reduction::none).value();
    for (std::int64_t i = 0; i < losses.size(); ++i) out.push_back(-losses.at(i));
    state.before = std::move(next);
    state.last = part.back();
    state.read.insert(state.read.end(), inputs.begin(), inputs.end());
    state.after.insert(state.after.end(), part.begin(), part.end());
  }
  void learn(State& state) const {
    auto changed = std::make_shared<Network>(*state.network);
    Tape tape;
    const auto begun = detach(state.begun);
    auto [loss, next] = detail::loss_of(*changed, column(state.read), column(state.after), begun, nullptr);
    const Gradients gradients = tape.backward(loss);
    const double size = norm(gradients);
    const double scale = options_.clip > 0 && size > options_.clip ? options_.clip / size : 1;
    std::vector<const Parameter*> trained;
    for_each_parameter(*trained_, [&](const std::string&, const Parameter& one) { trained.push_back(&one); });
    std::size_t at = 0;
    for_each_parameter(*changed, [&](const std::string& path, Parameter& parameter) {
      const Tensor& origin = trained[at++]->value();
      const auto squares = mean_squares_.tensors.find(path);
      const Tensor gradient = gradients.contains(parameter) ? gradients[parameter] : Tensor();
      parameter.mutable_value() = detail::dynamic_update(
          parameter.value(), origin, gradient, scale,
          squares == mean_squares_.tensors.end() ? Tensor() : squares->second, mean_root_, options_);
    });
    state.network = std::move(changed);
    state.begun = state.before;
    state.read.clear();
    state.after.clear();
  }

  std::shared_ptr<const Network> trained_;
  DynamicOptions options_;
  Safetensors mean_squares_;
  double mean_root_ = 1;
};

}  // namespace gradus::models
