// A user's first small program: its compile time and its size are measured.

#include <gradus.hpp>

#include <cstdio>

using namespace gradus;

struct Net {
  nn::Linear first, second, third;
  explicit Net(Rng& rng) : first(rng, 2, 16), second(rng, 16, 16), third(rng, 16, 1) {}
  Variable operator()(const Variable& x) const { return third(tanh(second(tanh(first(x))))); }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("second", self.second);
    visit("third", self.third);
  }
};

int main() {
  Rng rng(1);
  Net net(rng);
  const Tensor x = rng.normal({32, 2});  // (batch, 2)
  const Variable input(x), target(sin(slice(x, 1, 0, 1)));
  optim::Sgd optimizer({.lr = 0.1});
  for (int step = 0; step < 1000; ++step) {
    Tape tape;
    const Variable loss = mean(square(net(input) - target));
    optimizer.step(net, tape.backward(loss));
    if (step % 100 == 0) std::printf("%d %g\n", step, loss.item());
  }
}
