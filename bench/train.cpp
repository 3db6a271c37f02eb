// Training steps of language models: forward, mean cross entropy over a full softmax, backward, clipping to a
// norm of 0.25, plain SGD. The sizes are those of sizes.py. Usage: bench_train [--threads N]
// [--benchmark_...], or bench_train [--threads N] --memory NAME, which prints the peak memory of one
// training, in MB.

#include <benchmark/benchmark.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <string>
#include <type_traits>
#include <vector>

#include "autograd/ops/cross_entropy.hpp"
#include "autograd/tape.hpp"
#include "bench/sampler.hpp"
#include "bench/threads.hpp"
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
                          {"medium", 10'000, 650, 650, 2, 20, 35},
                          {"large", 10'000, 1500, 1500, 2, 20, 35},
                          // What a token costs over the hidden width, and over the steps.
                          {"h16", 1000, 16, 16, 1, 20, 35},
                          {"h32", 1000, 32, 32, 1, 20, 35},
                          {"h64", 1000, 64, 64, 1, 20, 35},
                          {"h128", 1000, 128, 128, 1, 20, 35},
                          {"h256", 1000, 256, 256, 1, 20, 35},
                          {"h512", 1000, 512, 512, 1, 20, 35},
                          {"h1024", 1000, 1024, 1024, 1, 20, 35},
                          {"h2048", 1000, 2048, 2048, 1, 20, 35},
                          {"t10", 1000, 64, 64, 1, 1, 10},
                          {"t30", 1000, 64, 64, 1, 1, 30},
                          {"t100", 1000, 64, 64, 1, 1, 100},
                          {"t300", 1000, 64, 64, 1, 1, 300},
                          {"t1000", 1000, 64, 64, 1, 1, 1000},
                          {"t3000", 1000, 64, 64, 1, 1, 3000},
                          {"t10000", 1000, 64, 64, 1, 1, 10'000}};

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
  training.step();  // which takes the memory that the next ones use again
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

/// Samples of where the steps of some seconds spend their time, as Sampler prints them.
template <class Network>
void profile(const Size& size, double seconds) {
  using Clock = std::chrono::steady_clock;
  Training<Network> training(size);
  training.step();
  bench::Sampler sampler(static_cast<std::size_t>(seconds * 1000));
  const auto start = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - start).count() < seconds) training.step();
  sampler.stop();
  sampler.print(std::cout);
}

/// Calls f with the size and the type of network of a name such as medium-lstm; false when there is none.
template <class F>
bool with_network(const std::string& name, const F& f) {
  for (const Size& size : sizes) {
    const std::string start = size.name + std::string("-");
    if (name == start + "lstm") return f(size, std::type_identity<models::LstmNetwork>{}), true;
    if (name == start + "gru") return f(size, std::type_identity<models::GruNetwork>{}), true;
    if (name == start + "rnn") return f(size, std::type_identity<models::RnnNetwork>{}), true;
  }
  std::cerr << "bench_train: there is no " << name << '\n';
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 2 && words[0] == "--memory") {
    const auto print = [](const Size& size, auto network) {
      std::cout << peak_memory<typename decltype(network)::type>(size) << std::endl;
    };
    return with_network(words[1], print) ? 0 : 2;
  }
  if (words.size() == 3 && words[0] == "--profile") {
    const auto print = [&](const Size& size, auto network) {
      profile<typename decltype(network)::type>(size, std::stod(words[2]));
    };
    return with_network(words[1], print) ? 0 : 2;
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
