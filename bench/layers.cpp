// Single layers, forward and backward with the gradients of input and weights: recurrent ones of 650 to 650
// over 35 steps at batch 20, the output layer of a language model of that width and 10,000 words, its
// embedding and normalisations of as many vectors; and of a convolutional network, over 32 images of 64
// channels. Usage: bench_layers [--threads N] [--benchmark_...].

#include <benchmark/benchmark.h>

#include <vector>

#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "bench/threads.hpp"
#include "nn/conv.hpp"
#include "nn/embedding.hpp"
#include "nn/gru.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "nn/norm.hpp"
#include "nn/pool.hpp"
#include "nn/rnn.hpp"
#include "tensor/random.hpp"

using namespace gradus;

namespace {

constexpr std::int64_t steps = 35, batch = 20, width = 650, vocab = 10'000;

/// The seconds of f() and the gradient of its sum.
template <class F>
void gradient(benchmark::State& state, const F& f) {
  const auto run = [&] {
    Tape tape;
    return tape.backward(sum(f()));
  };
  benchmark::DoNotOptimize(run());  // which takes the memory that the next ones use again
  for (auto _ : state) benchmark::DoNotOptimize(run());
  state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <class Layer>
void recurrent(benchmark::State& state) {
  Rng rng(1);
  const Layer layer(rng, width, width);
  const Parameter x(rng.normal({steps, batch, width}));
  gradient(state, [&] { return layer(x, layer.start(batch)).first; });
}

void linear(benchmark::State& state) {
  Rng rng(1);
  const nn::Linear layer(rng, width, vocab);
  const Parameter x(rng.normal({steps, batch, width}));
  gradient(state, [&] { return layer(x); });
}

void embedding(benchmark::State& state) {
  Rng rng(1);
  const nn::Embedding layer(rng, vocab, width);
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < steps * batch; ++i) ids.push_back(static_cast<std::int32_t>(rng.below(vocab)));
  const Indices x(std::move(ids), {steps, batch});
  gradient(state, [&] { return layer(x); });
}

template <class Norm>
void rows(benchmark::State& state) {
  Rng rng(1);
  const Norm layer(width);
  const Parameter x(rng.normal({steps, batch, width}));
  gradient(state, [&] { return layer(x); });
}

/// f of 32 images of 64 channels.
template <class F>
void images(benchmark::State& state, Rng& rng, const F& f) {
  const Parameter x(rng.normal({32, 64, 28, 28}));
  gradient(state, [&] { return f(x); });
}
void batch_norm(benchmark::State& state) {
  Rng rng(1);
  const nn::BatchNorm2d layer(64);
  images(state, rng, [&](const Variable& x) { return layer(x, &rng); });
}
void conv2d(benchmark::State& state) {
  Rng rng(1);
  const nn::Conv2d layer(rng, 64, 64, 3, {.padding = 1});
  images(state, rng, layer);
}
void max_pool2d(benchmark::State& state) {
  Rng rng(1);
  images(state, rng, nn::MaxPool2d());
}

BENCHMARK(recurrent<nn::Lstm>)->Name("lstm")->UseRealTime();
BENCHMARK(recurrent<nn::Gru>)->Name("gru")->UseRealTime();
BENCHMARK(recurrent<nn::Rnn>)->Name("rnn")->UseRealTime();
BENCHMARK(linear)->UseRealTime();
BENCHMARK(embedding)->UseRealTime();
BENCHMARK(rows<nn::LayerNorm>)->Name("layer_norm")->UseRealTime();
BENCHMARK(rows<nn::RmsNorm>)->Name("rms_norm")->UseRealTime();
BENCHMARK(batch_norm)->UseRealTime();
BENCHMARK(conv2d)->UseRealTime();
BENCHMARK(max_pool2d)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
