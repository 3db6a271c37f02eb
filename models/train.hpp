#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <span>

#include "autograd/ops/cross_entropy.hpp"
#include "autograd/tape.hpp"
#include "optim/rules.hpp"
#include "optim/schedule.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "text/batches.hpp"
#include "text/read_ahead.hpp"

namespace gradus::models {

struct TrainOptions {
  std::int64_t batch = 32;  // texts read side by side
  std::int64_t steps = 64;  // tokens between two updates, the reach of backpropagation
  std::int64_t epochs = 1;  // times through the text
  double lr = 2e-3;         // Adam's at the start; it falls to lr * final_lr by half a cosine
  double final_lr = 0.02;
  double clip = 1;  // the gradients' largest norm
  double weight_decay = 0;
  std::uint64_t seed = 1;  // of dropout
};

/// Where a training run stands; losses are means in nats a token.
struct TrainProgress {
  std::int64_t step = 0, steps = 0;  // updates done, and in all
  std::int64_t tokens = 0;
  double loss = 0;  // smoothed over about the last hundred updates
};

namespace detail {
/// Throws NumericError naming the step; `what` says which op made the first NaN or infinity.
[[noreturn]] void fail_not_finite(std::int64_t step, double loss, const std::string& what);
/// False for NaN, infinity, and a loss whose perplexity no double holds: training that went astray.
bool is_usable(double loss);
/// The last update is seen by no loss any more. Throws NumericError naming the parameter.
template <class Network>
void check_weights(const Network& network, std::int64_t steps, double loss) {
  for_each_parameter(network, [&](const std::string& path, const Parameter& parameter) {
    if (!all_finite(parameter.value()))
      fail_not_finite(steps, loss, "the last update left NaN or infinity in " + path);
  });
}
/// The mean cross entropy of the targets, and the state after them: a network may have a way of its own.
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
/// Throws ArgumentError for options out of range.
void check_train_options(const TrainOptions& options);
}  // namespace detail

/// Trains a network on a text by truncated backpropagation through time: contiguous batches, the state
/// carried from one to the next (not its gradient), and begun anew with each epoch. A network is called as
/// network(x, state, rng), giving logits and the next state; when it has a member loss(x, y, state, rng) that
/// gives the mean cross entropy and the next state, that is called instead. `report` is called after
/// every update. Throws DataError when the text is too short for a batch, NumericError when the loss, its
/// perplexity or the weights are not finite.
template <class Network>
TrainProgress train(Network& network, std::span<const std::int32_t> tokens, const TrainOptions& options,
                    const std::function<void(const TrainProgress&)>& report = {}) {
  detail::check_train_options(options);
  const auto all = batches(tokens, {.batch = options.batch, .steps = options.steps});
  TrainProgress progress;
  progress.steps = options.epochs * static_cast<std::int64_t>(all.size());
  const optim::CosineSchedule schedule{
      .lr = options.lr, .steps = progress.steps, .minimum = options.lr * options.final_lr};
  optim::AdamW optimizer({.lr = options.lr, .weight_decay = options.weight_decay});
  Rng rng(options.seed);
  for (std::int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    auto state = network.start(options.batch);
    for (const Batch& batch : read_ahead(all)) {
      const Rng before = rng;
      double loss = 0;
      {
        Tape tape;
        auto [mean_loss, next] = detail::loss_of(network, batch.x, batch.y, state, &rng);
        loss = mean_loss.item();
        if (!detail::is_usable(loss)) {
          // Run the step again, looking at every op's result.
          Rng again = before;
          try {
            const Tape watched({.check_finite = true});
            auto [logits, unused] = network(batch.x, state, &again);
            cross_entropy(logits, batch.y);
          } catch (const NumericError& error) {
            detail::fail_not_finite(progress.step + 1, loss, error.what());
          }
          detail::fail_not_finite(progress.step + 1, loss, "no op; the weights have grown beyond use");
        }
        optimizer.set_lr(schedule(progress.step));
        optimizer.step(network, tape.backward(mean_loss), {.clip_norm = options.clip});
        state = detach(next);
      }
      ++progress.step;
      progress.tokens += batch.x.size();
      progress.loss =
          progress.step == 1
              ? loss
              : progress.loss +
                    (loss - progress.loss) / static_cast<double>(std::min<std::int64_t>(progress.step, 100));
      if (report) report(progress);
    }
  }
  detail::check_weights(network, progress.steps, progress.loss);
  return progress;
}

}  // namespace gradus::models
