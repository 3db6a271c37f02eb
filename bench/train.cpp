// Training steps of language models: forward, mean cross entropy over a full softmax, backward, clipping to a
// norm of 0.25, plain SGD. The sizes are those of rivals/torch_train.py.

#include <benchmark/benchmark.h>

#include <string>

#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "models/networks.hpp"
#include "optim/clip.hpp"
#include "optim/sgd.hpp"

using namespace gradus;

namespace {

struct Size {
  const char* name;
  std::int64_t vocab, width, hidden;
  int layers;
  std::int64_t batch, steps;
};
constexpr Size sizes[] = {{"char", 96, 128, 256, 1, 32, 64},
                          {"small", 10'000, 200, 200, 2, 20, 20},
                          {"medium", 10'000, 650, 650, 2, 20, 35}};

/// Tokens a second.
template <class Network>
void train(benchmark::State& state, const Size& size) {
  Rng rng(1);
  Network network(
      rng, {.vocab = size.vocab, .embedding = size.width, .width = size.hidden, .layers = size.layers});
  const auto draw = [&] {
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < size.steps * size.batch; ++i)
      ids.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(size.vocab))));
    return Indices(std::move(ids), {size.steps, size.batch});
  };
  const Indices x = draw(), y = draw();
  optim::Sgd optimizer({.lr = 0.1});
  for (auto _ : state) {
    Tape tape;
    auto [logits, next] = network(x, network.start(size.batch));
    Gradients gradients = tape.backward(cross_entropy(logits, y));
    optim::clip_norm(gradients, 0.25);
    optimizer.step(network, gradients);
  }
  state.counters["value"] = benchmark::Counter(
      static_cast<double>(state.iterations() * size.steps * size.batch), benchmark::Counter::kIsRate);
}

}  // namespace

int main(int argc, char** argv) {
  for (const Size& size : sizes) {
    const std::string name = size.name;
    benchmark::RegisterBenchmark((name + "-lstm").c_str(), train<models::LstmNetwork>, size)->UseRealTime();
    benchmark::RegisterBenchmark((name + "-gru").c_str(), train<models::GruNetwork>, size)->UseRealTime();
    benchmark::RegisterBenchmark((name + "-rnn").c_str(), train<models::RnnNetwork>, size)->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
