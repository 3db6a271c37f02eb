#include "models/beam.hpp"

#include <cmath>
#include <map>

#include "models/kinds.hpp"
#include "models/ngram/ngram.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"

using namespace gradus;
using namespace gradus::models;
using Catch::Matchers::Contains;

namespace {

using Ids = std::vector<std::int32_t>;

/// Untrained, with weights that make its distributions uneven.
ErasedModel random_model(const char* kind, std::int32_t vocab) {
  Rng rng(5);
  const auto network = find_network_kind(kind)->make(
      rng, {.vocab = vocab, .embedding = 6, .width = 8, .layers = 2, .heads = 2, .context = 12, .inner = 11});
  Safetensors weights = network->weights();
  for (auto& [name, value] : weights.tensors) value = rng.normal(value.shape(), 0, 0.8);
  network->set_weights(weights, "random");
  return network->model();
}

/// All texts that end at `stop` or have `longest` tokens, with their scores.
void every_text(const ErasedModel& model, const ErasedModel::State& state, std::int32_t stop,
                std::size_t longest, double penalty, const BeamText& so_far, std::vector<BeamText>& out) {
  const Tensor logs = model.log_probs(state);
  for (std::int32_t token = 0; token < model.vocab_size(); ++token) {
    BeamText text = so_far;
    text.tokens.push_back(token);
    text.log_prob += static_cast<double>(logs.at(token));
    text.score = text.log_prob / std::pow(static_cast<double>(text.tokens.size()), penalty);
    if (token == stop || text.tokens.size() == longest) {
      out.push_back(text);
    } else {
      every_text(model, model.advance(state, token), stop, longest, penalty, text, out);
    }
  }
}

}  // namespace

TEST_CASE("a search that is wide enough finds the best of all texts", "[models][beam]") {
  constexpr std::int32_t vocab = 4, stop = 2;
  for (const char* const kind : {"lstm", "gpt"}) {
    const ErasedModel model = random_model(kind, vocab);
    const Ids prompt{1, 3};
    for (const double penalty : {0.0, 0.7, 1.0}) {
      INFO(kind << ", a length penalty of " << penalty);
      std::vector<BeamText> all;
      every_text(model, advance(model, model.start(), std::span<const std::int32_t>(prompt)), stop, 5,
                 penalty, {}, all);
      std::ranges::sort(all, std::greater(), &BeamText::score);
      const std::vector<BeamText> found = beam_search(model, prompt, {.max_tokens = 5, .stop = stop},
                                                      {.beams = 1024, .length_penalty = penalty});
      REQUIRE(found.size() == all.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        CHECK(found[i].log_prob == Approx(all[i].log_prob).epsilon(1e-5));
        CHECK(found[i].score == Approx(all[i].score).epsilon(1e-5));
      }
      CHECK(found.front().tokens == all.front().tokens);
      // A narrow one finds texts of the model, in order, and its score is that of the text.
      const std::vector<BeamText> narrow = beam_search(model, prompt, {.max_tokens = 5, .stop = stop},
                                                       {.beams = 3, .length_penalty = penalty});
      REQUIRE(narrow.size() == 3);
      CHECK(narrow[0].score >= narrow[1].score);
      CHECK(narrow[1].score >= narrow[2].score);
      CHECK(narrow[0].score <= found[0].score * (1 - 1e-5));
      for (const BeamText& text : narrow) {
        auto state = advance(model, model.start(), std::span<const std::int32_t>(prompt));
        double total = 0;
        for (const double one : score(model, state, text.tokens)) total += one;
        CHECK(text.log_prob == Approx(total).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("a search with one beam always takes the likeliest token", "[models][beam]") {
  const ErasedModel model = random_model("gru", 23);
  const GenerateOptions limits{.max_tokens = 30, .banned = {4, 7}, .stop = 11};
  GenerateOptions greedy = limits;
  greedy.temperature = 0;
  const Ids prompt{3};
  const std::vector<BeamText> found = beam_search(model, prompt, limits, {.beams = 1});
  REQUIRE(found.size() == 1);
  CHECK(found.front().tokens == generate(model, prompt, greedy));
}

TEST_CASE("a search follows n-grams too, and ends where it is told", "[models][beam]") {
  Ids text;
  for (int i = 0; i < 200; ++i) text.insert(text.end(), {1, 2, i % 3 == 0 ? 3 : 4, 5, 0});
  const NgramModel model(text, 6, {.order = 3});
  const Ids prompt{0};
  const auto found =
      beam_search(model, prompt, {.max_tokens = 12, .stop = 0}, {.beams = 2, .length_penalty = 0});
  REQUIRE(found.size() == 2);
  CHECK(found[0].tokens == Ids{1, 2, 4, 5, 0});
  CHECK(found[1].tokens == Ids{1, 2, 3, 5, 0});
  const auto until = [](std::span<const std::int32_t> read) { return read.back() == 2; };
  CHECK(beam_search(model, prompt, {.max_tokens = 12, .until = until}, {.beams = 1})[0].tokens == Ids{1, 2});
  CHECK(beam_search(model, prompt, {.max_tokens = 0}).empty());
}

TEST_CASE("a search refuses what makes no sense", "[models][beam]") {
  const ErasedModel model = random_model("rnn", 5);
  const Ids prompt{1};
  CHECK_THROWS_WITH(beam_search(model, Ids{}, {}), Contains("a prompt of at least one token"));
  CHECK_THROWS_WITH(beam_search(model, prompt, {}, {.beams = 0}), Contains("0 beams"));
  CHECK_THROWS_AS(beam_search(model, prompt, {}, {.length_penalty = NAN}), ArgumentError);
  CHECK_THROWS_AS(beam_search(model, prompt, {}, {.length_penalty = -1}), ArgumentError);
  CHECK_THROWS_WITH(beam_search(model, prompt, {.min_p = 0.5}), Contains("draws nothing"));
  CHECK_THROWS_WITH(beam_search(model, prompt, {.banned = {0, 1, 2, 3, 4}}), Contains("banned"));
}
