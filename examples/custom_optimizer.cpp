// A custom optimizer: Lion (Chen et al. 2023, algorithm 2), here fitting a line.

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

// custom begins
struct LionRule {
  struct Options {
    double lr = 1e-4, beta1 = 0.9, beta2 = 0.99, weight_decay = 0;
  };
  static void check(const Options& o) {
    optim::check_options("Lion", {{"lr", o.lr, optim::not_negative},
                                  {"beta1", o.beta1, optim::fraction},
                                  {"beta2", o.beta2, optim::fraction},
                                  {"weight_decay", o.weight_decay, optim::not_negative}});
  }

  Options options;
  std::int64_t t;  // the step, from 1

  // p: an element of a parameter; g: its gradient; m: what the optimizer keeps of it, 0 at first.
  void update(auto& p, auto g, auto& m) const {
    const auto& [lr, beta1, beta2, weight_decay] = options;
    p -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p);
    m = beta2 * m + (1 - beta2) * g;
  }
};
using Lion = optim::Optimizer<LionRule>;
// custom ends

int main() {
  Rng rng(1);
  nn::Linear line(rng, 1, 1);
  const Variable x(rng.uniform({64, 1}, -1, 1));
  const Variable y = 3 * x - 1;

  Lion opt({.lr = 0.05});
  double last = 0;
  for (int step = 0; step < 600; ++step) {
    Tape tape;
    const Variable loss = mean(square(line(x) - y));
    opt.step(line, tape.backward(loss), {.clip_norm = 1});
    opt.set_lr(0.05 * std::pow(0.99, step));
    last = loss.item();
  }
  std::printf("y = %.2f x + %.2f, mean square error %.1e\n", line.weight.value().at(0),
              line.bias.value().at(0), last);
  return last < 1e-2 ? 0 : 1;
}
