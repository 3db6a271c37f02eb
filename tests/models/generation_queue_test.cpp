#include <thread>

#include "models/generation_queue.hpp"
#include "models/neural.hpp"
#include "models/transformers.hpp"
#include "tests/support/catch.hpp"

// Texts that several ask for at once.

using namespace gradus;
using namespace gradus::models;

namespace {

ErasedModel lstm() {
  Rng rng(4);
  return ErasedModel(LstmModel{LstmNetwork(rng, {.vocab = 11, .embedding = 6, .width = 8})});
}
ErasedModel gpt() {
  Rng rng(4);
  return ErasedModel(NeuralModel<GptNetwork>{
      GptNetwork(rng, {.vocab = 11, .width = 8, .layers = 2, .heads = 2, .context = 12})});
}

std::vector<std::int32_t> finished(GenerationQueue::Text& text) {
  std::vector<std::int32_t> out;
  while (!text.ended()) out = text.wait(out.size());
  return text.wait(0);
}

}  // namespace

TEST_CASE("texts asked for by several threads are what each is alone", "[models][threads]") {
  for (const ErasedModel& model : {lstm(), gpt()}) {
    GenerationQueue queue(model, {.together = 3, .waiting = 100});
    constexpr std::uint64_t count = 12;
    std::vector<std::vector<std::int32_t>> found(count), expected(count);
    std::vector<std::thread> askers;
    const auto options = [](std::uint64_t i) {
      GenerateOptions out{.max_tokens = static_cast<std::int64_t>(5 + 3 * i), .seed = i};
      if (i % 3 == 1) out.top_k = 4;
      if (i % 3 == 2) out.repetition_penalty = 1.3;
      return out;
    };
    const auto prompt = [](std::uint64_t i) {
      return std::vector<std::int32_t>(1 + i % 4, static_cast<std::int32_t>(i % 11));
    };
    for (std::uint64_t i = 0; i < count; ++i) {
      expected[i] = generate(model, prompt(i), options(i));
      askers.emplace_back([&, i] { found[i] = finished(*queue.start(prompt(i), options(i))); });
    }
    for (std::thread& asker : askers) asker.join();
    for (std::uint64_t i = 0; i < count; ++i) {
      INFO("text " << i);
      CHECK(found[i] == expected[i]);
    }
  }
}

TEST_CASE("a text shows its tokens as they come, and ends when nobody wants it", "[models]") {
  const ErasedModel model = lstm();
  GenerationQueue queue(model, {.together = 2, .waiting = 1});
  const std::vector<std::int32_t> prompt{1};
  const auto endless = queue.start(prompt, {.max_tokens = 1 << 30});
  const std::vector<std::int32_t> first = endless->wait(0), more = endless->wait(first.size());
  CHECK(more.size() > first.size());
  CHECK(std::equal(first.begin(), first.end(), more.begin()));
  CHECK_FALSE(endless->ended());
  endless->cancel();
  const std::vector<std::int32_t> all = finished(*endless);
  CHECK(all.size() >= more.size());
  // One that ends at once, one that cannot be, and the next goes on.
  CHECK(queue.start(prompt, {.max_tokens = 0})->wait(0).empty());
  CHECK_THROWS_AS(queue.start({}, {}), ArgumentError);
  CHECK_THROWS_AS(finished(*queue.start(prompt, {.temperature = -1})), ArgumentError);
  CHECK_THROWS_AS(finished(*queue.start({99}, {})), Error);
  CHECK(finished(*queue.start(prompt, {.max_tokens = 4})).size() == 4);
}

TEST_CASE("too many texts are refused, and a queue that is closed ends them", "[models]") {
  const ErasedModel model = lstm();
  GenerationQueue queue(model, {.together = 1, .waiting = 2});
  const auto writing = queue.start({1}, {.max_tokens = 1 << 30});
  static_cast<void>(writing->wait(0));  // it has its place
  const auto second = queue.start({1}, {}), third = queue.start({1}, {});
  CHECK(second != nullptr);
  CHECK(third != nullptr);
  CHECK(queue.start({1}, {}) == nullptr);
  queue.close();
  CHECK_FALSE(finished(*writing).empty());
  CHECK_THROWS_WITH(second->wait(0), Catch::Contains("closed"));
  CHECK(queue.start({1}, {}) == nullptr);
}
