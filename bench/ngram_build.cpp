// Builds an n-gram model of a text and discards it. Prints the time, memory and counts, and the time and peak
// memory of each phase. Usage: bench_ngram_build TEXT [ORDER [MEMORY_MB [METHOD [THREADS]]]]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>

#include "models/ngram/estimate/estimate.hpp"
#include "models/ngram/estimate/text_source.hpp"
#include "tensor/support/parallel.hpp"

using namespace gradus;
using namespace gradus::models;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The process's peak of memory since the last call, in MB; 0 where the system does not say.
double take_peak() {
  double kilobytes = 0;
  std::string name;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    if (words >> name && name == "VmHWM:") words >> kilobytes;
  }
  std::ofstream("/proc/self/clear_refs") << 5;  // starts the peak anew
  return kilobytes / 1024;
}

/// Takes a model and adds up its numbers.
class Sum : public NgramSink {
 public:
  void describe(const NgramDescription&) override {}
  void begin_order(int, std::int64_t) override {}
  void add(std::span<const std::int32_t>, float log_prob, float backoff) override {
    if (log_prob > -1e30F) sum += static_cast<double>(log_prob);
    if (backoff > -1e30F) sum += static_cast<double>(backoff);
  }
  void finish() override {}
  double sum = 0;
};

int run(int count, char** words) {
  const int order = count > 2 ? std::atoi(words[2]) : 5;
  ngram::BuildOptions build;
  if (count > 3) build.memory = std::atoll(words[3]) << 20;
  NgramOptions options{.order = order};
  if (count > 4) options.method = ngram_method_named(words[4]);
  if (count > 5) set_threads(std::atoi(words[5]));
  const Clock::time_point start = Clock::now();
  std::string phase;
  Clock::time_point phase_start = start;
  double peak = 0;
  const auto end_phase = [&] {
    const double here = take_peak();
    peak = std::max(peak, here);
    if (!phase.empty())
      std::fprintf(stderr, "%-28s %.3f s, %.1f MB\n", phase.c_str(), seconds_since(phase_start), here);
  };
  build.progress = [&](std::string_view name, std::int64_t, std::int64_t) {
    if (name == phase) return;
    end_phase();
    phase = name;
    phase_start = Clock::now();
  };
  ngram::TextSource source(words[1], {.block = std::min(build.memory / 128, std::int64_t{4} << 20)});
  Sum sink;
  const NgramSummary summary = ngram::estimate(source, options, build, sink);
  end_phase();
  std::printf("%.3f s, %.1f MB, %lld tokens, %lld words, temporary %.1f MB, sum %.6f, n-grams",
              seconds_since(start), peak, static_cast<long long>(summary.tokens),
              static_cast<long long>(summary.vocab), static_cast<double>(summary.temporary_bytes) / 1e6,
              sink.sum);
  for (const std::int64_t ngrams : summary.counts) std::printf(" %lld", static_cast<long long>(ngrams));
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    std::fprintf(stderr, "usage: %s TEXT [ORDER [MEMORY_MB [METHOD [THREADS]]]]\n", words[0]);
    return 2;
  }
  try {
    return run(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
