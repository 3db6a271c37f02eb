// Data prepared with xtensor expressions, and a network trained on them: is a point inside of a ring? Tensors
// and xtensor arrays share their elements.

#include <gradus.hpp>

#include <cstdio>

// Found where xtensor is installed (libxtensor-dev); its headers do not keep to all warnings.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include "tensor/xtensor.hpp"
#if __has_include(<xtensor/views/xview.hpp>)
#include <xtensor/core/xmath.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>
#endif
#pragma GCC diagnostic pop

using namespace gradus;

struct Net {
  nn::Linear hidden, head;

  explicit Net(Rng& rng) : hidden(rng, 2, 24), head(rng, 24, 2) {}

  Variable operator()(const Variable& x) const { return head(tanh(hidden(x))); }  // (batch, 2) to (batch, 2)
  static void members(auto& self, auto&& visit) {
    visit("hidden", self.hidden);
    visit("head", self.head);
  }
};

int main() {
  Rng rng(1);
  const Tensor drawn = rng.uniform({1000, 2}, -1, 1);

  // data begins
  const auto points = as_xtensor(drawn);  // the tensor's own elements
  const auto distance = xt::sqrt(xt::sum(xt::square(points), {1}));
  const Indices inside = from_xtensor(xt::cast<int>(distance > 0.4f && distance < 0.8f));
  const xt::xarray<float> centered = points - xt::mean<float>(points, {0});
  const Tensor inputs = from_xtensor(centered / xt::sqrt(xt::mean<float>(xt::square(centered), {0})));
  // data ends

  Net net(rng);
  optim::Adam optimizer({.lr = 0.02});
  Loader batches(inputs, inside, {.batch = 50, .shuffle = true, .seed = 1});
  for (int epoch = 0; epoch < 100; ++epoch) {
    for (const auto& [x, y] : batches) {
      Tape tape;
      optimizer.step(net, tape.backward(cross_entropy(net(Variable(x)), y)));
    }
  }
  const Indices guessed = argmax(net(Variable(inputs)).value(), -1);
  const xt::xarray<bool> right = xt::equal(as_xtensor(guessed), as_xtensor(inside));
  const double share = xt::mean(xt::cast<double>(right))();
  std::printf("%.1f%% of the points are told right\n", 100 * share);
  return share > 0.9 ? 0 : 1;
}
