#include <cstdlib>
#include <memory>
#include <numeric>

#include "autograd/elementwise.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/embedding.hpp"
#include "nn/losses.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"
#include "optim/clip.hpp"
#include "optim/rules.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/heap_count.hpp"
#include "tests/support/tiny_net.hpp"

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

struct Network {  // paths longer than a string holds without the heap
  nn::Embedding embedding;
  nn::Lstm recurrent;
  nn::Rnn second_recurrent;
  nn::Linear head;
  static void members(auto& self, auto&& visit) {
    visit("embedding", self.embedding);
    visit("recurrent", self.recurrent);
    visit("second_recurrent", self.second_recurrent);
    visit("head", self.head);
  }
};
struct Model {
  Parameter matrix{zeros({301, 299})}, table{zeros({2000, 67})};
  static void members(auto& self, auto&& visit) {
    visit("matrix", self.matrix);
    visit("table", self.table);
  }
};

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
  const auto train_at_once = [&](auto& optimizer) {
    Tape tape;
    optimizer.step(net, tape.backward(mean(square(net(x) - target))), {.clip_norm = 0.01});
  };
  SECTION("SGD") {
    optim::Sgd sgd({.lr = 0.1, .momentum = 0.9});
    CHECK(steady_heap_count([&] { train(sgd); }) == 0);
  }
  SECTION("Adam") {
    optim::Adam adam({.lr = 0.01});
    CHECK(steady_heap_count([&] { train(adam); }) == 0);
  }
  SECTION("SGD that clips") {
    optim::Sgd sgd({.lr = 0.1, .momentum = 0.9});
    CHECK(steady_heap_count([&] { train_at_once(sgd); }) == 0);
  }
  SECTION("AdamW that clips") {
    optim::AdamW adamw({.lr = 0.01});
    CHECK(steady_heap_count([&] { train_at_once(adamw); }) == 0);
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
  Network net{nn::Embedding(rng, 20, 8), nn::Lstm(rng, 8, 16, {.layers = 2}), nn::Rnn(rng, 16, 16),
              nn::Linear(rng, 16, 20)};
  optim::AdamW optimizer({.lr = 0.01});
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 40; ++i) tokens.push_back(i * i % 20);
  const Indices x = Indices(tokens).reshape({10, 4}), y = Indices(tokens).reshape({10, 4});
  CHECK(steady_heap_count([&] {
          Tape tape;
          const auto [h, state] = net.recurrent(net.embedding(x), net.recurrent.start(4));
          const auto [deeper, last] = net.second_recurrent(h, net.second_recurrent.start(4));
          optimizer.step(net, tape.backward(nn::cross_entropy(net.head(deeper), y)), {.clip_norm = 0.25});
        }) == 0);
}

TEST_CASE("a step over parameters that are split among threads takes nothing from the heap", "[heap]") {
  if (!test::counts_heap) return;
  Model model;
  std::vector<std::int32_t> ids(1200);
  std::iota(ids.begin(), ids.end(), 0);
  const Gradients gradients({{model.matrix.place(), ones({301, 299}), {}},
                             {model.table.place(), {}, Rows{Indices(ids), ones({1200, 67}), 2000}}});
  optim::Sgd sgd({.lr = 0.1, .momentum = 0.9});
  optim::AdamW adamw({.lr = 0.1});
  CHECK(steady_heap_count([&] {
          sgd.step(model, gradients, {.clip_norm = 1});
          adamw.step(model, gradients, {.clip_norm = 1});
        }) == 0);
}
