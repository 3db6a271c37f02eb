#include "models/ngram/estimate/estimate.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <sstream>

#include "models/ngram/estimate/text_source.hpp"
#include "models/ngram/ngram.hpp"
#include "models/ngram/store/writer.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/models/ngram/ngram_collector.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/shared_text.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;
using gradus::test::Collector;
using gradus::test::methods;
using gradus::test::renamed;
using gradus::test::shared_text;
using ngram::BuildOptions;
using Method = NgramMethod;
using Ids = std::vector<std::int32_t>;

namespace {

struct Built {
  Collector model;
  NgramSummary summary;
};

Built build_ids(const Ids& tokens, std::int32_t vocab, std::int32_t end, const NgramOptions& options,
                const BuildOptions& build = {}) {
  Built out;
  ngram::IdSource source(tokens, vocab, end);
  out.summary = ngram::estimate(source, options, build, out.model);
  CHECK(out.model.finished);
  return out;
}

/// The numbers of n-grams, and a hash of them all.
struct Digest : NgramSink {
  std::vector<std::int64_t> counts;
  std::uint64_t hash = 0;

  void describe(const NgramDescription&) override {}
  void begin_order(int, std::int64_t count) override { counts.push_back(count); }
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) override {
    for (const std::int32_t id : ngram) mix(static_cast<std::uint32_t>(id));
    mix(std::bit_cast<std::uint32_t>(log_prob));
    mix(std::bit_cast<std::uint32_t>(backoff));
  }
  void finish() override {}

 private:
  void mix(std::uint32_t x) { hash = (std::rotl(hash, 7) ^ x) * 0x9E3779B97F4A7C15u; }
};

/// Words distributed somewhat as in language: a few frequent ones, many rare ones, some that never occur.
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
  const NgramSummary summary = ngram::estimate(source, {.order = 3}, {}, model);
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

TEST_CASE("how a model was estimated is kept in its file", "[ngram][estimate]") {
  const Ids tokens = random_ids(3000, 12, 11, 5);
  Vocabulary vocabulary = Vocabulary::build(Unit::word, "a b c d e f g h i j\n");
  REQUIRE(vocabulary.size() == 12);
  const test::Folder folder;
  const auto file = folder.path() / "m.ngram";
  for (const Method method : methods) {
    for (const NgramLayout layout : {NgramLayout::fast, NgramLayout::compact}) {
      const NgramOptions options{
          .order = 3, .method = method, .k = 0.25, .katz_cutoff = 4, .backoff = 0.3, .sentence_end = 11};
      const NgramModel made(tokens, 12, options);
      NgramWriter writer(file, vocabulary, {.layout = layout});
      made.write_to(writer);
      const NgramModel read = NgramModel::open(file);
      read.verify();
      INFO(name_of(method));
      CHECK(read.options() == options);
      CHECK(made.options() == options);
      const std::map<Method, std::size_t> amounts{
          {Method::kneser_ney, 3}, {Method::absolute_discounting, 1}, {Method::katz, 4}};
      REQUIRE(read.discounts().size() == (amounts.count(method) == 1 ? 3 : 0));
      for (std::size_t n = 0; n < read.discounts().size(); ++n) {
        CHECK(read.discounts()[n] == made.discounts()[n]);
        CHECK(read.discounts()[n].amount.size() == amounts.at(method));
      }
    }
  }
  // Whether discounts are fixed ones is stored too.
  NgramWriter writer(file, Vocabulary::build(Unit::word, "a b\n"));
  NgramModel(Ids{0, 1, 0, 1, 0, 2}, 4, {.order = 2}).write_to(writer);
  const NgramModel fixed = NgramModel::open(file);
  CHECK(fixed.discounts()[1] == Discounts{{0.5, 1, 1.5}, true});
  // A model of given n-grams has no options and no discounts.
  NgramWriter numbers;
  numbers.describe({.order = 1, .vocab = 1, .method = "given by its numbers"});
  numbers.begin_order(1, 2);
  numbers.add(Ids{0}, 0, 0);
  numbers.add(Ids{1}, 0, 0);
  numbers.finish();
  const NgramModel given = numbers.model();
  CHECK_FALSE(given.options());
  CHECK(given.discounts().empty());
}

