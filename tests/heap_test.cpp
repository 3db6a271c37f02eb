#include <cstdlib>
#include <memory>

#include "autograd/elementwise.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/embedding.hpp"
#include "nn/losses.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"
#include "optim/adam.hpp"
#include "optim/clip.hpp"
#include "optim/sgd.hpp"
#include "tests/catch.hpp"
#include "tests/heap_count.hpp"
#include "tests/tiny_net.hpp"

using namespace gradus;

namespace {

/// What twenty steps take from the heap once a few have filled the pool.
template <class Step>
std::int64_t steady_heap_count(const Step& step) {
  for (int i = 0; i < 5; ++i) step();
  const std::int64_t before = test::heap_count();
  for (int i = 0; i < 20; ++i) step();
  return test::heap_count() - before;
}

}  // namespace

TEST_CASE("the count of heap allocations sees new, malloc and aligned memory", "[heap]") {
  if (!test::counts_heap) return;
  const std::int64_t before = test::heap_count();
  const auto one = std::make_unique<double>(1);
  struct alignas(64) Line {
    double x[8];
  };
  const auto two = std::make_unique<Line>();
  void* volatile three = std::malloc(8);
  std::free(three);
  CHECK(*one + two->x[0] == 1);
  CHECK(test::heap_count() - before == 3);
}

TEST_CASE("a training step in steady state takes nothing from the heap", "[heap]") {
  if (!test::counts_heap) return;
  Rng rng(1);
  test::TinyNet net(rng);
  const Variable x(rng.normal({32, 2})), target(rng.normal({32, 1}));
  const auto train = [&](auto& optimizer) {
    Tape tape;
    const Variable loss = mean(square(net(x) - target));
    Gradients grads = tape.backward(loss);
    optim::clip_norm(grads, 1);
    optimizer.step(net, grads);
  };
  SECTION("SGD") {
    optim::Sgd sgd({.lr = 0.1, .momentum = 0.9});
    CHECK(steady_heap_count([&] { train(sgd); }) == 0);
  }
  SECTION("Adam") {
    optim::Adam adam({.lr = 0.01});
    CHECK(steady_heap_count([&] { train(adam); }) == 0);
  }
  SECTION("scalars and traced functions") {
    const Parameter scale(Tensor::scalar(0.5));
    const auto swish = [](auto v, auto beta) { return v / (1 + exp(-beta * v)); };
    CHECK(steady_heap_count([&] {
            Tape tape;
            tape.backward(sum(elementwise(swish, x * scale, scale)) / 2 + tanh(scale));
          }) == 0);
  }
}

TEST_CASE("a step of a recurrent language model in steady state takes nothing from the heap", "[heap]") {
  if (!test::counts_heap) return;
  Rng rng(1);
  nn::Embedding embed(rng, 20, 8);
  nn::Lstm lstm(rng, 8, 16, {.layers = 2});
  nn::Rnn rnn(rng, 16, 16);
  nn::Linear head(rng, 16, 20);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 40; ++i) tokens.push_back(i * i % 20);
  const Indices x = Indices(tokens).reshape({10, 4}), y = Indices(tokens).reshape({10, 4});
  CHECK(steady_heap_count([&] {
          Tape tape;
          const auto [h, state] = lstm(embed(x), lstm.start(4));
          const auto [deeper, last] = rnn(h, rnn.start(4));
          Gradients grads = tape.backward(nn::cross_entropy(head(deeper), y));
          optim::clip_norm(grads, 0.25);
        }) == 0);
}
