#include <cmath>

#include "models/checkpoint.hpp"
#include "models/run/defaults.hpp"
#include "models/run/extend.hpp"
#include "models/run/rate_search.hpp"
#include "models/run/run.hpp"
#include "optim/any_optimizer.hpp"
#include "optim/rules.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

// What a run begins with: another model whose vocabulary grows, and a rate.

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;
using gradus::test::Folder;

namespace {

RunConfig small(const std::string& kind, const std::filesystem::path& text) {
  RunConfig config;
  config.data.text = text.string();
  config.data.valid_share = 0;
  config.model.kind = kind;
  config.model.width = 8;
  config.training.updates = 3;
  return config;
}

}  // namespace

TEST_CASE("a vocabulary that is extended keeps its ids, and counts what both saw", "[models][run]") {
  const Vocabulary own = Vocabulary::build(Unit::word, "a b b c c c\n"),
                   other = Vocabulary::build(Unit::word, "d c d\n");
  const Vocabulary both = own.extended_by(other);
  CHECK(both.size() == own.size() + 1);
  for (std::int32_t id = 0; id < own.size(); ++id) CHECK(both.symbol(id) == own.symbol(id));
  CHECK(both.id("d") == own.size());
  CHECK(both.count(both.id("c")) == 4);
  CHECK(both.count(both.id("d")) == 2);
  CHECK(both.count(both.line_end()) == 2);
  CHECK(Vocabulary::parse(both.serialize()) == both);
  CHECK_THROWS_AS(own.extended_by(Vocabulary::build(Unit::character, "ab")), ArgumentError);
}

TEST_CASE("a network of more words says of the new ones what it said of <unk>", "[models][run]") {
  const std::vector<std::int32_t> text{1, 0, 3, 2, 4, 1, 0};
  for (const NetworkKind& kind : network_kinds()) {
    INFO(kind.name);
    NetworkOptions options{.vocab = 5, .embedding = 8, .width = 8, .order = 3, .heads = 2};
    Rng rng(3), other(4);
    const auto network = kind.make(rng, options);
    options.vocab = 8;
    const auto larger = kind.make(other, options);
    larger->set_weights(extended_weights(*network, *larger, 0), "it");
    const ErasedModel before = network->model(), after = larger->model();
    auto state = before.start(), grown = after.start();
    for (const std::int32_t token : text) {
      state = before.advance(state, token);
      grown = after.advance(grown, token == 0 ? 6 : token);  // a new word is read as <unk> was
      const Tensor p = before.log_probs(state), q = after.log_probs(grown);
      // Where the output has a bias, <unk>'s probability is divided among it and the three new ones.
      const bool divided = std::exp(q.at(0)) < 0.5 * std::exp(p.at(0));
      const double total = std::exp(q.at(0)) + std::exp(q.at(5)) + std::exp(q.at(6)) + std::exp(q.at(7));
      CHECK(q.at(5) == Approx(q.at(0)));
      CHECK(q.at(7) == Approx(q.at(0)));
      CHECK(divided == !kind.is_transformer);
      if (!divided) continue;
      CHECK(total == Approx(std::exp(p.at(0))).epsilon(1e-5));
      for (std::int64_t id = 1; id < 5; ++id) CHECK(q.at(id) == Approx(p.at(id)).epsilon(1e-4));
    }
  }
  Rng rng(3);
  const NetworkKind& lstm = *find_network_kind("lstm");
  const auto network = lstm.make(rng, {.vocab = 5, .embedding = 8, .width = 8});
  CHECK_THROWS_WITH(extended_weights(*network, *lstm.make(rng, {.vocab = 6, .embedding = 4, .width = 8}), 0),
                    Contains("shape (") && Contains("in the larger one"));
}

