// A custom schedule: warm-up, a plateau, and a fall like 1 - sqrt (Hägele et al. 2024, "Scaling laws and
// compute-optimal training beyond fixed training durations"), beside one of the library's.

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

// custom begins
/// Rises over `warmup` steps to lr, stays, and falls over the last `cooldown` of `steps` to 0.
struct CooldownSchedule {
  double lr = 1e-3;
  std::int64_t steps = 1000, warmup = 50, cooldown = 200;

  double operator()(std::int64_t step) const {
    const auto part = [](std::int64_t a, std::int64_t b) {
      return static_cast<double>(a) / static_cast<double>(b);
    };
    if (step < warmup) return lr * part(step + 1, warmup);
    if (step < steps - cooldown) return lr;
    return step < steps ? lr * (1 - std::sqrt(part(step - (steps - cooldown), cooldown))) : 0;
  }
};
// custom ends

/// The error of a curve fitted to noisy points, a few at a time, by steps of these lengths.
double fit(const optim::Schedule& schedule) {
  Rng rng(1);
  const Tensor x = linspace(-3, 3, 200).reshape({200, 1}), y = sin(2 * x);
  nn::Linear hidden(rng, 1, 30), out(rng, 30, 1);
  const auto curve = [&](const Tensor& at) { return out(tanh(hidden(Variable(at)))); };
  optim::Adam first, second;
  for (std::int64_t step = 0; step < 1500; ++step) {
    Tape tape;
    const Tensor at = rng.uniform({16, 1}, -3, 3);
    const Gradients gradients = tape.backward(nn::mse(curve(at), sin(2 * at) + rng.normal({16, 1}, 0, 0.3)));
    first.set_lr(schedule(step));
    second.set_lr(schedule(step));
    first.step(hidden, gradients.of(hidden));
    second.step(out, gradients.of(out));
  }
  return nn::mse(curve(x), y).item();
}

int main() {
  const CooldownSchedule schedule{.lr = 0.03, .steps = 1500, .warmup = 20, .cooldown = 500};
  for (const std::int64_t step : {0, 500, 1100, 1500})
    std::printf("step %4lld: %.4f\n", static_cast<long long>(step), schedule(step));
  const double constant = fit(optim::ConstantSchedule{.lr = 0.03}), cooled = fit(schedule);
  std::printf("mean square error: constant %.5f, with the cooldown %.5f\n", constant, cooled);
  return cooled < constant && schedule(0) == 0.03 / 20 && schedule(1500) == 0 ? 0 : 1;
}
