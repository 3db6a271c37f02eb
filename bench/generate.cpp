// Stepping through a text token by token, as generation does: batch 1, without a tape. Each token reads every
// weight once, so memory bandwidth is the limit.

#include <benchmark/benchmark.h>

#include "models/neural.hpp"
#include "tensor/support/parallel.hpp"

using namespace gradus;

namespace {

models::LstmModel medium_lstm() {
  Rng rng(1);
  return {models::LstmNetwork(rng, {.vocab = 10'000, .embedding = 650, .width = 650, .layers = 2})};
}

/// Tokens per second.
void step(benchmark::State& state) {
  set_threads(0);
  const models::LstmModel model = medium_lstm();
  auto now = model.advance(model.start(), 0);
  std::int32_t token = 0;
  for (auto _ : state) {
    now = model.advance(now, token);
    token = (token + 1) % model.vocab_size();
    benchmark::DoNotOptimize(model.log_probs(now));
  }
  state.counters["value"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(step)->Name("medium-lstm")->UseRealTime();

/// The bytes of weights that a token reads; of the embeddings this is one row.
void bytes(benchmark::State& state) {
  const models::LstmModel model = medium_lstm();
  for (auto _ : state) {
  }
  const std::int64_t read =
      count_parameters(model.network) - model.network.embed.weight.size() + model.network.embed.weight.dim(1);
  state.counters["value"] = static_cast<double>(read) * sizeof(float);
}
BENCHMARK(bytes)->Name("medium-lstm-bytes");

}  // namespace

BENCHMARK_MAIN();