TEST_CASE("a run from a model can learn the words of its text", "[models][run]") {
  const Folder folder;
  const auto first = folder.write("first.txt", synthetic_corpus(1, 2000).text);
  std::string more = synthetic_corpus(1, 1500).text;
  for (int i = 0; i < 60; ++i) more += "the zebra sees the axolotl .\n";
  const auto second = folder.write("second.txt", more);
  RunConfig config = small("lstm", first);
  const RunResult trained = train_run(config, {.folder = folder.path() / "one"});
  CHECK_FALSE(trained.vocabulary.contains("zebra"));
  config = small("lstm", second);
  config.model.width = std::nullopt;
  config.start.from = (folder.path() / "one").string();
  config.training.updates = 400;
  config.optimizer.options["lr"] = 1e-2;
  CHECK_FALSE(train_run(config, {}).vocabulary.contains("zebra"));
  config.start.extend = true;
  // Stopped before its first update and gone on with, it is the same.
  const RunResult whole = train_run(config, {.folder = folder.path() / "two"});
  CHECK(train_run(config, {.folder = folder.path() / "three", .stop = [] { return true; }}).interrupted);
  const RunResult resumed = train_run({}, {.folder = folder.path() / "three", .resume = true});
  CHECK(whole.vocabulary.size() == trained.vocabulary.size() + 2);
  CHECK(whole.vocabulary.id("zebra") >= trained.vocabulary.size());
  for (const auto& [name, value] : whole.network->weights().tensors)
    CHECK(identical(value, resumed.network->weights().tensors.at(name)));
  const TrainedModel loaded = load_model(folder.path() / "two");
  const std::vector<std::int32_t> line = encode(loaded.vocabulary, "the zebra sees the axolotl .\n");
  const std::vector<double> scores = score(loaded.model, line);
  CHECK(scores[3] > std::log(0.05));  // axolotl, behind "the zebra sees the"
  // What cannot be extended, and a text that can be read once only.
  RunConfig subwords = small("gru", first);
  subwords.data.unit = "bpe";
  subwords.data.subwords = 300;
  train_run(subwords, {.folder = folder.path() / "subwords"});
  config.start.from = (folder.path() / "subwords").string();
  config.model.kind = "gru";
  CHECK_THROWS_WITH(train_run(config, {}), Contains("any text can be made of the subwords"));
  config.start.from = (folder.path() / "one").string();
  config.model.kind = "lstm";
  config.data.text = "-";
  CHECK_THROWS_WITH(train_run(config, {}), Contains("reads the text twice"));
  config.start.from.clear();
  CHECK_THROWS_WITH(check_config(config, "it"), Contains("start.extend"));
}

TEST_CASE("a run that begins with a model has its unit", "[models][run]") {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += i % 7 == 0 ? "caf\xe9 " : "bar ";  // Latin-1
  RunConfig config = small("gru", folder.write("first.txt", text + "\n"));
  config.data.unit = "byte";
  train_run(config, {.folder = folder.path() / "one"});
  config = small("gru", folder.write("second.txt", text));
  config.model.width = std::nullopt;
  config.data.valid_share = 0.1;
  config.start.from = (folder.path() / "one").string();
  const RunResult result = train_run(config, {});
  CHECK(result.config.data.unit == "byte");
  CHECK(result.valid_tokens > 0);  // a part of the only line
}

TEST_CASE("a run without validation that is interrupted keeps its last weights", "[models][run]") {
  const Folder folder;
  RunConfig config = small("gru", folder.write("text.txt", synthetic_corpus(1, 3000).text));
  config.data.valid_share = 0;
  config.training.updates = 25;
  config.training.evaluate_every = 10;
  const auto after = [](int updates) { return [updates, asked = 0]() mutable { return ++asked > updates; }; };
  const RunResult stopped = train_run(config, {.folder = {}, .stop = after(17)});
  REQUIRE(stopped.interrupted);
  const std::int64_t updates = stopped.progress.step;
  CHECK(updates % 10 != 0);
  // The weights that a run in a folder goes on from.
  const RunResult kept = train_run(config, {.folder = folder.path() / "run", .stop = after(17)});
  REQUIRE(kept.progress.step == updates);
  const LoadedNetwork file = load_network(folder.path() / "run" / "model.safetensors");
  const RunResult at_ten = train_run(config, {.folder = {}, .stop = after(10)});
  bool differs = false;
  for (const auto& [name, value] : stopped.network->weights().tensors) {
    CHECK(identical(value, file.network->weights().tensors.at(name)));
    differs = differs || !identical(value, at_ten.network->weights().tensors.at(name));
  }
  CHECK(differs);
}