TEST_CASE("a file of the format's first version is refused", "[ngram][estimate]") {
  const test::Folder folder;
  const auto file = folder.path() / "old.ngram";
  NgramWriter writer(file, Vocabulary::build(Unit::word, "a b\n"));
  NgramModel(Ids{0, 1, 0, 1, 0, 2}, 4, {.order = 2}).write_to(writer);
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekp(8);
  bytes.put(1);
  bytes.close();
  CHECK_THROWS_WITH(NgramModel::open(file), Catch::Contains("old.ngram") &&
                                                Catch::Contains("version 1 of the format") &&
                                                Catch::Contains("build it again"));
}

namespace {

/// The counts of a text, and the formula of each method as in the literature, computed without regard for
/// speed.
class Naive {
 public:
  Naive(const Ids& tokens, std::int32_t vocab, std::int32_t end, const NgramOptions& options)
      : vocab_(vocab), options_(options) {
    const auto order = static_cast<std::size_t>(options.order);
    Ids sentence{vocab};
    for (const std::int32_t token : tokens) {
      if (sentence.back() == end) sentence = {vocab};
      sentence.push_back(token);
      for (std::size_t n = 1; n <= std::min(order, sentence.size()); ++n) {
        ++raw_[Ids(sentence.end() - static_cast<std::ptrdiff_t>(n), sentence.end())];
      }
    }
    if (options.method != Method::kneser_ney) {
      counts_ = raw_;
    } else {
      for (const auto& [ngram, count] : raw_) {
        if (ngram.size() == order || ngram.front() == vocab) counts_[ngram] = count;
        if (ngram.size() > 1) ++counts_[Ids(ngram.begin() + 1, ngram.end())];
      }
    }
    for (const auto& [ngram, count] : counts_)
      followers_[Ids(ngram.begin(), ngram.end() - 1)][ngram.back()] = count;
    for (std::size_t n = 1; n <= order; ++n) {
      std::map<std::int64_t, double> t;
      for (const auto& [ngram, count] : counts_) t[count] += ngram.size() == n;
      of_counts_.push_back(t);
    }
  }

  const std::map<Ids, std::int64_t>& counts() const { return counts_; }
  const std::map<Ids, std::map<std::int32_t, std::int64_t>>& followers() const { return followers_; }

  double prob(const Ids& h, std::int32_t w) const {
    if (h.size() >= static_cast<std::size_t>(options_.order)) return prob(Ids(h.begin() + 1, h.end()), w);
    const auto found = followers_.find(h);
    const auto shorter = [&] { return h.empty() ? 1.0 / vocab_ : prob(Ids(h.begin() + 1, h.end()), w); };
    if (options_.method == Method::add_k && found == followers_.end()) return 1.0 / vocab_;
    if (found == followers_.end()) {
      // A known context that nothing follows has the weight of stupid backoff.
      const bool seen = options_.method == Method::stupid_backoff && raw_.count(h) > 0;
      return (seen ? options_.backoff : 1) * shorter();
    }
    const auto& words = found->second;
    double total = 0;
    for (const auto& [word, count] : words) total += static_cast<double>(count);
    const auto types = static_cast<double>(words.size());
    const double c = words.count(w) > 0 ? static_cast<double>(words.at(w)) : 0;
    switch (options_.method) {
      case Method::maximum_likelihood:
        return c / total;
      case Method::add_k:
        return (c + options_.k) / (total + options_.k * vocab_);
      case Method::witten_bell:
        return (c + types * shorter()) / (total + types);
      case Method::stupid_backoff:
        return c > 0 ? c / total : h.empty() ? 0 : options_.backoff * shorter();
      case Method::katz:
        return katz(h, words, total, w);
      case Method::kneser_ney:
      case Method::absolute_discounting:
        break;
    }
    double freed = 0;
    for (const auto& [word, count] : words) freed += discount(h.size() + 1, count);
    return (c - discount(h.size() + 1, static_cast<std::int64_t>(c))) / total + freed / total * shorter();
  }

