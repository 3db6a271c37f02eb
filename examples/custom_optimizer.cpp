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
    if (!(o.lr >= 0) || !(o.beta1 >= 0 && o.beta1 < 1) || !(o.beta2 >= 0 && o.beta2 < 1))
      fail<ArgumentError>("Lion: lr {}, betas {} and {}; lr may not be negative, betas are below 1", o.lr,
                          o.beta1, o.beta2);
  }
  static int kept(const Options&) { return 1; }  // a momentum for each element

  Options options;
  std::int64_t t;  // the step, from 1

  template <class T>
  void update(const optim::Run<T>& run) const {
    const T lr = T(options.lr), beta1 = T(options.beta1), beta2 = T(options.beta2);
    for (std::int64_t i = 0; i < run.size; ++i) {
      const T g = run.gradient[i];
      T& m = run.kept[0][i];
      T& p = run.parameter[i];
      const T c = beta1 * m + (1 - beta1) * g;
      p -= lr * (T((c > 0) - (c < 0)) + T(options.weight_decay) * p);
      m = beta2 * m + (1 - beta2) * g;
    }
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
