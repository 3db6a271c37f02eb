#include <cmath>
#include <map>

#include "autograd/gradcheck.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "models/evaluate.hpp"
#include "models/ngram/ngram.hpp"
#include "models/ngram/store/writer.hpp"
#include "models/ngram/table.hpp"
#include "models/ngram/tunable.hpp"
#include "models/train.hpp"
#include "optim/rules.hpp"
#include "tests/models/language_model_battery.hpp"
#include "tests/models/ngram/ngram_collector.hpp"
#include "tests/support/catch.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;
using gradus::test::Collector;

namespace {

const std::vector<std::int32_t> letters = [] {
  Rng rng(6);
  std::vector<std::int32_t> out;
  for (int i = 0; i < 400; ++i)
    out.push_back(
        static_cast<std::int32_t>((out.empty() ? 0 : out.back()) * 3 + 1 + static_cast<int>(rng.below(3))) %
        6);
  return out;
}();

Indices column(std::span<const std::int32_t> ids) {
  return Indices(std::vector<std::int32_t>(ids.begin(), ids.end()), {std::ssize(ids), 1});
}

struct Words {
  Vocabulary vocabulary;
  std::vector<std::int32_t> train, held_out, test;
  explicit Words() {
    const std::string text = synthetic_corpus(8, 9000).text;
    vocabulary = Vocabulary::build(Unit::word, text);
    const std::vector<std::int32_t> all = encode(vocabulary, text);
    train.assign(all.begin(), all.begin() + 5000);
    held_out.assign(all.begin() + 5000, all.begin() + 7000);
    test.assign(all.begin() + 7000, all.end());
  }
  std::int32_t vocab() const { return static_cast<std::int32_t>(vocabulary.size()); }
  NgramOptions options() const { return {.order = 3, .sentence_end = vocabulary.line_end()}; }
};

std::vector<TunableKneserNey::Amounts> estimated(const NgramModel& model) {
  std::vector<TunableKneserNey::Amounts> out;
  for (const Discounts& d : model.discounts()) out.push_back({d.amount[0], d.amount[1], d.amount[2]});
  return out;
}

}  // namespace

TEST_CASE("an n-gram table trained by gradient comes to the counted maximum likelihood", "[ngram-gradient]") {
  for (const int order : {1, 2, 3}) {
    INFO("order " << order);
    TableNetwork network(letters, {.vocab = 6, .order = order});
    const std::span<const std::int32_t> text(letters);
    const Indices x = column(text.first(text.size() - 1)), y = column(text.subspan(1));
    optim::Adam optimizer({.lr = 0.1});
    for (int step = 0; step < 1500; ++step) {
      Tape tape;
      const Variable loss = cross_entropy(network(x, network.start(1)).first, y);
      optimizer.step(network, tape.backward(loss));
    }
    const TableModel table{std::move(network)};
    // Counted by hand, in contexts of order - 1 tokens that end before the last.
    const auto reach = static_cast<std::size_t>(order - 1);
    std::map<std::vector<std::int32_t>, std::vector<double>> counts;
    std::vector<std::int32_t> context(reach, 6);
    for (std::size_t i = 0; i + 1 < letters.size(); ++i) {
      context.push_back(letters[i]);
      context.erase(context.begin());
      auto& row = counts[context];
      row.resize(6);
      row[static_cast<std::size_t>(letters[i + 1])] += 1;
    }
    std::vector<std::int32_t> read(reach, 6);
    auto state = table.start();
    double largest = 0;
    for (std::size_t i = 0; i + 1 < letters.size(); ++i) {
      state = table.advance(state, letters[i]);
      const Tensor log_probs = table.log_probs(state);
      read.push_back(letters[i]);
      read.erase(read.begin());
      const auto& row = counts.at(read);
      double total = 0;
      for (const double c : row) total += c;
      for (std::int64_t w = 0; w < 6; ++w)
        largest =
            std::max(largest, std::abs(std::exp(log_probs.at(w)) - row[static_cast<std::size_t>(w)] / total));
    }
    CHECK(largest < 2e-3);
    // The same as the n-gram model of maximum likelihood, which has the begin symbol in its counts too.
    if (order == 2) {
      const NgramModel counted(letters, 6, {.order = 2, .method = NgramMethod::maximum_likelihood});
      const std::vector<double> by_gradient = score(table, letters), by_counts = score(counted, letters);
      for (std::size_t i = 0; i < by_counts.size(); ++i)
        CHECK(std::exp(by_gradient[i]) == Approx(std::exp(by_counts[i])).epsilon(0).margin(2e-3));
    }
  }
}

TEST_CASE("an n-gram table is a network like any other", "[ngram-gradient]") {
  TableNetwork network(letters, {.vocab = 6, .order = 3});
  const double before = evaluate(TableModel{network}, letters, 1).perplexity();
  CHECK(before == Approx(6));
  models::train(network, letters, {.batch = 4, .steps = 10, .epochs = 60, .lr = 0.1});
  const TableModel model{network};
  CHECK(evaluate(model, letters, 1).perplexity() < 3.2);
  test::language_model_battery("table", model, {letters.begin(), letters.begin() + 60}, 1e-6);
  CHECK_THROWS_AS(TableNetwork(letters, {.vocab = 5, .order = 2}), ArgumentError);
  CHECK_THROWS_AS(TableNetwork(letters, {.vocab = 6, .order = 0}), ArgumentError);
}

