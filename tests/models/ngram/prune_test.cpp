#include "models/ngram/prune.hpp"

#include <cmath>
#include <map>

#include "models/evaluate.hpp"
#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/store/writer.hpp"
#include "tests/models/ngram/ngram_collector.hpp"
#include "tests/models/ngram/ngram_models.hpp"
#include "tests/support/catch.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;
using gradus::test::Collector;
using gradus::test::NaiveNgrams;
using gradus::test::stored;

namespace {

struct Example {
  Vocabulary vocabulary;
  std::vector<std::int32_t> train, test;
  explicit Example(std::int64_t tokens = 8000) {
    const std::string text = synthetic_corpus(5, tokens + 2000).text;
    vocabulary = Vocabulary::build(Unit::word, text);
    const std::vector<std::int32_t> all = encode(vocabulary, text);
    train.assign(all.begin(), all.begin() + tokens);
    test.assign(all.begin() + tokens, all.end());
  }
  NgramModel model(int order) const {
    return {train,
            static_cast<std::int32_t>(vocabulary.size()),
            {.order = order, .sentence_end = vocabulary.line_end()}};
  }
};

NgramModel pruned(const NgramModel& model, double threshold, PruneSummary* summary = nullptr) {
  NgramWriter writer;
  const PruneSummary done = prune(model, threshold, writer);
  if (summary != nullptr) *summary = done;
  return writer.model();
}

std::int64_t size(const NgramModel& model) {
  std::int64_t total = 0;
  for (const std::int64_t count : model.counts()) total += count;
  return total;
}

/// The largest distance from 1 of the sum of a distribution, over the contexts of a text.
double largest_error(const NgramModel& model, const std::vector<std::int32_t>& text) {
  double largest = 0;
  NgramModel::State state = model.start();
  for (const std::int32_t token : text) {
    const Tensor log_probs = model.log_probs(state);
    double sum = 0;
    for (const float x : log_probs.values<float>()) sum += std::exp(static_cast<double>(x));
    largest = std::max(largest, std::abs(sum - 1));
    state = model.advance(state, token);
  }
  return largest;
}

/// D(p || p') over the contexts of a bigram model, weighted by their unigram probabilities, computed by
/// summing.
double relative_entropy(const NgramModel& p, const NgramModel& q) {
  double total = 0;
  const std::int32_t vocab = p.vocab_size();
  for (std::int32_t h = 0; h <= vocab; ++h) {
    const std::int32_t weight_of = h == vocab ? p.description().sentence_end : h;
    const double weight = std::exp(p.log_prob(p.context({}), weight_of));
    for (std::int32_t w = 0; w < vocab; ++w) {
      const double log_p = p.log_prob(p.context({h}), w);
      total += weight * std::exp(log_p) * (log_p - q.log_prob(q.context({h}), w));
    }
  }
  return total;
}

/// The model without one n-gram of the highest order, with the backoff weight of its context recomputed.
NgramModel without(const Collector& all, const std::vector<std::int32_t>& left_out) {
  NgramWriter writer;
  writer.describe(all.description);
  const std::vector<std::int32_t> context(left_out.begin(), left_out.end() - 1);
  double listed = 0, shorter = 0;
  for (const auto& [ngram, value] : all.orders.back()) {
    if (ngram == left_out || !std::equal(context.begin(), context.end(), ngram.begin())) continue;
    listed += std::exp(static_cast<double>(value.log_prob));
    shorter += std::exp(static_cast<double>(all.find({ngram.begin() + 1, ngram.end()})->log_prob));
  }
  for (std::size_t n = 0; n < all.orders.size(); ++n) {
    const bool last = n + 1 == all.orders.size();
    writer.begin_order(static_cast<int>(n) + 1, std::ssize(all.orders[n]) - last);
    for (const auto& [ngram, value] : all.orders[n]) {
      if (last && ngram == left_out) continue;
      writer.add(
          ngram, value.log_prob,
          ngram == context ? static_cast<float>(std::log((1 - listed) / (1 - shorter))) : value.backoff);
    }
  }
  writer.finish();
  return writer.model();
}

}  // namespace