 private:
  double t(std::size_t order, std::int64_t r) const {
    const auto& found = of_counts_[order - 1];
    return found.count(r) > 0 ? found.at(r) : 0;
  }
  double discount(std::size_t order, std::int64_t count) const {
    if (count == 0) return 0;
    const double y = t(order, 1) / (t(order, 1) + 2 * t(order, 2));
    if (options_.method == Method::absolute_discounting) return t(order, 1) > 0 && t(order, 2) > 0 ? y : 0.5;
    const std::int64_t r = std::min<std::int64_t>(count, 3);
    const auto d = [&](std::int64_t i) {
      return static_cast<double>(i) - static_cast<double>(i + 1) * y * t(order, i + 1) / t(order, i);
    };
    for (std::int64_t i = 1; i <= 3; ++i) {
      if (!(d(i) >= 0 && d(i) <= static_cast<double>(i))) return 0.5 * static_cast<double>(r);
    }
    return d(r);
  }
  double katz_ratio(std::size_t order, std::int64_t count) const {
    const std::int64_t k = options_.katz_cutoff;
    if (count > k) return 1;
    const double m = static_cast<double>(k + 1) * t(order, k + 1) / t(order, 1);
    if (!(m < 1)) return (static_cast<double>(count) - 0.5) / static_cast<double>(count);
    const auto d = [&](std::int64_t r) {
      return (static_cast<double>(r + 1) * t(order, r + 1) / t(order, r) / static_cast<double>(r) - m) /
             (1 - m);
    };
    for (std::int64_t r = 1; r <= k; ++r) {
      if (!(d(r) > 0 && d(r) <= 1)) return (static_cast<double>(count) - 0.5) / static_cast<double>(count);
    }
    return d(count);
  }
  double katz(const Ids& h, const std::map<std::int32_t, std::int64_t>& words, double total,
              std::int32_t w) const {
    double left = 0, lower_seen = 0;
    for (const auto& [word, count] : words) {
      left += (1 - katz_ratio(h.size() + 1, count)) * static_cast<double>(count);
      if (!h.empty()) lower_seen += prob(Ids(h.begin() + 1, h.end()), word);
    }
    const bool all = static_cast<std::int32_t>(words.size()) == vocab_;
    if (left == 0 && !all) {
      left = 1;
      total += 1;
    }
    const auto found = words.find(w);
    if (found != words.end()) {
      const auto c = static_cast<double>(found->second);
      return (all ? 1 : katz_ratio(h.size() + 1, found->second)) * c / total;
    }
    if (h.empty())
      return left / total / static_cast<double>(vocab_ - static_cast<std::int32_t>(words.size()));
    return left / total / (1 - lower_seen) * prob(Ids(h.begin() + 1, h.end()), w);
  }

  std::int32_t vocab_;
  NgramOptions options_;
  std::map<Ids, std::int64_t> raw_, counts_;
  std::map<Ids, std::map<std::int32_t, std::int64_t>> followers_;
  std::vector<std::map<std::int64_t, double>> of_counts_;
};

/// Every context that something follows, and some that nothing follows.
std::vector<Ids> contexts_of(const Naive& naive, int order, std::int32_t vocab) {
  std::vector<Ids> out{{0, 0, 0}, {vocab, 0, 3, 3}, {vocab - 2}};
  for (const auto& [context, words] : naive.followers()) {
    if (static_cast<int>(context.size()) < order) out.push_back(context);
  }
  for (Ids& context : out) {
    if (static_cast<int>(context.size()) >= order) context.resize(static_cast<std::size_t>(order - 1));
  }
  return out;
}

}  // namespace

