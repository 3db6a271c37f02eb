// A layer with a buffer: it subtracts a running mean of its inputs, which is saved and loaded with the model,
// and which no optimizer changes.

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

// custom begins
struct Centred {
  Parameter scale;
  Buffer center;

  explicit Centred(std::int64_t width) : scale(ones(width)), center(zeros(width)) {}

  Variable operator()(const Variable& x, Rng* rng) const {  // (batch, width); rng is null in evaluation
    if (rng != nullptr) center.update(0.9 * center.value() + 0.1 * mean(x.value(), 0));
    return (x - center.value()) * scale;
  }
  static void members(auto& self, auto&& visit) {
    visit("scale", self.scale);
    visit("center", self.center);
  }
};
// custom ends

int main() {
  Rng rng(1);
  nn::Sequential model(Centred(4), nn::Linear(rng, 4, 1));
  optim::Adam optimizer({.lr = 1e-2});
  for (int step = 0; step < 200; ++step) {
    const Tensor x = rng.normal({32, 4}, 5, 1);  // (batch, width), around 5
    Tape tape;
    const Variable loss = mean(square(model(Variable(x), &rng) - sum(x - 5, 1, true)));
    optimizer.step(model, tape.backward(loss));
  }
  std::printf("%s", describe(model).c_str());
  const double center = mean(std::get<0>(model.layers).center.value()).item();
  std::printf("the inputs are around %.1f\n", center);
  return std::abs(center - 5) < 0.3 ? 0 : 1;
}
