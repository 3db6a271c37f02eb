#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "bench/sampler.hpp"
#include "tensor/matmul_precision.hpp"

namespace bench {

/// Measures the steps of a Training of that size, which has so many tokens in each: tokens per second.
template <class Training, class Size>
void measure(benchmark::State& state, const Size& size, std::int64_t tokens,
             gradus::MatmulPrecision precision = gradus::MatmulPrecision::exact) {
  const gradus::MatmulPrecisionScope scope(precision);
  Training training(size);
  training.step();  // takes the memory that the next steps reuse
  for (auto _ : state) training.step();
  state.counters["value"] =
      benchmark::Counter(static_cast<double>(state.iterations() * tokens), benchmark::Counter::kIsRate);
}

/// Prints samples, as Sampler does, of where the steps of a Training of that size spend their time.
template <class Training, class Size>
void profile(const Size& size, double seconds) {
  using Clock = std::chrono::steady_clock;
  Training training(size);
  training.step();
  Sampler sampler(static_cast<std::size_t>(seconds * 1000));
  if (!sampler.works()) throw std::runtime_error("this system has no timer that could sample a thread");
  const auto start = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - start).count() < seconds) training.step();
  sampler.stop();
  sampler.print(std::cout);
}

/// The value of a line of /proc/self/status, in MB.
inline double status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stod(line.substr(name.size() + 1)) / 1e3;
  }
  return 0;
}

/// The peak memory of the process during a few steps, minus its memory before the network is built, in MB.
template <class Training, class Size>
double peak_memory(const Size& size) {
  std::ofstream("/proc/self/clear_refs") << 5;  // resets the peak
  const double before = status("VmRSS");
  Training training(size);
  for (int i = 0; i < 4; ++i) training.step();
  return status("VmHWM") - before;
}

}  // namespace bench