TEST_CASE("each method's probabilities are those of its formula", "[ngram][estimate]") {
  const std::int32_t vocab = 30, end = 29;
  for (const Method method : methods) {
    for (const int order : {1, 2, 3, 4}) {
      const NgramOptions options{.order = order, .method = method, .k = 0.3, .katz_cutoff = 5};
      const Ids tokens = random_ids(1500, vocab, end, static_cast<unsigned>(order) + 10);
      const Naive naive(tokens, vocab, end, options);
      const Built built = build_ids(tokens, vocab, end, options);
      double worst = 0, worst_sum = 0;
      for (const Ids& context : contexts_of(naive, order, vocab)) {
        double sum = 0;
        for (std::int32_t w = 0; w < vocab; ++w) {
          const double expected = naive.prob(context, w);
          const double found = std::exp(built.model.log_prob(context, w));
          sum += found;
          const double error = std::abs(found - expected) / std::max(expected, 1e-30);
          worst = std::max(worst, expected == 0 ? found : error);
        }
        worst_sum = std::max(worst_sum, std::abs(sum - 1));
      }
      INFO(name_of(method) << ", order " << order << ": off by " << worst << ", sums by " << worst_sum);
      CHECK(worst < 3e-6);
      if (method != Method::stupid_backoff) CHECK(worst_sum < 2e-6);
    }
  }
}

TEST_CASE("the counts that a model is estimated from can be visited", "[ngram][estimate]") {
  const std::int32_t vocab = 30, end = 29;
  const Ids tokens = random_ids(4000, vocab, end, 21);
  for (const Method method : {Method::kneser_ney, Method::katz}) {
    for (const int order : {1, 2, 4}) {
      for (const std::int64_t memory : {std::int64_t{1} << 30, std::int64_t{1} << 16}) {
        const NgramOptions options{.order = order, .method = method};
        std::map<Ids, std::int64_t> found;
        ngram::IdSource source(tokens, vocab, end);
        ngram::visit_counts(source, options, {.memory = memory},
                            [&](std::span<const std::int32_t> ngram, std::int64_t count) {
                              CHECK(found.emplace(Ids(ngram.begin(), ngram.end()), count).second);
                            });
        INFO(name_of(method) << ", order " << order);
        CHECK(found == Naive(tokens, vocab, end, options).counts());
      }
    }
  }
  ngram::IdSource none(Ids{}, 2);
  CHECK_THROWS_AS(ngram::visit_counts(none, {}, {}, [](auto, auto) {}), ArgumentError);
}

TEST_CASE("given discounts take the place of those of the counts of counts", "[ngram][estimate]") {
  const std::int32_t vocab = 30, end = 29;
  const Ids tokens = random_ids(3000, vocab, end, 4);
  const NgramOptions options{.order = 3};
  const Built estimated = build_ids(tokens, vocab, end, options);
  const Built same = build_ids(tokens, vocab, end, options, {.discounts = estimated.summary.discounts});
  CHECK(same.model.orders == estimated.model.orders);
  CHECK(same.summary.method == estimated.summary.method + ", discounts given");

  const std::vector<Discounts> chosen{{{0.2, 0.4, 0.6}}, {{0.3, 0.9, 1.2}}, {{0.9, 1.9, 2.9}}};
  const Built built = build_ids(tokens, vocab, end, options, {.discounts = chosen});
  CHECK(built.summary.discounts == chosen);
  CHECK(built.model.description.discounts == chosen);
  const Naive naive(tokens, vocab, end, options);
  for (const Ids& context : contexts_of(naive, 3, vocab)) {
    double sum = 0;
    for (std::int32_t w = 0; w < vocab; ++w) sum += std::exp(built.model.log_prob(context, w));
    CHECK(sum == Approx(1).epsilon(2e-6));
  }
  // (c(w) - D) / c with the discount of the count, and the rest of the mass shared evenly.
  std::map<std::size_t, double> with;  // words of a count of 1, 2, and 3 or more
  double all = 0;
  for (const auto& [word, count] : naive.followers().at({})) {
    ++with[static_cast<std::size_t>(std::min<std::int64_t>(count, 3))];
    all += static_cast<double>(count);
  }
  const double freed = 0.2 * with[1] + 0.4 * with[2] + 0.6 * with[3];
  const auto& [word, count] = *naive.followers().at({}).begin();
  REQUIRE(count >= 3);
  CHECK(std::exp(built.model.log_prob({}, word)) ==
        Approx((static_cast<double>(count) - 0.6) / all + freed / all / vocab));

  CHECK_THROWS_AS(build_ids(tokens, vocab, end, {.order = 2}, {.discounts = chosen}), ArgumentError);
  CHECK_THROWS_AS(build_ids(tokens, vocab, end, options, {.discounts = {{{1}}, {{1}}, {{1}}}}),
                  ArgumentError);
  CHECK_THROWS_WITH(
      build_ids(tokens, vocab, end, {.order = 3, .method = Method::katz}, {.discounts = chosen}),
      Catch::Contains("katz") && Catch::Contains("three for each order"));
}

