// The cost of recording: what small models pay for each op besides its arithmetic.

#include <benchmark/benchmark.h>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "optim/rules.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/heap_count.hpp"
#include "tests/support/tiny_net.hpp"

using namespace gradus;

namespace {

/// The seconds per op of a chain of 2,000 scalar ops, forward and backward.
void scalar_op(benchmark::State& state) {
  set_threads(1);
  constexpr int length = 1000;
  const Parameter x(Tensor::scalar(0.5));
  for (auto _ : state) {
    Tape tape;
    Variable y = x;
    for (int i = 0; i < length; ++i) y = tanh(y * x);
    benchmark::DoNotOptimize(tape.backward(y));
  }
  state.counters["value"] = benchmark::Counter(2.0 * length * static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(scalar_op)->UseRealTime();

/// A 2-16-16-1 network at batch 32: forward, mean squared error, backward, SGD.
struct Training {
  Rng rng{1};
  test::TinyNet net{rng};
  Variable x{rng.normal({32, 2})}, target{rng.normal({32, 1})};
  optim::Sgd optimizer{{.lr = 0.1}};
  void step() {
    Tape tape;
    const Variable loss = mean(square(net(x) - target));
    optimizer.step(net, tape.backward(loss));
  }
};

/// The seconds of a training step.
void tiny_net_step(benchmark::State& state) {
  set_threads(1);
  Training training;
  for (auto _ : state) training.step();
  state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(tiny_net_step)->UseRealTime();

/// The number of heap allocations of a training step in steady state.
void tiny_net_allocations(benchmark::State& state) {
  set_threads(1);
  Training training;
  for (int i = 0; i < 10; ++i) training.step();
  const std::int64_t before = test::heap_count();
  for (auto _ : state) training.step();
  state.counters["value"] =
      static_cast<double>(test::heap_count() - before) / static_cast<double>(state.iterations());
}
BENCHMARK(tiny_net_allocations)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
