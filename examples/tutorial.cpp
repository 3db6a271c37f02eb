// The tutorial's program: from a tensor to a trained model. It fits y = sin(3 x) by a small network.
// docs/tutorial.md explains it step by step.

#include <gradus.hpp>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>

using namespace gradus;

struct Net {
  nn::Linear hidden, head;

  Net(Rng& rng, std::int64_t width) : hidden(rng, 1, width), head(rng, width, 1) {}

  Variable operator()(const Variable& x) const {  // (batch, 1) to (batch, 1)
    return head(tanh(hidden(x)));
  }
  static void members(auto& self, auto&& visit) {
    visit("hidden", self.hidden);
    visit("head", self.head);
  }
};

void tensors() {
  const Tensor a = Tensor::of({1, 2, 3, 4, 5, 6}).reshape({2, 3});
  std::cout << a << "\n";
  std::cout << sum(a, 0) << "\n";
  std::cout << a * 10 + Tensor::of({0.5, 0, -0.5}) << "\n";
  std::cout << matmul(a, transpose(a)) << "\n";
}

void derivatives() {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({1, 2, 3}));
  const Variable y = sum(x * x * x);
  std::cout << tape.backward(y)[x] << "\n";
}

int main() {
  tensors();
  derivatives();

  Rng rng(1);
  const Tensor x = rng.uniform({256, 1}, -2, 2), y = sin(3 * x);
  Net net(rng, 32);
  std::cout << describe(net);

  optim::Adam optimizer({.lr = 0.01});
  const optim::CosineSchedule schedule{.lr = 0.01, .steps = 2000};
  for (int step = 0; step < 2000; ++step) {
    Tape tape;
    const Variable loss = nn::mse(net(Variable(x)), y);
    optimizer.set_lr(schedule(step));
    optimizer.step(net, tape.backward(loss));
    if (step % 500 == 0) std::printf("step %4d: loss %.5f\n", step, loss.item());
  }

  const Tensor test = linspace(-2, 2, 101).reshape({101, 1});
  const double error = nn::mse(net(Variable(test)), sin(3 * test)).item();
  std::printf("mean square error on other points: %.5f\n", error);

  const auto file = std::filesystem::temp_directory_path() / ("gradus_tutorial_" + std::to_string(getpid()));
  nn::save_weights(file, net);
  Net loaded(rng, 32);
  nn::load_weights(file, loaded);
  std::filesystem::remove(file);
  const bool same = identical(net(Variable(test)).value(), loaded(Variable(test)).value());
  std::printf("the loaded network gives %s numbers\n", same ? "the same" : "other");
  return error < 1e-3 && same ? 0 : 1;
}
