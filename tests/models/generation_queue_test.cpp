#include <chrono>
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
  for (bool ended = false; !ended;) {
    ended = text.ended();
    const std::vector<std::int32_t> more = text.wait(out.size());
    out.insert(out.end(), more.begin(), more.end());
  }
  return out;
}

std::shared_ptr<GenerationQueue::Text> one_text(GenerationQueue& queue, std::vector<std::int32_t> prompt,
                                                const GenerateOptions& options) {
  const GenerationQueue::Texts texts = queue.start(std::move(prompt), {options});
  return texts.empty() ? nullptr : texts.front();
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
      askers.emplace_back([&, i] { found[i] = finished(*one_text(queue, prompt(i), options(i))); });
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
  const auto endless = one_text(queue, prompt, {.max_tokens = 1 << 30});
  const std::vector<std::int32_t> first = endless->wait(0), more = endless->wait(first.size());
  CHECK_FALSE(first.empty());
  CHECK_FALSE(more.empty());
  CHECK(endless->wait(0).size() >= first.size() + more.size());
  CHECK_FALSE(endless->ended());
  endless->cancel();
  const std::vector<std::int32_t> all = finished(*endless);
  CHECK(all.size() >= first.size() + more.size());
  CHECK(std::equal(first.begin(), first.end(), all.begin()));
  // One that ends at once, one that cannot be, and the next goes on.
  CHECK(one_text(queue, prompt, {.max_tokens = 0})->wait(0).empty());
  CHECK_THROWS_AS(queue.start({}, {GenerateOptions{}}), ArgumentError);
  // Who waits for long enough gets what there is.
  const auto slow = one_text(queue, std::vector<std::int32_t>(200'000, 1), {});
  CHECK(slow->wait(0, GenerationQueue::Clock::now() + std::chrono::milliseconds(1)).empty());
  CHECK_FALSE(slow->ended());
  slow->cancel();
  CHECK(finished(*slow).empty());
  CHECK_THROWS_AS(finished(*one_text(queue, prompt, {.temperature = -1})), ArgumentError);
  CHECK_THROWS_AS(finished(*one_text(queue, {99}, {})), Error);
  CHECK(finished(*one_text(queue, prompt, {.max_tokens = 4})).size() == 4);
}

TEST_CASE("texts of one prompt are those of generate with their streams", "[models]") {
  const ErasedModel model = gpt();
  GenerationQueue queue(model, {.together = 2, .waiting = 100});
  const std::vector<std::int32_t> prompt{3, 1, 4, 1, 5};
  std::vector<GenerateOptions> each(5, GenerateOptions{.max_tokens = 7, .seed = 9});
  for (std::uint64_t i = 0; i < each.size(); ++i) each[i].stream = i;
  const GenerationQueue::Texts texts = queue.start(prompt, each);  // more than there are places
  const auto expected = generate(model, std::vector<std::vector<std::int32_t>>{prompt}, each[0], 5);
  REQUIRE(texts.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(finished(*texts[i]) == expected[i]);
}

TEST_CASE("a long prompt keeps no other text waiting", "[models]") {
  const ErasedModel model = lstm();
  GenerationQueue queue(model, {.together = 4, .waiting = 10});
  const auto writing = one_text(queue, {1}, {.max_tokens = 1 << 30});
  std::size_t seen = writing->wait(0).size();
  const auto slow = one_text(queue, std::vector<std::int32_t>(300'000, 1), {.max_tokens = 1});
  const auto quick = one_text(queue, {2}, {.max_tokens = 3});
  for (int i = 0; i < 20; ++i) seen += writing->wait(seen).size();
  CHECK_FALSE(slow->ended());
  CHECK(finished(*quick).size() == 3);  // which came after it
  CHECK_FALSE(slow->ended());
  slow->cancel();
  CHECK(finished(*slow).empty());
}

TEST_CASE("many texts of one request leave places to others", "[models]") {
  const ErasedModel model = lstm();
  GenerationQueue queue(model, {.together = 2, .waiting = 100});
  std::vector<GenerateOptions> each(20, GenerateOptions{.max_tokens = 2000});
  const GenerationQueue::Texts many = queue.start({1, 2, 3}, each);
  const auto other = one_text(queue, {2}, {.max_tokens = 3});
  CHECK(finished(*other).size() == 3);
  CHECK(std::count_if(many.begin(), many.end(), [](const auto& text) { return text->ended(); }) < 20);
  for (std::size_t i = 0; i < 10; ++i) many[i]->cancel();
  CHECK(finished(*many[19]) == generate(model, std::vector<std::int32_t>{1, 2, 3}, each[19]));
  for (const auto& text : many) text->cancel();
}

TEST_CASE("too many texts are refused, and a queue that is closed ends them", "[models]") {
  const ErasedModel model = lstm();
  GenerationQueue queue(model, {.together = 1, .waiting = 2});
  const auto writing = one_text(queue, {1}, {.max_tokens = 1 << 30});
  static_cast<void>(writing->wait(0));  // it has its place
  const auto second = one_text(queue, {1}, {}), third = one_text(queue, {1}, {});
  CHECK(second != nullptr);
  CHECK(third != nullptr);
  CHECK(one_text(queue, {1}, {}) == nullptr);
  queue.close();
  CHECK_THROWS_WITH(finished(*writing), Catch::Contains("closed"));
  CHECK_THROWS_WITH(second->wait(0), Catch::Contains("closed"));
  CHECK(one_text(queue, {1}, {}) == nullptr);
}
