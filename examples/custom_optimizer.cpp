// A custom optimizer: Signum (Bernstein et al. 2018, algorithm 2), here fitting a line.

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

// custom begins
struct SignumRule {
  struct Options {
    double lr = 1e-4, beta = 0.9, weight_decay = 0;
  };
  static void check(const Options& o) {
    optim::check_options("Signum", {{"lr", o.lr, optim::not_negative},
                                    {"beta", o.beta, optim::fraction},
                                    {"weight_decay", o.weight_decay, optim::not_negative}});
  }

  Options options;
  std::int64_t t;  // the step, from 1

  // p: an element of a parameter; g: its gradient; m: what the optimizer keeps of it, 0 at first.
  void update(auto& p, auto g, auto& m) const {
    const auto& [lr, beta, weight_decay] = options;
    m = beta * m + (1 - beta) * g;
    p -= lr * (sign(m) + weight_decay * p);
  }
};
using Signum = optim::Optimizer<SignumRule>;
// custom ends

int main() {
  Rng rng(1);
  nn::Linear line(rng, 1, 1);
  const Variable x(rng.uniform({64, 1}, -1, 1));
  const Variable y = 3 * x - 1;

  Signum opt({.lr = 0.05});
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