TEST_CASE("pruned models' probabilities sum to one", "[ngram][estimate]") {
  const std::int32_t vocab = 30, end = 29;
  const Ids tokens = random_ids(3000, vocab, end, 3);
  for (const Method method : methods) {
    const NgramOptions options{.order = 4, .method = method};
    const Naive naive(tokens, vocab, end, options);
    const Built whole = build_ids(tokens, vocab, end, options);
    const Built built = build_ids(tokens, vocab, end, options, {.prune = {0, 0, 1, 2}});
    CHECK(built.summary.distinct == whole.summary.distinct);
    CHECK(built.summary.distinct[3] == whole.summary.counts[3]);
    CHECK(built.summary.counts[1] == whole.summary.counts[1]);
    CHECK(built.summary.counts[2] < whole.summary.counts[2]);
    CHECK(built.summary.counts[3] < whole.summary.counts[3]);
    if (method == Method::stupid_backoff) continue;
    double worst = 0;
    for (const Ids& context : contexts_of(naive, 4, vocab)) {
      double sum = 0;
      for (std::int32_t w = 0; w < vocab; ++w) sum += std::exp(built.model.log_prob(context, w));
      worst = std::max(worst, std::abs(sum - 1));
    }
    INFO(name_of(method) << ": sums off by " << worst);
    CHECK(worst < 3e-6);
  }
}

TEST_CASE("the model is the same for any bound of memory and number of threads",
          "[ngram][estimate][threads]") {
  const std::int32_t vocab = 300, end = 299;
  const Ids tokens = random_ids(60000, vocab, end, 8);
  const int before = threads();
  for (const Method method : {Method::kneser_ney, Method::katz}) {
    std::optional<Built> first;
    for (const std::int64_t memory : {std::int64_t{1} << 30, std::int64_t{1} << 20}) {
      for (const int count : {1, 2, 3}) {
        set_threads(count);
        Built built = build_ids(tokens, vocab, end, {.order = 5, .method = method}, {.memory = memory});
        CHECK((built.summary.temporary_bytes > 0) == (memory == 1 << 20));
        if (first) {
          CHECK(first->model.orders == built.model.orders);
        } else {
          first = std::move(built);
        }
      }
    }
  }
  set_threads(before);
}

