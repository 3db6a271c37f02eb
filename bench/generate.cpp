// Stepping through a text token by token, as generation does: batch 1, without a tape. Each token reads every
// weight once, so memory bandwidth is the limit.
//
// NAME: tokens per second of an LSTM, or of a transformer behind a prompt of half its context, with the
// likeliest token chosen; NAME-i8 and NAME-bf16: the same with quantized weights; NAME-bytes: the bytes of
// weights that a token reads; NAME-xCOUNT: tokens per second of so many texts that are drawn together behind
// a prompt each. Usage: bench_generate [--threads N] [--benchmark_...]

#include <benchmark/benchmark.h>

#include <string>

#include "bench/threads.hpp"
#include "bench/transformer_sizes.hpp"
#include "models/generate.hpp"
#include "models/neural.hpp"
#include "nn/quantize.hpp"

using namespace gradus;

namespace {

using GptModel = models::NeuralModel<models::GptNetwork>;

models::LstmModel lstm() {
  Rng rng(1);
  return {models::LstmNetwork(rng, {.vocab = 10'000, .embedding = 650, .width = 650, .layers = 2})};
}
GptModel gpt(const bench::GptSize& size) {
  Rng rng(1);
  return {models::GptNetwork(rng, size.options())};
}
template <class Model>
Model as(Model model, Dtype dtype) {
  if (is_compact(dtype)) nn::quantize(model.network, {.dtype = dtype});
  return model;
}

/// Tokens per second. `prompt` tokens are read first, and the text begins anew behind them after `count`.
template <class Model>
void generate(benchmark::State& state, const Model& model, std::int64_t prompt, std::int64_t count) {
  auto begin = model.start();
  for (std::int64_t i = 0; i < prompt; ++i) begin = model.advance(begin, 1);
  Rng rng(1);
  auto now = begin;
  std::int64_t done = 0;
  std::int32_t token = 1;
  for (auto _ : state) {
    if (done++ == count) {
      now = begin;
      done = 1;
    }
    now = model.advance(now, token);
    token = models::sample(model.log_probs(now), {.temperature = 0}, rng);
  }
  state.counters["value"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

/// Tokens per second of `texts` texts at once, behind one prompt of 16 tokens, up to the context.
template <class Model>
void generate_together(benchmark::State& state, const Model& model, std::int64_t context,
                       std::int64_t texts) {
  const std::vector<std::vector<std::int32_t>> prompts(1, std::vector<std::int32_t>(16, 1));
  const std::int64_t count = context - 16;
  std::int64_t done = 0;
  for (auto _ : state) {
    models::generate(model, prompts, {.max_tokens = count, .batch = texts}, texts);
    done += count * texts;
  }
  state.counters["value"] = benchmark::Counter(static_cast<double>(done), benchmark::Counter::kIsRate);
}

/// Of embeddings that are not the output layer this is one row.
template <class Model, class Table>
void bytes(benchmark::State& state, const Model& model, const Table* looked_up) {
  for (auto _ : state) {
  }
  std::size_t read = 0;
  for_each_parameter(model.network, [&](const std::string&, const Parameter& parameter) {
    const auto rows = &parameter == looked_up ? static_cast<std::size_t>(parameter.dim(0)) : 1;
    read += stored_bytes(parameter.value()) / rows;
  });
  state.counters["value"] = static_cast<double>(read);
}

constexpr std::pair<Dtype, const char*> dtypes[] = {
    {Dtype::f32, ""}, {Dtype::i8, "-i8"}, {Dtype::bf16, "-bf16"}};

void add_lstm(Dtype dtype, const std::string& name) {
  benchmark::RegisterBenchmark(name.c_str(), [dtype](benchmark::State& state) {
    generate(state, as(lstm(), dtype), 1, 1 << 30);
  })->UseRealTime();
  benchmark::RegisterBenchmark((name + "-bytes").c_str(), [dtype](benchmark::State& state) {
    const models::LstmModel model = as(lstm(), dtype);
    bytes(state, model, &model.network.embed.weight);
  });
}
void add_gpt(const bench::GptSize& size, Dtype dtype, const std::string& name) {
  benchmark::RegisterBenchmark(name.c_str(), [&size, dtype](benchmark::State& state) {
    generate(state, as(gpt(size), dtype), size.context / 2, size.context / 2);
  })->UseRealTime();
  benchmark::RegisterBenchmark((name + "-bytes").c_str(), [&size, dtype](benchmark::State& state) {
    const GptModel model = as(gpt(size), dtype);
    bytes(state, model, &model.network.wpe.weight);
  });
}

void add_together(const bench::GptSize& size, std::int64_t texts) {
  const std::string name = std::string(size.name) + "-gpt-x" + std::to_string(texts);
  benchmark::RegisterBenchmark(name.c_str(), [&size, texts](benchmark::State& state) {
    generate_together(state, gpt(size), size.context, texts);
  })->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  for (const auto& [dtype, suffix] : dtypes) {
    add_lstm(dtype, std::string("medium-lstm") + suffix);
    for (const bench::GptSize& size : bench::gpt_sizes)
      add_gpt(size, dtype, std::string(size.name) + "-gpt" + suffix);
  }
  for (const bench::GptSize& size : bench::gpt_sizes) {
    for (const std::int64_t texts : {1, 4, 16, 64}) add_together(size, texts);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
