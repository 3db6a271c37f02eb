// Steps of optimizers with clipping, over ten million parameters in ten matrices, and their memory bandwidth.

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

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

}  // namespace

int main(int argc, char** argv) {
  add<optim::Sgd>("sgd", {.lr = 1e-3}, 0);
  add<optim::Sgd>("sgd_momentum", {.lr = 1e-3, .momentum = 0.9}, 1);
  add<optim::AdamW>("adamw", {}, 2);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
