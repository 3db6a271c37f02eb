// Single ops on f32 tensors, in seconds per call: elementwise functions of 16,384 elements, which stay in the
// second-level cache with their results, and of 32 Mi elements, beyond all caches; reductions and copies of
// the latter; and log_softmax over rows of 10,000 beside a copy of as many bytes. The sizes are those of
// rivals/torch_ops.py. Usage: bench_tensor_ops [--threads N] [--benchmark_...].

#include <benchmark/benchmark.h>

#include <string>

#include "bench/threads.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"

using namespace gradus;

namespace {

constexpr std::int64_t cached = 16'384, rows = 8192, columns = 4096;

/// The seconds of f(x).
template <class F>
void measure(benchmark::State& state, const Tensor& x, const F& f) {
  benchmark::DoNotOptimize(f(x));  // takes the memory that the next calls reuse
  for (auto _ : state) benchmark::DoNotOptimize(f(x));
  state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// Registers a benchmark of f on normal numbers of this shape, which are drawn when it first runs.
template <class F>
void add(const std::string& name, const Shape& shape, const F& f) {
  const auto run = [=, x = Tensor()](benchmark::State& state) mutable {
    if (!x.defined()) x = Rng(1).normal(shape);
    measure(state, x, f);
  };
  benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime();
}
template <class F>
void add_function(const std::string& name, const F& f) {
  add(name, {cached}, f);
  add(name + "_past_cache", {rows, columns}, f);
}

/// A copy with storage of its own.
Tensor copied(const Tensor& x) {
  Tensor y = x;
  benchmark::DoNotOptimize(y.mutable_data<float>());
  return y;
}

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  add_function("tanh", [](const Tensor& x) { return tanh(x); });
  add_function("sigmoid", [](const Tensor& x) { return sigmoid(x); });
  add_function("exp", [](const Tensor& x) { return exp(x); });
  add("add_past_cache", {rows, columns}, [](const Tensor& x) {
    static const Tensor other = ones_like(x);
    return x + other;
  });
  add("copy_past_cache", {rows, columns}, copied);
  add("sum", {rows, columns}, [](const Tensor& x) { return sum(x); });
  add("max", {rows, columns}, [](const Tensor& x) { return max(x); });
  add("sum_rows", {rows, columns}, [](const Tensor& x) { return sum(x, 1); });
  add("sum_columns", {rows, columns}, [](const Tensor& x) { return sum(x, 0); });
  add("log_softmax_10000", {700, 10'000}, [](const Tensor& x) { return log_softmax(x); });
  add("copy_700x10000", {700, 10'000}, copied);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
