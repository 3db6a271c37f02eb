// Training steps of language models: forward, mean cross entropy over a full softmax, backward, clipping to a
// norm of 0.25, plain SGD. The sizes are those of sizes.py; a name that ends in -bf16 has products of
// bfloat16. Usage: bench_train [--threads N] followed by
// [--benchmark_...], by --memory NAME, which prints the peak memory of a training run in MB, or by --profile
// NAME SECONDS, which prints samples of the stack.

#include <benchmark/benchmark.h>

#include <iostream>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/steps.hpp"
#include "bench/threads.hpp"
#include "bench/training.hpp"

using namespace gradus;
using bench::Size;
using bench::sizes;
using bench::Training;

namespace {

/// Tokens per second.
template <class Network>
void train(benchmark::State& state, const Size& size, MatmulPrecision precision) {
  bench::measure<Training<Network>>(state, size, size.steps * size.batch, precision);
}
template <class Network>
void add(const Size& size, const std::string& name) {
  benchmark::RegisterBenchmark(name.c_str(), train<Network>, size, MatmulPrecision::exact)->UseRealTime();
  benchmark::RegisterBenchmark((name + "-bf16").c_str(), train<Network>, size, MatmulPrecision::medium)
      ->UseRealTime();
}

/// Calls f with the size and the network type of a name such as medium-lstm; false for an unknown name.
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
      std::cout << bench::peak_memory<Training<typename decltype(network)::type>>(size) << std::endl;
    };
    return with_network(words[1], print) ? 0 : 2;
  }
  if (words.size() == 3 && words[0] == "--profile") {
    const auto print = [&](const Size& size, auto network) {
      bench::profile<Training<typename decltype(network)::type>>(size, std::stod(words[2]));
    };
    return with_network(words[1], print) ? 0 : 2;
  }
  for (const Size& size : sizes) {
    const std::string name = size.name;
    add<models::LstmNetwork>(size, name + "-lstm");
    add<models::GruNetwork>(size, name + "-gru");
    add<models::RnnNetwork>(size, name + "-rnn");
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
