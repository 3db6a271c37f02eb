// Every elementwise function over normal, subnormal, infinite and NaN numbers, and over those whose
// exponential function is 0, of 16,384 f32 elements, which stay in the cache, in seconds per call. The names
// are FUNCTION_INPUT. Usage: bench_functions [--threads N] [--benchmark_...].

#include <benchmark/benchmark.h>

#include <functional>
#include <limits>
#include <string>

#include "autograd/ops/activations.hpp"
#include "bench/threads.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"

using namespace gradus;

namespace {

using Function = std::function<Tensor(const Tensor&)>;

void measure(benchmark::State& state, const Function& f, const Tensor& x) {
  benchmark::DoNotOptimize(f(x));  // takes the memory that the next calls reuse
  for (auto _ : state) benchmark::DoNotOptimize(f(x));
  state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void add(const std::string& name, const Function& f) {
  const Tensor normal = Rng(1).normal({16'384});
  const std::pair<const char*, Tensor> inputs[] = {
      {"normal", normal},
      {"subnormal", normal * 1e-40},
      {"infinite", full(normal.shape(), std::numeric_limits<double>::infinity())},
      {"nan", full(normal.shape(), std::numeric_limits<double>::quiet_NaN())},
      {"underflow", normal - 1e4},
  };
  for (const auto& [input, x] : inputs) {
    const auto run = [f, x = x](benchmark::State& state) { measure(state, f, x); };
    benchmark::RegisterBenchmark((name + "_" + input).c_str(), run)->UseRealTime();
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  for (std::size_t i = 0; i < kernels::unary_count; ++i) {
    const auto op = static_cast<kernels::Unary>(i);
    add(kernels::name_of(op), [op](const Tensor& x) { return apply(op, x); });
  }
  const Tensor other = Rng(2).normal({16'384});
  for (std::size_t i = 0; i < kernels::binary_count; ++i) {
    const auto op = static_cast<kernels::Binary>(i);
    if (op == kernels::Binary::polygamma || op == kernels::Binary::sinc) continue;
    add(kernels::name_of(op), [op, other](const Tensor& x) { return apply(op, x, other); });
  }
  add("digamma", [](const Tensor& x) { return digamma(x); });
  add("sinc", [](const Tensor& x) { return sinc(x); });
  add("log_sigmoid", [](const Tensor& x) { return log_sigmoid(x); });
  add("logit", [](const Tensor& x) { return logit(x); });
  add("softplus", [](const Tensor& x) { return softplus(x); });
  add("leaky_relu", [](const Tensor& x) { return leaky_relu(x); });
  add("elu", [](const Tensor& x) { return elu(x); });
  add("selu", [](const Tensor& x) { return selu(x); });
  add("gelu", [](const Tensor& x) { return gelu(x); });
  add("gelu_tanh", [](const Tensor& x) { return gelu(x, GeluForm::tanh); });
  add("silu", [](const Tensor& x) { return silu(x); });
  add("mish", [](const Tensor& x) { return mish(x); });
  add("hardtanh", [](const Tensor& x) { return hardtanh(x); });
  add("clamp", [](const Tensor& x) { return clamp(x, -1, 1); });
  const Tensor mask = Tensor(other > 0);
  add("where", [mask, other](const Tensor& x) { return where(mask, x, other); });
  add("masked_fill", [mask](const Tensor& x) { return masked_fill(x, mask, 0); });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