TEST_CASE("a model of more words than 17 bits number is the same for any bound of memory",
          "[ngram][estimate]") {
  // The keys of four words do not fit in one word of the machine, and with little memory there are more
  // n-grams than the sample by which they are divided holds.
  const std::int32_t vocab = 200'000;
  Ids tokens;
  std::mt19937 random(3);
  for (int i = 0; i < 150'000; ++i) {
    const auto drawn = static_cast<std::int32_t>(random() % static_cast<unsigned>(vocab));
    tokens.push_back(i % 3 == 2 ? tokens[static_cast<std::size_t>(i - 2)] / 2 : drawn);
  }
  const auto digest_of = [&](std::int64_t memory) {
    Digest out;
    ngram::IdSource source(tokens, vocab, -1);
    const NgramSummary summary = ngram::estimate(source, {.order = 4}, {.memory = memory}, out);
    CHECK((summary.temporary_bytes > 0) == (memory < 1 << 30));
    return out;
  };
  const Digest plenty = digest_of(std::int64_t{1} << 40), little = digest_of(std::int64_t{1} << 20);
  REQUIRE(plenty.counts.size() == 4);
  CHECK(plenty.counts[0] == vocab + 1);
  CHECK(plenty.counts[3] > 100'000);
  CHECK(little.counts == plenty.counts);
  CHECK(little.hash == plenty.hash);
}

TEST_CASE("small and odd texts have models", "[ngram][estimate]") {
  const std::vector<std::pair<Ids, std::int32_t>> texts{
      {{0}, 1}, {{0, 0, 0, 0}, 1}, {{1}, 2}, {{0, 1}, 2}, {{1, 1, 1, 1}, 2}, {{0, 1, 1, 0}, 2}, {{2, 1}, 3}};
  for (const Method method : methods) {
    for (const int order : {1, 2, 5, 20}) {
      for (const auto& [tokens, vocab] : texts) {
        for (const std::int32_t end : {-1, 1}) {
          if (end >= vocab) continue;
          const Built built = build_ids(tokens, vocab, end, {.order = order, .method = method});
          CHECK(built.summary.tokens == static_cast<std::int64_t>(tokens.size()));
          if (method == Method::stupid_backoff) continue;
          const Naive naive(tokens, vocab, end, {.order = order, .method = method});
          for (const Ids& context : contexts_of(naive, order, vocab)) {
            double sum = 0;
            for (std::int32_t w = 0; w < vocab; ++w) sum += std::exp(built.model.log_prob(context, w));
            INFO(name_of(method) << ", order " << order << ", vocabulary of " << vocab);
            CHECK(sum == Approx(1).epsilon(1e-5));
          }
        }
      }
    }
  }
  const Built fallen = build_ids({0, 1, 0, 1, 0, 2}, 4, -1, {.order = 2});
  CHECK(fallen.summary.discounts[0].fallback);
  CHECK(fallen.summary.discounts[1].amount == std::vector{0.5, 1.0, 1.5});
}

TEST_CASE("an estimate refuses what it cannot be made of", "[ngram][estimate]") {
  const Ids tokens{0, 1, 2};
  CHECK_THROWS_AS(build_ids({0, 5}, 4, -1, {.order = 2}), ArgumentError);
  CHECK_THROWS_AS(build_ids(tokens, 4, 4, {.order = 2}), ArgumentError);
  CHECK_THROWS_AS(build_ids({}, 4, -1, {.order = 2}), ArgumentError);
  CHECK_THROWS_AS(build_ids(tokens, 4, -1, {.order = 0}), ArgumentError);
  CHECK_THROWS_AS(build_ids(tokens, 4, -1, {.order = 21}), ArgumentError);
  CHECK_THROWS_AS(build_ids(tokens, 4, -1, {.order = 2}, {.prune = {0, 2, 1}}), ArgumentError);
  CHECK_THROWS_WITH(build_ids(tokens, 4, -1, {.order = 2}, {.prune = {1, 1}}),
                    Catch::Contains("cut the vocabulary"));
  for (const double backoff : {0.0, -0.4, 1.5, std::nan("")}) {
    CHECK_THROWS_WITH(
        build_ids(tokens, 4, -1, {.order = 2, .method = Method::stupid_backoff, .backoff = backoff}),
        Catch::Contains(fmt::format("stupid backoff by {}: give a number above 0", backoff)));
  }
  CHECK_THROWS_WITH(ngram_method_named("kn"), Catch::Contains("kneser-ney"));
  CHECK(ngram_method_names().size() == methods.size());
  for (const Method method : methods) CHECK(ngram_method_named(name_of(method)) == method);
}
