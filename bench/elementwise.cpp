// Traced elementwise functions beside the same functions op by op, forward and backward, and their memory
// bandwidth.

#include "autograd/elementwise.hpp"

#include <benchmark/benchmark.h>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"

using namespace gradus;

namespace {

// Functions that run op by op on Variables and are traced on symbols.
const auto gelu_tanh = [](const auto& x, const auto&, const auto&) {
  return 0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * (x * x * x))));
};
const auto multiply_add = [](const auto& x, const auto& y, const auto& z) { return x * y + z; };
const auto tanh_sigmoid = [](const auto& x, const auto& y, const auto&) { return tanh(x) * sigmoid(y); };

/// The seconds per element of f(x, y, z) and the gradient of its sum.
template <bool traced, class F>
void forward_backward(benchmark::State& state, const F& f) {
  set_threads(0);
  const std::int64_t n = state.range(0);
  Rng rng(1);
  const Parameter x(rng.normal({n})), y(rng.normal({n})), z(rng.normal({n}));
  for (auto _ : state) {
    Tape tape;
    const auto value = [&] {
      if constexpr (traced) {
        return elementwise(f, x, y, z);
      } else {
        return f(x, y, z);
      }
    }();
    benchmark::DoNotOptimize(tape.backward(sum(value)));
  }
  state.counters["value"] = benchmark::Counter(static_cast<double>(n * state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// GB/s of x * y + z beyond the cache on one thread. Its four arrays are counted once, as in the triad.
void multiply_add_bandwidth(benchmark::State& state) {
  set_threads(1);
  const std::int64_t n = 50'000'000;
  const Tensor x = full({n}, 1), y = full({n}, 2), z = full({n}, 3);
  benchmark::DoNotOptimize(elementwise(multiply_add, x, y, z));  // takes the memory that the next ones reuse
  for (auto _ : state) benchmark::DoNotOptimize(elementwise(multiply_add, x, y, z));
  state.counters["value"] = benchmark::Counter(
      4.0 * static_cast<double>(n) * sizeof(float) * static_cast<double>(state.iterations()) / 1e9,
      benchmark::Counter::kIsRate);
}
BENCHMARK(multiply_add_bandwidth)->UseRealTime();

template <class F>
void add_pair(const std::string& name, const F& f) {
  for (const std::int64_t n : {std::int64_t{1000}, std::int64_t{1'000'000}, std::int64_t{50'000'000}}) {
    const std::string sized = name + "_" + std::to_string(n);
    benchmark::RegisterBenchmark(sized.c_str(), [f](benchmark::State& s) { forward_backward<true>(s, f); })
        ->Arg(n)
        ->UseRealTime();
    benchmark::RegisterBenchmark((sized + "_by_ops").c_str(),
                                 [f](benchmark::State& s) { forward_backward<false>(s, f); })
        ->Arg(n)
        ->UseRealTime();
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_pair("gelu_tanh", gelu_tanh);
  add_pair("multiply_add", multiply_add);
  add_pair("tanh_sigmoid", tanh_sigmoid);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
