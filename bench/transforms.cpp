// The cost of derivatives of functions, on one thread: Hessian-vector products beside gradients, whole
// Jacobians and Hessians, and loops of gradient descent that are themselves differentiated.

#include <benchmark/benchmark.h>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/transforms.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"

using namespace gradus;

namespace {

/// Reports the seconds of one call.
template <class F>
void measure(benchmark::State& state, const F& f) {
  set_threads(1);
  for (auto _ : state) benchmark::DoNotOptimize(f());
  state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

Indices labels(Rng& rng, std::int64_t count, std::uint64_t classes) {
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < count; ++i) out.push_back(static_cast<std::int32_t>(rng.below(classes)));
  return Indices(std::move(out));
}

/// 64-128-128-10 with tanh, batch 64.
struct Mlp {
  Rng rng{1};
  nn::Linear first{rng, 64, 128}, second{rng, 128, 128}, third{rng, 128, 10};
  Variable x{rng.normal({64, 64})};
  Indices y = labels(rng, 64, 10);
  Variable loss() const { return cross_entropy(third(tanh(second(tanh(first(x))))), y); }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("second", self.second);
    visit("third", self.third);
  }
};

/// One layer of 32 to 64 over 16 steps, batch 8, then 10 classes.
struct SmallLstm {
  Rng rng{1};
  nn::Lstm lstm{rng, 32, 64};
  nn::Linear head{rng, 64, 10};
  Variable x{rng.normal({16, 8, 32})};
  Indices y = labels(rng, 16 * 8, 10);
  Variable loss() const {
    const Variable h = lstm(x, lstm.start(8)).first;
    return cross_entropy(head(reshape(h, {16 * 8, 64})), y);
  }
  static void members(auto& self, auto&& visit) {
    visit("lstm", self.lstm);
    visit("head", self.head);
  }
};

template <class Model>
void gradient(benchmark::State& state) {
  const Model model;
  measure(state, [&] {
    Tape tape;
    return tape.backward(model.loss());
  });
}
template <class Model>
void hessian_product(benchmark::State& state) {
  const Model model;
  const Variables weights = parameters(model);
  Rng rng(2);
  Variables vs;
  for (const Variable& w : weights) vs.emplace_back(rng.normal(w.shape()));
  measure(state, [&] { return hvp([&] { return model.loss(); }, weights, vs); });
}

void logistic_hessian(benchmark::State& state) {
  Rng rng(3);
  const Variable x(rng.normal({500, 100})), y(sign(rng.normal({500}))), w(rng.normal({100}));
  const auto loss = [&](const Variable& at) { return mean(log1p(exp(-(y * matmul(x, at))))); };
  measure(state, [&] { return hessian(loss, w); });
}

void tall_jacobian(benchmark::State& state) {
  Rng rng(4);
  const Variable a(rng.normal({3000, 28})), x(rng.normal({28}));
  measure(state, [&] { return jacobian([&](const Variable& at) { return tanh(matmul(a, at)); }, x); });
}

/// The gradient of the result of 1000 steps of gradient descent with respect to the starting point.
void descent(benchmark::State& state) {
  const Variable a(Tensor::of({0.5, 1, 2})), c(Tensor::of({1, -1, 3})), start(Tensor::of({4, 4, 4}));
  const auto loss = [&](const Variable& w) { return sum(a * square(w - c)); };
  const auto trained = [&](const Variable& from) {
    Variable w = from;
    for (int i = 0; i < 1000; ++i) w = w - 1e-3 * grad(loss, w);
    return loss(w);
  };
  measure(state, [&] { return grad(trained, start); });
}

/// min over x of max over y: 20 steps of descent, each of which differentiates through 50 steps of ascent.
void nested(benchmark::State& state) {
  const auto inner = [](const Variable& x) {
    const auto f = [&](const Variable& y) { return sum(square(x) * 0.5 + x * y * 1.5 - square(y) * 0.5); };
    Variable y(zeros({4}));
    for (int i = 0; i < 50; ++i) y = y + 0.2 * grad(f, y);
    return f(y);
  };
  measure(state, [&] {
    Variable x(Tensor::of({2, -1, 0.5, 3}));
    for (int i = 0; i < 20; ++i) x = x - 0.1 * grad(inner, x);
    return x;
  });
}

BENCHMARK(gradient<Mlp>)->Name("gradient_mlp")->UseRealTime();
BENCHMARK(hessian_product<Mlp>)->Name("hvp_mlp")->UseRealTime();
BENCHMARK(gradient<SmallLstm>)->Name("gradient_lstm")->UseRealTime();
BENCHMARK(hessian_product<SmallLstm>)->Name("hvp_lstm")->UseRealTime();
BENCHMARK(logistic_hessian)->Name("hessian")->UseRealTime();
BENCHMARK(tall_jacobian)->Name("jacobian")->UseRealTime();
BENCHMARK(descent)->UseRealTime();
BENCHMARK(nested)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
