// Training steps of language models: forward, mean cross entropy over a full softmax, backward, clipping to a
// norm of 0.25, plain SGD. The sizes are those of rivals/torch_train.py.

#include <benchmark/benchmark.h>

#include <fstream>
#include <iostream>
#include <string>

#include "autograd/ops/cross_entropy.hpp"
#include "autograd/tape.hpp"
#include "models/networks.hpp"
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

/// A network with what it is trained on.
template <class Network>
struct Training {
  Size size;
  Rng rng{1};
  Network network;
  Indices x, y;
  optim::Sgd optimizer{{.lr = 0.1}};

  explicit Training(const Size& chosen)
      : size(chosen),
        network(rng,
                {.vocab = size.vocab, .embedding = size.width, .width = size.hidden, .layers = size.layers}),
        x(draw()),
        y(draw()) {}
  Indices draw() {
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < size.steps * size.batch; ++i)
      ids.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(size.vocab))));
    return Indices(std::move(ids), {size.steps, size.batch});
  }
  void step() {
    Tape tape;
    auto [loss, next] = network.loss(x, y, network.start(size.batch));
    optimizer.step(network, tape.backward(loss), {.clip_norm = 0.25});
  }
};

/// Tokens a second.
template <class Network>
void train(benchmark::State& state, const Size& size) {
  Training<Network> training(size);
  for (auto _ : state) training.step();
  state.counters["value"] = benchmark::Counter(
      static_cast<double>(state.iterations() * size.steps * size.batch), benchmark::Counter::kIsRate);
}

/// A line of /proc/self/status, in MB.
double status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stod(line.substr(name.size() + 1)) / 1e3;
  }
  return 0;
}

/// The peak of the process's memory over a few steps, less its size before the network is built, in MB.
template <class Network>
double peak_memory(const Size& size) {
  const double before = status("VmRSS");
  Training<Network> training(size);
  for (int i = 0; i < 4; ++i) training.step();
  return status("VmHWM") - before;
}
double peak_memory(const std::string& name) {
  for (const Size& size : sizes) {
    const std::string start = size.name + std::string("-");
    if (name == start + "lstm") return peak_memory<models::LstmNetwork>(size);
    if (name == start + "gru") return peak_memory<models::GruNetwork>(size);
    if (name == start + "rnn") return peak_memory<models::RnnNetwork>(size);
  }
  return 0;
}

}  // namespace

// `bench_train --memory NAME` prints the memory of one training, in a process of its own.
int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--memory") {
    std::cout << peak_memory(argv[2]) << std::endl;
    return 0;
  }
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
