// A time series: the next value of a signal of two periods and a trend, with noise, by a GRU that reads the
// values so far. It is compared with two guesses: the last value, and what noise leaves to the best of all.

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

struct Forecaster {
  nn::Gru memory;
  nn::Linear change;

  explicit Forecaster(Rng& rng) : memory(rng, 1, 24), change(rng, 24, 1) {}

  /// series: (time, batch, 1), to a forecast of the value after each: (time, batch, 1).
  Variable operator()(const Tensor& series) const {
    const Variable x(series);
    const auto [h, state] = memory(x, memory.start(x.dim(1)));
    return x + change(h);
  }
  static void members(auto& self, auto&& visit) {
    visit("memory", self.memory);
    visit("change", self.change);
  }
};

constexpr double noise = 0.05;

/// (time, batch, 1), each column from another time on.
Tensor signals(Rng& rng, std::int64_t time, std::int64_t batch) {
  const Tensor t =
      arange(0, static_cast<double>(time)).reshape({time, 1, 1}) + rng.uniform({1, batch, 1}, 0, 500);
  return sin(0.3 * t) + 0.5 * sin(0.11 * t) + 0.001 * t + rng.normal({time, batch, 1}, 0, noise);
}

int main() {
  Rng rng(1);
  Forecaster model(rng);
  optim::Adam optimizer;
  const optim::CosineSchedule schedule{.lr = 0.01, .steps = 400, .warmup = 20};
  for (std::int64_t step = 0; step < 400; ++step) {
    const Tensor series = signals(rng, 61, 16);
    Tape tape;
    const Variable loss = nn::mse(model(slice(series, 0, 0, 60)), slice(series, 0, 1, 61));
    optimizer.set_lr(schedule(step));
    optimizer.step(model, tape.backward(loss), {.clip_norm = 1});
  }

  // What it never saw, once it has read the first 30 values.
  const Tensor series = signals(rng, 201, 32), next = slice(series, 0, 31, 201);
  const auto error = [&](const Tensor& forecast) { return std::sqrt(mean(square(forecast - next)).item()); };
  const double last = error(slice(series, 0, 30, 200));
  const double learned = error(slice(model(slice(series, 0, 0, 200)).value(), 0, 30, 200));
  std::printf("error of the next value: last value %.3f, GRU %.3f, the noise alone %.3f\n", last, learned,
              noise);
  return learned < 0.4 * last ? 0 : 1;
}
