#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <span>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "bench/threads.hpp"
#include "tensor/random.hpp"

namespace bench {

/// What is timed with its gradient: a loss, or something whose product with a fixed tensor is summed to one,
/// so that its gradient is a tensor as in a network and not one number for all elements.
using Made = std::function<gradus::Variable()>;

/// A benchmark: its name, and what makes the parameters and the function of them.
struct GradientRow {
  const char* name;
  Made (*make)(gradus::Rng& rng);
};

/// The seconds of a call and its gradients.
inline void time_gradient(benchmark::State& state, const GradientRow& row) {
  gradus::Rng rng(1);
  const Made f = row.make(rng);
  const gradus::Tensor direction = rng.normal(f().shape());
  const auto run = [&] {
    gradus::Tape tape;
    gradus::Variable y = f();
    return tape.backward(y.rank() == 0 ? y : sum(y * direction));
  };
  benchmark::DoNotOptimize(run());  // which takes the memory that the next ones use again
  for (auto _ : state) benchmark::DoNotOptimize(run());
  state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// The main function of a program of such rows: [--threads N] [--benchmark_...].
inline int time_gradients(int argc, char** argv, std::span<const GradientRow> rows) {
  take_threads(argc, argv);
  for (const GradientRow& row : rows) {
    benchmark::RegisterBenchmark(row.name, [&row](benchmark::State& state) {
      time_gradient(state, row);
    })->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace bench
