// The peaks of the machine that other figures are compared with: multiply-add throughput and memory
// bandwidth, by a triad and by reading alone. A training step spends over nine tenths of its time in
// multiply-adds.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

// Ten independent chains hide the latency of the multiply-add (4 cycles, 2 a cycle).
constexpr int chains = 10;
constexpr std::int64_t rounds = 20'000;

typedef float Vector16 __attribute__((vector_size(16)));
typedef float Vector32 __attribute__((vector_size(32)));
typedef float Vector64 __attribute__((vector_size(64)));

/// A loop of multiply-adds, compiled within the functions of the right target below.
template <class Vector>
[[gnu::always_inline]] inline float multiply_add_loop() {
  Vector acc[chains], factor{}, addend{};
  for (std::size_t i = 0; i < sizeof(Vector) / sizeof(float); ++i) {
    factor[i] = 0.999f;
    addend[i] = 0.001f;
  }
  for (Vector& a : acc) a = addend;
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 10
    for (int i = 0; i < chains; ++i) acc[i] = acc[i] * factor + addend;
  }
  Vector sum = acc[0];
  for (int i = 1; i < chains; ++i) sum += acc[i];
  return sum[0];
}

struct Loop {
  float (*run)();
  int lanes;
};

#if defined(__x86_64__)
__attribute__((target("avx512f,fma"))) float loop_avx512() {
  return multiply_add_loop<Vector64>();
}
__attribute__((target("avx2,fma"))) float loop_avx2() {
  return multiply_add_loop<Vector32>();
}
#endif
float loop_baseline() {
  return multiply_add_loop<Vector16>();
}

Loop widest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {loop_avx512, 16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {loop_avx2, 8};
#endif
  return {loop_baseline, 4};
}

/// Runs on as many threads as the argument says; 0 means one for each core.
unsigned threads_wanted(const benchmark::State& state) {
  const auto wanted = static_cast<unsigned>(state.range(0));
  return wanted == 0 ? std::max(1u, std::thread::hardware_concurrency()) : wanted;
}

/// GFLOP/s.
void fma(benchmark::State& state) {
  const Loop loop = widest();
  const unsigned count = threads_wanted(state);
  constexpr int calls = 50;  // a thread's start should not count
  for (auto _ : state) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        for (int call = 0; call < calls; ++call) benchmark::DoNotOptimize(loop.run());
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const double flops = 2.0 * chains * loop.lanes * static_cast<double>(rounds) * calls * count;
  state.counters["value"] =
      benchmark::Counter(flops * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}
BENCHMARK(fma)->Arg(1)->Arg(0)->UseRealTime();

/// GB/s of a[i] = b[i] + s c[i], counting the three arrays once as McCalpin's STREAM does, although a
/// processor also reads a before it writes it. Each thread has a part of the arrays.
void triad(benchmark::State& state) {
  constexpr std::size_t n = 8 << 20;
  static std::vector<double> a(n), b(n, 1.0), c(n, 2.0);
  const std::size_t count = threads_wanted(state);
  const auto part = [&](std::size_t i) {
    const std::size_t end = n * (i + 1) / count;
    for (std::size_t at = n * i / count; at < end; ++at) a[at] = b[at] + 3.0 * c[at];
  };
  for (auto _ : state) {
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < count; ++i) threads.emplace_back(part, i);
    part(0);
    for (std::thread& thread : threads) thread.join();
    benchmark::ClobberMemory();
  }
  state.counters["value"] = benchmark::Counter(
      3.0 * n * sizeof(double) * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}
BENCHMARK(triad)->Arg(1)->Arg(0)->UseRealTime();

/// GB/s of reading an array of 256 MiB alone, as a token that is generated reads the weights.
void read(benchmark::State& state) {
  constexpr std::size_t n = 64 << 20, at_once = 64;
  static std::vector<float> a(n, 1.0F);
  const std::size_t count = threads_wanted(state);
  const auto part = [&](std::size_t i) {
    float sums[at_once] = {};
    const std::size_t end = n * (i + 1) / count / at_once * at_once;
    for (std::size_t at = n * i / count / at_once * at_once; at < end; at += at_once) {
      for (std::size_t j = 0; j < at_once; ++j) sums[j] += a[at + j];
    }
    benchmark::DoNotOptimize(sums);
  };
  for (auto _ : state) {
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < count; ++i) threads.emplace_back(part, i);
    part(0);
    for (std::thread& thread : threads) thread.join();
  }
  state.counters["value"] = benchmark::Counter(
      1.0 * n * sizeof(float) * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}
BENCHMARK(read)->Arg(1)->Arg(0)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
