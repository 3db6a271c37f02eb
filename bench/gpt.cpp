// Training steps of transformers: forward, mean cross entropy over a full softmax, backward, clipping to a
// norm of 1, AdamW. The sizes are those of sizes.py; a name that ends in -bf16 has products of bfloat16, in
// one that ends in -checkpointed each layer keeps its input alone. Usage: bench_gpt [--threads N] followed by
// [--benchmark_...], by --memory SIZE or --checkpointed-memory SIZE, which print the peak memory in MB, or by
// --profile NAME SECONDS, which prints samples of the stack.

#include <benchmark/benchmark.h>

#include <iostream>
#include <string>
#include <vector>

#include "bench/steps.hpp"
#include "bench/threads.hpp"
#include "bench/training.hpp"
#include "bench/transformer_sizes.hpp"

using namespace gradus;

namespace {

using bench::gpt_sizes;
using bench::GptSize;

/// A network and the data that it is trained on.
template <class Network>
struct GptTraining {
  Rng rng{1};
  Network network;
  Indices x, y;
  optim::AdamW optimizer{{.lr = 1e-3}};

  explicit GptTraining(const GptSize& s, bool checkpoint_layers = false)
      : network(rng, s.options()),
        x(bench::random_ids(rng, s.vocab, {s.context, s.batch})),
        y(bench::random_ids(rng, s.vocab, {s.context, s.batch})) {
    network.options.checkpoint_layers = checkpoint_layers;
  }
  void step() {
    Tape tape;
    const Variable loss = network.loss(x, y, network.start(x.dim(1))).first;
    optimizer.step(network, tape.backward(loss), {.clip_norm = 1});
  }
};

/// Tokens per second.
template <class Network>
void train(benchmark::State& state, const GptSize& size, MatmulPrecision precision) {
  bench::measure<GptTraining<Network>>(state, size, size.context * size.batch, precision);
}
template <class Network>
void add(const GptSize& size, const std::string& name) {
  benchmark::RegisterBenchmark(name.c_str(), train<Network>, size, MatmulPrecision::exact)->UseRealTime();
  benchmark::RegisterBenchmark((name + "-bf16").c_str(), train<Network>, size, MatmulPrecision::medium)
      ->UseRealTime();
}

/// The same, of which each layer keeps its input alone.
struct CheckpointedGpt : GptTraining<models::GptNetwork> {
  explicit CheckpointedGpt(const GptSize& s) : GptTraining(s, true) {}
};

/// Prints the peak memory of the training of a GPT of a size, such as baby, in MB, in a process of its own;
/// false for an unknown size.
bool print_memory(const std::string& name, bool checkpointed) {
  for (const GptSize& size : gpt_sizes) {
    if (name != size.name) continue;
    std::cout << (checkpointed ? bench::peak_memory<CheckpointedGpt>(size)
                               : bench::peak_memory<GptTraining<models::GptNetwork>>(size))
              << std::endl;
    return true;
  }
  std::cerr << "bench_gpt: there is no size " << name << '\n';
  return false;
}

/// Prints samples of the training of a name such as baby-gpt; false for an unknown name.
bool profile(const std::string& name, double seconds) {
  for (const GptSize& size : gpt_sizes) {
    if (name == size.name + std::string("-gpt"))
      return bench::profile<GptTraining<models::GptNetwork>>(size, seconds), true;
    if (name == size.name + std::string("-llama"))
      return bench::profile<GptTraining<models::LlamaNetwork>>(size, seconds), true;
  }
  std::cerr << "bench_gpt: there is no " << name << '\n';
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 3 && words[0] == "--profile") return profile(words[1], std::stod(words[2])) ? 0 : 2;
  if (words.size() == 2 && (words[0] == "--memory" || words[0] == "--checkpointed-memory"))
    return print_memory(words[1], words[0] != "--memory") ? 0 : 2;
  for (const GptSize& size : gpt_sizes) {
    const std::string name = size.name;
    add<models::GptNetwork>(size, name + "-gpt");
    benchmark::RegisterBenchmark((name + "-gpt-checkpointed").c_str(), [&size](benchmark::State& state) {
      bench::measure<CheckpointedGpt>(state, size, size.context * size.batch);
    })->UseRealTime();
    add<models::LlamaNetwork>(size, name + "-llama");
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
