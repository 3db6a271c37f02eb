#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <span>

#include "autograd/ops/cross_entropy.hpp"
#include "autograd/tape.hpp"
#include "nn/lora_adapter.hpp"
#include "optim/rules.hpp"
#include "optim/schedule.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "text/batches.hpp"
#include "text/read_ahead.hpp"

namespace gradus::models {

struct TrainOptions {
  std::int64_t batch = 32;   // texts read side by side
  std::int64_t steps = 64;   // tokens between two updates, the reach of backpropagation
  std::int64_t epochs = 1;   // times through the text
  std::int64_t updates = 0;  // so many instead, the text begun again as often as that takes; 0: `epochs`
  double clip = 1;           // the gradients' largest norm
  std::uint64_t seed = 1;    // of dropout
  // Of AdamW, which trains where no optimizer is given:
  double lr = 2e-3;  // at the start; it falls to lr * final_lr by half a cosine
  double final_lr = 0.02;
  std::int64_t warmup = 0;  // updates of a linear rise to lr, as transformers want; at most half of all
  double weight_decay = 0;
};

/// How far a training run is; losses are means in nats a token.
struct TrainProgress {
  std::int64_t step = 0, steps = 0;  // updates done, and in all
  std::int64_t tokens = 0;
  double loss = 0;  // smoothed over about the last hundred updates

  /// One more update, over `size` tokens.
  void add(std::int64_t size, double mean_loss);
};
using TrainReport = std::function<void(const TrainProgress&)>;

/// The number of updates that training on this text takes, which a schedule may need to know. Throws as
/// `train` does.
std::int64_t updates(std::span<const std::int32_t> tokens, const TrainOptions& options);

namespace detail {
/// Throws NumericError naming the step; `what` says which op made the first NaN or infinity.
[[noreturn]] void fail_not_finite(std::int64_t step, double loss, const std::string& what);
/// False for NaN, infinity, and a loss whose perplexity is too large for a double: training has diverged.
bool is_usable(double loss);
/// No loss shows what the last update did. Throws NumericError naming the parameter.
template <class Network>
void check_weights(const Network& network, std::int64_t steps, double loss) {
  for_each_parameter(network, [&](const std::string& path, const Parameter& parameter) {
    if (!all_finite(parameter.value()))
      fail_not_finite(steps, loss, "the last update left NaN or infinity in " + path);
  });
}
/// The mean cross entropy of the targets, and the state after them: by the network's own `loss` where it has
/// one.
template <class Network, class State>
std::pair<Variable, State> loss_of(const Network& network, const Indices& x, const Indices& y,
                                   const State& state, Rng* rng) {
  if constexpr (requires {
                  { network.loss(x, y, state, rng) } -> std::convertible_to<std::pair<Variable, State>>;
                }) {
    return network.loss(x, y, state, rng);
  } else {
    auto [logits, next] = network(x, state, rng);
    return {cross_entropy(logits, y), std::move(next)};
  }
}
/// Whether a network in training goes on from the state that the batch before left.
template <class Network>
constexpr bool carries_state = [] {
  if constexpr (requires { Network::carries_state; }) {
    return Network::carries_state;
  } else {
    return true;
  }
}();
/// Runs a step whose loss is of no use again, looking at every op's result. Throws NumericError naming the
/// first op whose result is not finite.
template <class Network, class State>
[[noreturn]] void explain_loss(const Network& network, const Batch& batch, const State& state, Rng rng,
                               std::int64_t step, double loss) {
  try {
    const Tape watched({.check_finite = true});
    const nn::LoraDropout of_adapters(&rng);
    cross_entropy(network(batch.x, state, &rng).first, batch.y);
  } catch (const NumericError& error) {
    fail_not_finite(step, loss, error.what());
  }
  fail_not_finite(step, loss, "no op; the weights have grown beyond use");
}
}  // namespace detail

/// Trains a network on a text by truncated backpropagation through time: contiguous batches, the state
/// carried from one to the next (not its gradient) unless the network says otherwise (networks.hpp), and
/// begun anew with each epoch. A network is called as network(x, state, rng), giving logits and the next
/// state; when it has a member loss(x, y, state, rng) that gives the mean cross entropy and the next state,
/// that is called instead. The optimizer is any with `set_lr` and `step` as optim::Optimizer's, and
/// `schedule(i)` the learning rate of update i, from 0, as those of optim/schedule.hpp. `report` is called
/// after every update. Throws DataError when the text is too short for a batch, NumericError when the loss,
/// its perplexity or the weights are not finite.
template <class Network, class Optimizer, std::invocable<std::int64_t> Schedule>
TrainProgress train(Network& network, std::span<const std::int32_t> tokens, const TrainOptions& options,
                    Optimizer& optimizer, const Schedule& schedule, const TrainReport& report = {}) {
  TrainProgress progress;
  progress.steps = updates(tokens, options);
  const auto all = batches(tokens, {.batch = options.batch, .steps = options.steps});
  Rng rng(options.seed);
  while (progress.step < progress.steps) {
    auto state = network.start(options.batch);
    for (const Batch& batch : read_ahead(all)) {
      if (progress.step == progress.steps) break;
      const Rng before = rng;
      double loss = 0;
      {
        Tape tape;
        const nn::LoraDropout of_adapters(&rng);
        auto [mean_loss, next] = detail::loss_of(network, batch.x, batch.y, state, &rng);
        loss = mean_loss.item();
        if (!detail::is_usable(loss))
          detail::explain_loss(network, batch, state, before, progress.step + 1, loss);
        optimizer.set_lr(schedule(progress.step));
        optimizer.step(network, tape.backward(mean_loss), {.clip_norm = options.clip});
        if constexpr (detail::carries_state<Network>) state = detach(next);
      }
      progress.add(batch.x.size(), loss);
      if (report) report(progress);
    }
  }
  detail::check_weights(network, progress.steps, progress.loss);
  return progress;
}

/// The same by AdamW, with the learning rate falling by half a cosine.
template <class Network>
TrainProgress train(Network& network, std::span<const std::int32_t> tokens, const TrainOptions& options,
                    const TrainReport& report = {}) {
  optim::AdamW optimizer({.lr = options.lr, .weight_decay = options.weight_decay});
  const std::int64_t steps = updates(tokens, options);
  const optim::CosineSchedule schedule{.lr = options.lr,
                                       .steps = steps,
                                       .minimum = options.lr * options.final_lr,
                                       .warmup = std::min(options.warmup, steps / 2)};
  return train(network, tokens, options, optimizer, schedule, report);
}

}  // namespace gradus::models
