// The speed of queries of an n-gram model in each layout. Usage: bench_ngram_query MODEL TEXT [SECONDS]
// [LAYOUT]. MODEL is an n-gram model in any format that `gradus` reads, TEXT has one sentence per line,
// SECONDS is the time for each kind of query, and LAYOUT selects one of those below. Prints a line of JSON
// for each layout.

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "bench/timing.hpp"
#include "models/checkpoint.hpp"
#include "models/evaluate.hpp"
#include "models/generate.hpp"
#include "models/ngram/store/writer.hpp"
#include "text/load.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using models::NgramModel;

namespace {

struct Case {
  const char* name;
  models::NgramStorage storage;
  models::NgramAccess access;
};

/// Contexts of the text, taken far apart.
std::vector<NgramModel::State> contexts(const NgramModel& model, const std::vector<std::int32_t>& tokens) {
  std::vector<NgramModel::State> out;
  NgramModel::State state = model.start();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    state = model.advance(state, tokens[i]);
    if (i % 97 == 0) out.push_back(state);
  }
  return out;
}

/// The seconds of ask(state), over the states in turn.
template <class Ask>
double each(const std::vector<NgramModel::State>& states, double seconds, Ask&& ask) {
  std::size_t next = 0;
  return bench::median_seconds([&] { ask(states[next++ % states.size()]); }, seconds);
}

void measure(const Case& c, const NgramModel& model, const std::vector<std::int32_t>& tokens,
             double seconds) {
  const auto per_token = [&](double total) { return static_cast<double>(tokens.size() - 1) / total; };
  std::vector<double> scores;
  const double batch = bench::median_seconds([&] { scores = models::score(model, tokens); }, seconds);
  double total = 0;
  const double single = bench::median_seconds(
      [&] {
        NgramModel::State state = model.start();
        total = 0;
        for (const std::int32_t token : tokens) total += model.score(state, token).log_prob;
      },
      seconds);
  const std::vector<NgramModel::State> states = contexts(model, tokens);
  const double distribution = each(states, seconds, [&](const auto& s) { return model.log_probs(s); });
  const double top = each(states, seconds, [&](const auto& s) { return model.top_k(s, 10); });
  constexpr std::int64_t words = 20'000;
  const double generated = bench::median_seconds(
      [&] { models::generate(model, std::span(tokens).first(1), {.max_tokens = words}); }, seconds);
  const std::vector<std::int64_t> counts = model.counts();
  const auto ngrams = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  const double log_prob = std::accumulate(scores.begin(), scores.end(), 0.0);
  std::printf(
      "{\"layout\": \"%s\", \"tokens_per_second\": %.0f, \"batch_tokens_per_second\": %.0f, "
      "\"bytes_per_ngram\": %.3f, \"distribution_us\": %.2f, \"top10_us\": %.2f, \"generated_per_second\": "
      "%.0f, "
      "\"perplexity\": %.4f}\n",
      c.name, per_token(single), per_token(batch), static_cast<double>(model.bytes()) / ngrams,
      distribution * 1e6, top * 1e6, static_cast<double>(words) / generated,
      std::exp(-log_prob / static_cast<double>(scores.size())));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench_ngram_query MODEL TEXT [SECONDS] [LAYOUT]\n");
    return 2;
  }
  const double seconds = argc > 3 ? std::atof(argv[3]) : 1;
  const std::string only = argc > 4 ? argv[4] : "";
  const models::TrainedModel trained = models::load_model(argv[1]);
  const auto& model = trained.model.get<NgramModel>();
  std::vector<std::int32_t> tokens = encode(trained.vocabulary, load_text(argv[2], {.unit = Unit::word}));
  tokens.insert(tokens.begin(), trained.vocabulary.line_end());
  constexpr auto fast = models::NgramLayout::fast, compact = models::NgramLayout::compact;
  for (const Case& c : {Case{"fast", {fast, 0}, models::NgramAccess::mapped},
                        Case{"fast, copied", {fast, 0}, models::NgramAccess::copied},
                        Case{"compact", {compact, 0}, models::NgramAccess::mapped},
                        Case{"compact, copied", {compact, 0}, models::NgramAccess::copied},
                        Case{"compact, 8 bits", {compact, 8}, models::NgramAccess::mapped}}) {
    if (!only.empty() && only != c.name) continue;
    const std::filesystem::path file =
        std::filesystem::temp_directory_path() / ("bench-ngram-" + std::to_string(getpid()));
    models::save_ngram(file, model, trained.vocabulary, c.storage);
    measure(c, NgramModel::open(file, c.access), tokens, seconds);
    std::filesystem::remove(file);
  }
} catch (const Error& error) {
  std::fprintf(stderr, "bench_ngram_query: %s\n", error.what());
  return 1;
}
