// Attention, forward alone and with the gradients of queries, keys and values: (batch, heads, time, width) of
// the sizes of bench/rivals/torch_ops.py. Usage: bench_attention [--threads N] [--benchmark_...].

#include <benchmark/benchmark.h>

#include <string>

#include "autograd/ops/attention.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "bench/threads.hpp"
#include "tensor/random.hpp"

using namespace gradus;

namespace {

struct Size {
  const char* name;
  Shape shape;
};

template <class F>
void measure(benchmark::State& state, const F& run) {
  benchmark::DoNotOptimize(run());  // which takes the memory that the next ones use again
  for (auto _ : state) benchmark::DoNotOptimize(run());
  state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void add(const Size& size, bool causal) {
  const std::string name = std::string(size.name) + (causal ? "_causal" : "");
  const auto operands = [shape = size.shape] {
    Rng rng(1);
    return std::array{Parameter(rng.normal(shape)), Parameter(rng.normal(shape)),
                      Parameter(rng.normal(shape))};
  };
  const auto forward = [=](benchmark::State& state) {
    const auto x = operands();
    measure(state, [&] { return attention(x[0], x[1], x[2], {.causal = causal}); });
  };
  const auto gradient = [=](benchmark::State& state) {
    const auto x = operands();
    measure(state, [&] {
      Tape tape;
      return tape.backward(sum(attention(x[0], x[1], x[2], {.causal = causal})));
    });
  };
  benchmark::RegisterBenchmark((name + "_forward").c_str(), forward)->UseRealTime();
  benchmark::RegisterBenchmark((name + "_gradient").c_str(), gradient)->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  for (const Size& size :
       {Size{"64x32", {12, 4, 64, 32}}, {"256x64", {16, 6, 256, 64}}, {"1024x64", {4, 12, 1024, 64}}}) {
    add(size, false);
    add(size, true);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