TEST_CASE("Kneser-Ney with parameters for discounts begins as the counted model", "[ngram-gradient]") {
  const Words words;
  const NgramModel counted(words.train, words.vocab(), words.options());
  const TunableKneserNey tunable(words.train, words.vocab(), words.options(), estimated(counted));
  for (std::size_t n = 0; n < 3; ++n) {
    for (std::size_t k = 0; k < 3; ++k)
      CHECK(tunable.discounts()[n][k] == Approx(counted.discounts()[n].amount[k]).epsilon(1e-9));
  }
  Collector a, b;
  counted.write_to(a);
  tunable.write_to(b);
  REQUIRE(a.orders.size() == b.orders.size());
  for (std::size_t n = 0; n < a.orders.size(); ++n) {
    REQUIRE(a.orders[n].size() == b.orders[n].size());
    for (const auto& [ngram, value] : a.orders[n]) {
      const Collector::Value* const found = b.find(ngram);
      REQUIRE(found != nullptr);
      if (!std::isinf(value.log_prob)) CHECK(found->log_prob == Approx(value.log_prob).epsilon(1e-6));
      CHECK(found->backoff == Approx(value.backoff).epsilon(1e-6).margin(1e-7));
    }
  }
  // score() leaves out the first token, which held_out() has.
  const Tensor log_probs = tunable(tunable.held_out(words.held_out)).value();
  const std::vector<double> scores = score(counted, words.held_out);
  for (std::size_t i = 0; i < scores.size(); ++i)
    CHECK(log_probs.at(static_cast<std::int64_t>(i) + 1) == Approx(scores[i]).epsilon(1e-5));
}

TEST_CASE("the gradients of discounts are right", "[ngram-gradient]") {
  const Words words;
  const NgramModel counted(words.train, words.vocab(), words.options());
  const TunableKneserNey tunable(words.train, words.vocab(), words.options(), estimated(counted));
  const TunableKneserNey::HeldOut held_out = tunable.held_out(std::span(words.held_out).first(60));
  std::vector<Tensor> raw;
  for (const Parameter& parameter : tunable.raw) raw.push_back(parameter.value());
  const GradcheckResult result =
      gradcheck([&](std::span<const Variable> x) { return TunableKneserNey::log_probs(x, held_out); }, raw);
  INFO(result.message);
  CHECK(result.passed);
  CHECK(result.checked >= 9);
}

TEST_CASE("discounts tuned on a held-out text improve on the counts of counts", "[ngram-gradient]") {
  const Words words;
  const NgramModel counted(words.train, words.vocab(), words.options());
  TunableKneserNey tunable(words.train, words.vocab(), words.options(), estimated(counted));
  const TunableKneserNey::HeldOut held_out = tunable.held_out(words.held_out);
  optim::Adam optimizer({.lr = 0.05});
  const double before = -mean(tunable(held_out)).item();
  double last = before;
  for (int step = 0; step < 300; ++step) {
    Tape tape;
    const Variable loss = -mean(tunable(held_out));
    last = loss.item();
    optimizer.step(tunable, tape.backward(loss));
  }
  INFO("nats a token " << before << ", tuned " << last);
  CHECK(last < before - 1e-3);
  for (const TunableKneserNey::Amounts& d : tunable.discounts()) {
    for (std::size_t k = 0; k < 3; ++k) {
      CHECK(d[k] > 0);
      CHECK(d[k] < static_cast<double>(k + 1));
    }
  }
  // On a third text too, as an ordinary model.
  NgramWriter writer;
  tunable.write_to(writer);
  const NgramModel tuned = writer.model();
  for (std::size_t n = 0; n < 3; ++n)
    CHECK(tuned.discounts()[n].amount[1] == Approx(tunable.discounts()[n][1]).epsilon(1e-12));
  CHECK(evaluate(tuned, words.test, 1).perplexity() < evaluate(counted, words.test, 1).perplexity());
  test::language_model_battery("tuned", tuned, {words.test.begin(), words.test.begin() + 60}, 1e-5);
}

TEST_CASE("discounts to be tuned are refused where there are none, or of another number of orders",
          "[ngram-gradient]") {
  const std::vector<TunableKneserNey::Amounts> two(2, {0.5, 1, 1.5});
  const std::vector<std::int32_t> tokens{0, 1, 0, 1, 2};
  const auto refused = [&](const NgramOptions& options, const char* text) {
    CHECK_THROWS_WITH(TunableKneserNey(tokens, 3, options, two), Catch::Contains(text));
  };
  refused({.order = 2, .method = NgramMethod::katz},
          "the discounts of katz cannot be tuned, only Kneser-Ney's");
  refused({.order = 3}, "Kneser-Ney of order 3 with the discounts of 2 orders to begin from");
  refused({.order = 0}, "Kneser-Ney of order 0 with the discounts of 2 orders");
  const TunableKneserNey tunable(tokens, 3, {.order = 2}, two);
  for (const std::int32_t token : {-1, 3}) {
    CHECK_THROWS_WITH(tunable.held_out(std::vector<std::int32_t>{0, token}),
                      Catch::Contains("token " + std::to_string(token) + " is not in 0..2"));
  }
  const std::vector<Variable> raw(1, tunable.raw[0]);
  CHECK_THROWS_WITH(TunableKneserNey::log_probs(raw, tunable.held_out(tokens)),
                    Catch::Contains("the discounts of 1 orders for counts of 2"));
}
