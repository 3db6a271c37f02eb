// A custom layer: a highway layer (Srivastava et al. 2015) that learns how much of its input to let through.
// Its parts are found through `members`: by optimizers, for saving, counting and checking.

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

// custom begins
struct Highway {
  nn::Linear change, gate;

  Highway(Rng& rng, std::int64_t width) : change(rng, width, width), gate(rng, width, width) {}

  Variable operator()(const Variable& x) const {  // (..., width) to (..., width)
    const Variable t = sigmoid(gate(x));
    return t * tanh(change(x)) + (1 - t) * x;
  }
  static void members(auto& self, auto&& visit) {
    visit("change", self.change);
    visit("gate", self.gate);
  }
};
// custom ends

int main() {
  Rng rng(1);
  Highway layer(rng, 8);
  const Variable x(rng.normal({64, 8})), target(sin(3 * x.value()));  // (batch, width)
  optim::Adam optimizer({.lr = 1e-2});
  double first = 0, last = 0;
  for (int step = 0; step < 300; ++step) {
    Tape tape;
    const Variable loss = mean(square(layer(x) - target));
    if (step == 0) first = loss.item();
    last = loss.item();
    optimizer.step(layer, tape.backward(loss));
  }
  std::printf("highway: %lld parameters, loss %.3f to %.3f\n",
              static_cast<long long>(count_parameters(layer)), first, last);
  return last < first / 2 ? 0 : 1;
}
