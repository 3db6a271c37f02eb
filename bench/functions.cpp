// Every elementwise function over normal, subnormal, infinite and NaN numbers, and over those whose
// exponential function is 0, of 16,384 f32 elements, which stay in the cache, in seconds per call. The names
// are FUNCTION_INPUT; FUNCTION_gradient is the value and the gradient of a sum, of normal numbers.
// Usage: bench_functions [--threads N] [--elements N] [--benchmark_...].

#include <benchmark/benchmark.h>

#include <functional>
#include <limits>
#include <string>

#include "autograd/ops/activations.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "bench/threads.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"

using namespace gradus;

namespace {

void measure(benchmark::State& state, const std::function<void()>& call) {
  call();  // takes the memory that the next calls reuse
  for (auto _ : state) call();
  state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
void add(const std::string& name, const std::function<void()>& call) {
  benchmark::RegisterBenchmark(name.c_str(), [call](benchmark::State& state) {
    measure(state, call);
  })->UseRealTime();
}

/// The functions over each kind of input.
class Inputs {
 public:
  explicit Inputs(std::int64_t elements) : normal_(Rng(1).normal({elements})) {}

  template <class F>
  void add_values(const std::string& name, const F& f) const {
    const std::pair<const char*, Tensor> kinds[] = {
        {"normal", normal_},
        {"subnormal", normal_ * 1e-40},
        {"infinite", full(normal_.shape(), std::numeric_limits<double>::infinity())},
        {"nan", full(normal_.shape(), std::numeric_limits<double>::quiet_NaN())},
        {"underflow", normal_ - 1e4},
    };
    for (const auto& [input, x] : kinds)
      add(name + "_" + input, [f, x = x] { benchmark::DoNotOptimize(f(x)); });
  }
  template <class F>
  void add_gradient(const std::string& name, const F& f) const {
    const Parameter x(normal_);
    Tape first;
    if (f(x).is_constant()) return;  // its derivative is 0 everywhere
    add(name + "_gradient", [f, x] {
      Tape tape;
      benchmark::DoNotOptimize(tape.backward(sum(f(x))));
    });
  }
  template <class F>
  void add_both(const std::string& name, const F& f) const {
    add_values(name, f);
    add_gradient(name, f);
  }
  /// Rows of 512 logits, half of them masked with a number.
  template <class F>
  void add_masked(const std::string& name, const F& f) const {
    const Shape shape{normal_.size() / 512, 512};
    const Tensor x = normal_.reshape(shape), mask(Rng(3).uniform(shape, 0, 1) < 0.5);
    add(name + "_unmasked", [f, x] { benchmark::DoNotOptimize(f(x)); });
    for (const auto& [with, number] :
         {std::pair("inf", -std::numeric_limits<double>::infinity()), {"1e9", -1e9}, {"100", -100.0}})
      add(name + "_masked_" + with,
          [f, x = masked_fill(x, mask, number)] { benchmark::DoNotOptimize(f(x)); });
  }

 private:
  Tensor normal_;
};

void add_activations(const Inputs& inputs) {
  inputs.add_both("log_sigmoid", [](const auto& x) { return log_sigmoid(x); });
  inputs.add_both("logit", [](const auto& x) { return logit(x); });
  inputs.add_both("softplus", [](const auto& x) { return softplus(x); });
  inputs.add_both("leaky_relu", [](const auto& x) { return leaky_relu(x); });
  inputs.add_both("elu", [](const auto& x) { return elu(x); });
  inputs.add_both("selu", [](const auto& x) { return selu(x); });
  inputs.add_both("gelu", [](const auto& x) { return gelu(x); });
  inputs.add_both("gelu_tanh", [](const auto& x) { return gelu(x, GeluForm::tanh); });
  inputs.add_both("silu", [](const auto& x) { return silu(x); });
  inputs.add_both("mish", [](const auto& x) { return mish(x); });
  inputs.add_both("hardtanh", [](const auto& x) { return hardtanh(x); });
  inputs.add_both("clamp", [](const auto& x) { return clamp(x, -1, 1); });
}

void add_softmax(const Inputs& inputs) {
  inputs.add_masked("softmax", [](const Tensor& x) { return softmax(x, -1); });
  inputs.add_masked("log_softmax", [](const Tensor& x) { return log_softmax(x, -1); });
  inputs.add_masked("cross_entropy", [](const Tensor& x) {
    const Indices targets(std::vector<std::int32_t>(static_cast<std::size_t>(x.dim(0)), 0));
    const Parameter logits(x);
    Tape tape;
    return tape.backward(cross_entropy(logits, targets));
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  std::int64_t elements = 16'384;
  if (argc > 2 && std::string(argv[1]) == "--elements") {
    elements = std::stoll(argv[2]);
    argv[2] = argv[0];
    argc -= 2;
    argv += 2;
  }
  const Inputs inputs(elements);
  for (std::size_t i = 0; i < kernels::unary_count; ++i) {
    const auto op = static_cast<kernels::Unary>(i);
    inputs.add_both(kernels::name_of(op), [op](const auto& x) { return apply(op, x); });
  }
  const Tensor other = Rng(2).normal({elements});
  for (std::size_t i = 0; i < kernels::binary_count; ++i) {
    const auto op = static_cast<kernels::Binary>(i);
    if (op == kernels::Binary::polygamma || op == kernels::Binary::sinc) continue;
    inputs.add_values(kernels::name_of(op), [op, other](const Tensor& x) { return apply(op, x, other); });
  }
  inputs.add_both("digamma", [](const auto& x) { return digamma(x); });
  inputs.add_both("sinc", [](const auto& x) { return sinc(x); });
  add_activations(inputs);
  const Tensor mask = Tensor(other > 0);
  inputs.add_values("where", [mask, other](const Tensor& x) { return where(mask, x, other); });
  inputs.add_values("masked_fill", [mask](const Tensor& x) { return masked_fill(x, mask, 0); });
  add_softmax(inputs);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
