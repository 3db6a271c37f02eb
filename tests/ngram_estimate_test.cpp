#include "models/ngram/estimate.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <sstream>

#include "models/ngram/ngram.hpp"
#include "models/ngram/text_source.hpp"
#include "tensor/parallel.hpp"
#include "tests/catch.hpp"
#include "tests/folder.hpp"
#include "tests/ngram_collector.hpp"
#include "tests/paths.hpp"
#include "text/byte_source.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;
using gradus::test::Collector;
using ngram::BuildOptions;
using ngram::NgramMethod;
using Ids = std::vector<std::int32_t>;

namespace {

const std::string shared = gradus::test::source_dir() + "/../shared/";

/// A file of the shared folder, unpacked; empty, with a message, where there is none.
std::string shared_text(const std::string& name) {
  if (!std::filesystem::exists(shared + name)) {
    WARN("skipped: " << name << " is not there");
    return {};
  }
  ByteSource source(shared + name);
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (const std::size_t got = source.read(buffer)) text.append(buffer.data(), got);
  return text;
}

/// KenLM's references were made with <unk> as an ordinary word.
std::string renamed(const std::string& text) {
  std::string out;
  std::size_t from = 0;
  for (std::size_t at = 0; (at = text.find("<unk>", from)) != text.npos; from = at + 5)
    out.append(text, from, at - from) += "UNK";
  return out.append(text, from);
}

struct Built {
  Collector model;
  ngram::NgramSummary summary;
};

Built build_ids(const Ids& tokens, std::int32_t vocab, std::int32_t end, const ngram::NgramOptions& options,
                const BuildOptions& build = {}) {
  Built out;
  ngram::IdSource source(tokens, vocab, end);
  out.summary = ngram::estimate(source, options, build, out.model);
  CHECK(out.model.finished);
  return out;
}

/// Words with something of language's distribution: a few frequent ones, many rare ones, some never.
Ids random_ids(std::size_t count, std::int32_t vocab, std::int32_t end, unsigned seed) {
  std::mt19937 random(seed);
  Ids out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto below = [&](std::int32_t limit) {
      return static_cast<std::int32_t>(random() % static_cast<unsigned>(limit));
    };
    std::int32_t id = below(below(vocab - 2) + 1);
    if (i > 0 && below(3) == 0) id = (out.back() * 7 + 1) % (vocab - 2);  // some order in it
    out.push_back(below(9) == 0 ? end : id);
  }
  return out;
}

}  // namespace

TEST_CASE("estimated Kneser-Ney models have KenLM's numbers", "[ngram][estimate]") {
  const std::string train = renamed(shared_text("reference/kenlm_small.train.txt.gz"));
  if (train.empty()) return;
  const test::Folder folder;
  ngram::TextSource source(folder.write("train.txt", train));
  Collector model;
  const ngram::NgramSummary summary = ngram::estimate(source, {.order = 3}, {}, model);
  const double expected[3][3] = {
      {0.605222, 1.19394, 1.61838}, {0.823291, 1.27969, 1.73667}, {0.872368, 1.42335, 1.57162}};
  for (std::size_t n = 0; n < 3; ++n) {
    CHECK_FALSE(summary.discounts[n].fallback);
    for (std::size_t k = 0; k < 3; ++k)
      CHECK(summary.discounts[n].amount[k] == Approx(expected[n][k]).epsilon(1e-5));
  }

  const Vocabulary& vocabulary = source.vocabulary();
  std::istringstream arpa(shared_text("reference/kenlm_small.o3.arpa.gz"));
  std::string line;
  std::int64_t checked = 0, wrong = 0;
  const double log10 = std::log(10.0);
  while (std::getline(arpa, line)) {
    std::istringstream fields(line);
    std::string prob, words, backoff;
    if (!std::getline(fields, prob, '\t') || !std::getline(fields, words, '\t')) continue;
    std::getline(fields, backoff);
    std::istringstream split(words);
    Ids ids;
    for (std::string word; split >> word;)
      ids.push_back(word == "<s>" ? static_cast<std::int32_t>(vocabulary.size()) : vocabulary.id(word));
    const Collector::Value* const found = model.find(ids);
    REQUIRE(found != nullptr);
    // KenLM writes 0 for <s>, which is never predicted.
    if (words != "<s>")
      wrong += std::abs(static_cast<double>(found->log_prob) / log10 - std::stod(prob)) > 1e-5;
    if (!backoff.empty())
      wrong += std::abs(static_cast<double>(found->backoff) / log10 - std::stod(backoff)) > 1e-5;
    ++checked;
  }
  CHECK(checked == summary.counts[0] + summary.counts[1] + summary.counts[2]);
  CHECK(wrong == 0);
}

TEST_CASE("WikiText-2 has the reference's numbers of n-grams", "[ngram][estimate]") {
  const std::string train = renamed(shared_text("data/wikitext-2.train.txt.gz"));
  if (train.empty()) return;
  const test::Folder folder;
  const auto file = folder.write("train.txt", train);
  struct Counts : NgramSink {
    void describe(const NgramDescription&) override {}
    void begin_order(int, std::int64_t count) override { counts.push_back(count); }
    void add(std::span<const std::int32_t>, float, float) override { ++added; }
    void finish() override {}
    std::vector<std::int64_t> counts;
    std::int64_t added = 0;
  } sink;
  ngram::TextSource source(file);
  ngram::estimate(source, {.order = 6}, {}, sink);
  CHECK(sink.counts == std::vector<std::int64_t>{33280, 619592, 1398959, 1794725, 1914265, 1936917});
  CHECK(sink.added == 33280 + 619592 + 1398959 + 1794725 + 1914265 + 1936917);
}

TEST_CASE("estimates agree with the model made in memory", "[ngram][estimate]") {
  const std::int32_t vocab = 40, end = 39;
  for (const int order : {1, 2, 3, 4, 5, 8}) {
    for (const std::int32_t sentence_end : {end, -1}) {
      const Ids tokens = random_ids(4000, vocab, end, static_cast<unsigned>(order));
      const NgramModel slow(tokens, vocab, {.order = order, .sentence_end = sentence_end});
      const Built fast = build_ids(tokens, vocab, sentence_end, {.order = order});
      CHECK(fast.summary.counts.back() == slow.counts().back());
      std::int64_t wrong = 0;
      for (int n = 1; n <= order; ++n) {
        const auto& entries = fast.model.orders[static_cast<std::size_t>(n - 1)];
        std::int64_t count = 0;
        slow.visit_entries(n, [&](std::span<const std::int32_t> ngram, double log_prob, double backoff) {
          const auto found = entries.find(Ids(ngram.begin(), ngram.end()));
          ++count;
          if (found == entries.end()) {
            ++wrong;
            return;
          }
          if (std::isfinite(log_prob))
            wrong += !(std::abs(log_prob - static_cast<double>(found->second.log_prob)) < 2e-6);
          wrong += !(std::abs(backoff - static_cast<double>(found->second.backoff)) < 2e-6);
        });
        CHECK(count == static_cast<std::int64_t>(entries.size()));
      }
      INFO("order " << order << ", sentence end " << sentence_end);
      CHECK(wrong == 0);
    }
  }
}