TEST_CASE("a search for a rate finds one that trains", "[models][run]") {
  RateSearch curve;
  // Flat, then falling by 1 a decade from 1e-4 to 1e-1, then rising.
  for (int i = 0; i <= 80; ++i) {
    const double exponent = -6 + 0.1 * i;
    const double loss = exponent < -4 ? 4 : exponent < -1 ? 4 - (exponent + 4) : 1 + 3 * (exponent + 1);
    curve.points.push_back({std::pow(10, exponent), loss});
  }
  judge(curve);
  CHECK(curve.lowest == Approx(1e-1).epsilon(0.01));
  CHECK(curve.suggested == Approx(std::sqrt(curve.steepest * curve.lowest)));
  CHECK(curve.steepest > 1e-4);
  CHECK(curve.steepest < 1e-1);
  RateSearch few{{{1, 1}, {2, 1}}};
  CHECK_THROWS_AS(judge(few), ArgumentError);

  const Folder folder;
  RunConfig config = small("gru", folder.write("text.txt", synthetic_corpus(1, 3000).text));
  std::int64_t asked = 0;
  config.training.variable_steps = true;  // which the search leaves alone, as rates would follow lengths
  const RateSearch found = find_rate(config, {.progress = [&](std::int64_t, std::int64_t) { ++asked; }});
  CHECK(asked == std::ssize(found.points));
  CHECK(found.suggested > 1e-4);
  CHECK(found.suggested < 1);
  for (std::size_t i = 1; i < found.points.size(); ++i)
    CHECK(found.points[i].rate / found.points[i - 1].rate == Approx(std::pow(1e8, 1 / 159.0)));
  config.training.variable_steps = false;
  const auto loss_of = [&](double rate) {
    config.optimizer.options["lr"] = rate;
    config.training.updates = 40;
    return train_run(config, {}).progress.loss;
  };
  const double with_found = loss_of(found.suggested);
  CHECK(with_found < loss_of(found.suggested / 100) - 0.3);
  CHECK_THROWS_AS(find_rate(config, {.lowest = 0}), ArgumentError);
  CHECK_THROWS_AS(find_rate(config, {.updates = 3}), ArgumentError);
}

TEST_CASE("weight decay can be another one for some parameters", "[models][run]") {
  CHECK(decay_of("embed.* = 0.1") == std::pair<std::string, double>("embed.*", 0.1));
  CHECK(decay_of("a=0").second == 0);
  for (const char* const wrong : {"embed.*", "= 1", "a = -1", "a = nan", "a = x", ""}) {
    INFO(wrong);
    CHECK_THROWS_AS(decay_of(wrong), DataError);
  }
  const Folder folder;
  RunConfig config = small("gru", folder.write("text.txt", synthetic_corpus(1, 2000).text));
  merge_setting(config, "optimizer.weight_decay=0.5");
  merge_setting(config, "optimizer.no_decay=[]");
  const auto weights_of = [&] { return train_run(config, {}).network->weights().tensors; };
  const auto plain = weights_of();
  config.optimizer.decay_of = {"embed.* = 0.5", "head.weight = 0"};
  const auto other = weights_of();
  CHECK_FALSE(identical(plain.at("head.weight"), other.at("head.weight")));
  config.optimizer.decay_of = {"* = 0.5"};
  const auto same = weights_of();
  for (const auto& [name, value] : plain) CHECK(identical(value, same.at(name)));
  config.optimizer.decay_of = {"none.* = 0.5"};
  CHECK_THROWS_WITH(weights_of(), Contains("none.*"));
}