TEST_CASE("pruning tells how much it has read, judged and written", "[prune]") {
  const NgramModel model = Example(30'000).model(4);
  std::vector<std::string> phases;
  std::map<std::string, std::int64_t> totals;
  std::int64_t last = 0;
  NgramWriter writer;
  prune(model, 1e-6, writer, [&](std::string_view phase, std::int64_t done, std::int64_t total) {
    if (phases.empty() || phases.back() != phase) {
      phases.emplace_back(phase);
      last = 0;
    }
    CHECK(done > last);
    CHECK(done <= total);
    totals[std::string(phase)] = total;
    last = done;
  });
  CHECK(phases == std::vector<std::string>{"reading", "judging", "writing"});
  CHECK(totals["reading"] == size(model));
  CHECK(totals["judging"] == size(model) - model.counts().back());
  CHECK(totals["writing"] == size(writer.model()));
}

TEST_CASE("a model can be pruned straight into an ARPA file", "[prune]") {
  const Example example;
  const NgramModel model = example.model(3);
  std::string text;
  ArpaWriter writer(text, example.vocabulary);
  prune(model, 1e-5, writer);
  CHECK(text == to_arpa(pruned(model, 1e-5), example.vocabulary));
}

TEST_CASE("pruning leaves probabilities that add up to one, and fewer n-grams the higher the threshold",
          "[prune]") {
  const Example example;
  const NgramModel model = example.model(4);
  const double before = evaluate(model, example.test, 1).perplexity();
  std::int64_t last_size = size(model);
  double last = before;
  for (const double threshold : {1e-8, 1e-6, 1e-5, 1e-4}) {
    PruneSummary summary;
    const NgramModel small = pruned(model, threshold, &summary);
    INFO("threshold " << threshold << ", " << size(small) << " of " << size(model));
    CHECK(summary.before == model.counts());
    CHECK(summary.after == small.counts());
    CHECK(summary.after[0] == summary.before[0]);
    CHECK(size(small) <= last_size);
    CHECK(largest_error(small, example.test) < 2e-5);
    const double now = evaluate(small, example.test, 1).perplexity();
    CHECK(now > 0.98 * last);
    last_size = size(small);
    last = now;
    Collector contract;  // throws for a context or suffix that is missing
    small.write_to(contract);
  }
  CHECK(last_size < size(model) / 2);
  // With an infinite threshold, only the unigrams are left.
  const NgramModel bare = pruned(model, 1e9);
  CHECK(size(bare) == bare.counts()[0]);
  CHECK(largest_error(bare, {example.test.begin(), example.test.begin() + 50}) < 2e-5);
  const NgramModel unigrams = example.model(4);
  const std::int32_t word = example.test[3];
  CHECK(bare.log_prob(bare.context({1, 2, 3}), word) ==
        Approx(unigrams.log_prob(unigrams.context({}), word)).epsilon(1e-6));
}

TEST_CASE("pruning with a threshold of zero changes no distribution", "[prune]") {
  const Example example(3000);
  const NgramModel model = example.model(3), same = pruned(model, 0);
  const std::vector<double> a = score(model, example.test), b = score(same, example.test);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(b[i] == Approx(a[i]).epsilon(1e-5));
}

TEST_CASE("pruning judges by the relative entropy, summed over all words", "[prune]") {
  const Example example(1200);
  const NgramModel model = example.model(2);
  Collector all;
  model.write_to(all);
  constexpr double threshold = 2e-4;
  Collector kept;
  prune(model, threshold, kept);
  std::int64_t judged = 0, out = 0;
  for (const auto& [ngram, value] : all.orders[1]) {
    if (judged % 9 == 0) {  // summing over the vocabulary twice for each is slow
      const double growth = std::expm1(relative_entropy(model, without(all, ngram)));
      INFO("bigram " << ngram[0] << " " << ngram[1] << ": " << growth);
      if (std::abs(growth - threshold) > 2e-6) {
        CHECK((kept.find(ngram) != nullptr) == (growth >= threshold));
        out += growth < threshold;
      }
    }
    ++judged;
  }
  CHECK(out > 5);
  CHECK(out < judged / 9 - 5);
}

TEST_CASE("pruning refuses what has no backoff form", "[prune]") {
  const std::vector<std::int32_t> tokens{0, 1, 2, 0, 1, 1};
  NgramWriter sink;
  CHECK_THROWS_AS(prune(NgramModel(tokens, 3, {.order = 2, .method = NgramMethod::add_k}), 1e-7, sink),
                  ArgumentError);
  CHECK_THROWS_AS(prune(NgramModel(tokens, 3, {.order = 2}), -1, sink), ArgumentError);
  CHECK_THROWS_AS(prune(NgramModel(tokens, 3, {.order = 2}), std::nan(""), sink), ArgumentError);
  NgramWriter scores;
  NgramDescription about{.order = 1, .vocab = 1, .method = "stupid backoff by 0.4"};
  scores.describe(about);
  scores.begin_order(1, 2);
  for (const std::int32_t id : {0, 1}) scores.add({&id, 1}, -1, 0);
  scores.finish();
  CHECK_THROWS_WITH(prune(scores.model(), 1e-7, sink), Catch::Contains("no probabilities"));
  const NgramModel one(tokens, 3, {.order = 1});
  CHECK(pruned(one, 1).counts() == one.counts());
}

TEST_CASE("pruning of a model without some suffixes goes by what backing off gives for them", "[prune]") {
  const Example example(4000);
  const NaiveNgrams whole = NaiveNgrams::of(example.model(3));
  NaiveNgrams holed = whole;
  std::size_t at = 0;
  for (const auto& [ngram, numbers] : whole.ngrams) {
    if (ngram.size() != 2 || ++at % 3 != 0) continue;
    std::erase_if(holed.ngrams, [&, &gone = ngram](const auto& entry) {  // and what continues it
      return entry.first.size() > 1 && std::equal(gone.begin(), gone.end(), entry.first.begin());
    });
  }
  // The backoff weights by their formula, the shortest contexts first.
  for (const std::size_t length : {std::size_t{1}, std::size_t{2}}) {
    for (auto& [context, numbers] : holed.ngrams) {
      if (context.size() == length) numbers.backoff = 0;
      if (context.size() != length || !holed.has_children(context)) continue;
      double rest = 1, rest_shorter = 1;
      for (auto it = holed.ngrams.upper_bound(context);
           it != holed.ngrams.end() && it->first.size() > length &&
           std::equal(context.begin(), context.end(), it->first.begin());
           ++it) {
        if (it->first.size() != length + 1) continue;
        rest -= std::exp(static_cast<double>(it->second.log_prob));
        rest_shorter -= std::exp(holed.log_prob({context.begin() + 1, context.end()}, it->first.back()));
      }
      numbers.backoff = static_cast<float>(std::log(rest / rest_shorter));
    }
  }
  // The same model with those suffixes inserted.
  NaiveNgrams filled = holed;
  std::size_t holes = 0;
  for (const auto& [ngram, numbers] : holed.ngrams) {
    const std::vector<std::int32_t> suffix(ngram.begin() + 1, ngram.end());
    if (ngram.size() != 3 || filled.ngrams.contains(suffix)) continue;
    ++holes;
    filled.ngrams[suffix] = {static_cast<float>(holed.log_prob({suffix[0]}, suffix[1])), 0};
  }
  CHECK(holes > 100);
  const NgramModel a = stored(holed, {}), b = stored(filled, {});
  CHECK(largest_error(a, example.test) < 2e-5);
  for (const double threshold : {0.0, 1e-5, 1e-4}) {
    const NgramModel small_a = pruned(a, threshold), small_b = pruned(b, threshold);
    INFO(threshold << ": " << size(small_a) << " of " << size(a));
    CHECK(small_a.counts()[2] == small_b.counts()[2]);
    if (threshold > 0) CHECK(size(small_a) < size(a));
    CHECK(largest_error(small_a, example.test) < 2e-5);
  }
}
