// Steps of optimizers with clipping, over ten million parameters in ten matrices, and their memory bandwidth;
// and one of L-BFGS, of twenty iterations at most, over a logistic regression.

#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/losses.hpp"
#include "optim/lbfgs.hpp"
#include "optim/rules.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"

using namespace gradus;

namespace {

struct Model {
  std::vector<Parameter> matrices;
  static void members(auto& self, auto&& visit) { visit("matrices", self.matrices); }
};

/// GB/s, counting what a step cannot do without: the gradients read twice, as all of them make the norm, the
/// parameters and the `kept` arrays of the rule read and written once.
template <class O>
void step(benchmark::State& state, typename O::Options options, int kept) {
  set_threads(static_cast<int>(state.range(0)));
  Rng rng(1);
  Model model;
  GradientList list;
  std::int64_t parameters = 0;
  for (int i = 0; i < 10; ++i) {
    model.matrices.emplace_back(rng.normal({1000, 1000}));
    list.push_back({model.matrices.back().place(), rng.normal({1000, 1000}), {}});
    parameters += model.matrices.back().size();
  }
  Gradients gradients(std::move(list));
  O optimizer(options);
  optimizer.step(model, gradients, {.clip_norm = 0.25});  // which makes what the rule keeps
  for (auto _ : state) optimizer.step(model, gradients, {.clip_norm = 0.25});
  const double steps = static_cast<double>(state.iterations()), count = static_cast<double>(parameters);
  state.counters["value"] = benchmark::Counter((4.0 + 2.0 * kept) * sizeof(float) * count * steps / 1e9,
                                               benchmark::Counter::kIsRate);
  state.counters["seconds/parameter"] =
      benchmark::Counter(count * steps, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <class O>
void add(const char* name, typename O::Options options, int kept) {
  benchmark::RegisterBenchmark(name, step<O>, options, kept)->Arg(1)->Arg(0)->UseRealTime();
}

/// The seconds of a step from 0, of data that are formulas, so that the rival takes the same iterations.
void lbfgs(benchmark::State& state) {
  set_threads(static_cast<int>(state.range(0)));
  constexpr std::int64_t rows = 1000, width = 64;
  std::vector<double> values, classes;
  for (std::int64_t i = 1; i <= rows; ++i) {
    for (std::int64_t j = 1; j <= width; ++j) values.push_back(std::sin(static_cast<double>(i * j)));
    classes.push_back(std::sin(1.7 * static_cast<double>(i)) > 0 ? 1 : 0);
  }
  const Tensor x = Tensor::from(values, {rows, width}).to(Dtype::f32);
  const Tensor y = Tensor::from(classes, {rows, 1}).to(Dtype::f32);
  Model model;
  model.matrices.emplace_back(zeros({width, 1}));
  const auto step = [&] {
    model.matrices[0].mutable_value() = zeros({width, 1});
    optim::Lbfgs optimizer;
    optimizer.step(model, [&] {
      Tape tape;
      const Variable w(model.matrices[0]);
      const Variable loss = nn::bce_with_logits(matmul(x, w), y) + 1e-3 * sum(square(w));
      return std::pair(loss.item(), tape.backward(loss));
    });
  };
  step();
  for (auto _ : state) step();
  state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

}  // namespace

int main(int argc, char** argv) {
  add<optim::Sgd>("sgd", {.lr = 1e-3}, 0);
  add<optim::Sgd>("sgd_momentum", {.lr = 1e-3, .momentum = 0.9}, 1);
  add<optim::Asgd>("asgd", {}, 1);
  add<optim::Adagrad>("adagrad", {}, 1);
  add<optim::Adadelta>("adadelta", {}, 2);
  add<optim::Rmsprop>("rmsprop", {}, 1);
  add<optim::Adam>("adam", {}, 2);
  add<optim::Adam>("amsgrad", {.amsgrad = true}, 3);
  add<optim::AdamW>("adamw", {}, 2);
  add<optim::Nadam>("nadam", {}, 2);
  add<optim::Radam>("radam", {}, 2);
  add<optim::Adamax>("adamax", {}, 2);
  add<optim::Adafactor>("adafactor", {}, 0);
  benchmark::RegisterBenchmark("lbfgs", lbfgs)->Arg(1)->Arg(0)->UseRealTime();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
