#include "nn/key_values.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/attention.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using gradus::nn::KeyValues;
using gradus::test::difference;

namespace {

/// Keys, values or queries of some tokens: (batch, count, heads, width).
Variable tokens(Rng& rng, std::int64_t count, std::int64_t heads = 2, Dtype dtype = Dtype::f64) {
  return Variable(rng.normal({2, count, heads, 8}, 0, 1, dtype));
}

/// The same as concatenating: what a cache is compared with.
struct Plain {
  std::vector<Variable> keys, values;
  Variable all(const std::vector<Variable>& parts) const { return concat(parts, 1); }
};

}  // namespace

TEST_CASE("keys and values are attended to as if they stood side by side", "[key values]") {
  const auto check = [](Dtype dtype, double slack) {
    Rng rng(1);
    KeyValues cache;
    Plain plain;
    for (const std::int64_t count : {1, 3, 70, 1, 1, 9, 8, 130, 2, 1}) {
      const Variable k = tokens(rng, count, 2, dtype), v = tokens(rng, count, 2, dtype);
      cache.append(k, v);
      plain.keys.push_back(k);
      plain.values.push_back(v);
      CHECK(identical(cache.keys().value(), plain.all(plain.keys).value()));
      CHECK(identical(cache.values().value(), plain.all(plain.values).value()));
      const Variable q = tokens(rng, count, 6, dtype);  // grouped
      for (const auto& [window, sinks] : {std::pair{0, 0}, {5, 0}, {70, 0}, {5, 3}}) {
        INFO(count << " tokens, of " << cache.size() << ", window " << window << ", sinks " << sinks);
        const Variable expected =
            attention(q, plain.all(plain.keys), plain.all(plain.values),
                      {.causal = true, .window = window, .sinks = sinks, .time_first = true});
        CHECK(difference(cache.attend(q, {.window = window, .sinks = sinks}).value(), expected.value()) <
              slack);
      }
    }
  };
  check(Dtype::f64, 1e-12);
  check(Dtype::f32, 2e-6);
}

TEST_CASE("what one copy of keys and values appends another does not see", "[key values]") {
  Rng rng(2);
  for (const std::int64_t shared : {1, 30, 64, 100}) {
    KeyValues one;
    one.append(tokens(rng, shared), tokens(rng, shared));
    const Tensor before = one.keys().value();
    KeyValues two = one, three = one;
    const Variable second = tokens(rng, 50), third = tokens(rng, 3), first = tokens(rng, 1);
    two.append(second, second);
    three.append(third, third);
    one.append(first, first);
    const KeyValues four = two;
    two.append(first, first);
    const auto holds = [&](const KeyValues& cache, const std::vector<Variable>& more) {
      std::vector<Variable> all{Variable(before)};
      all.insert(all.end(), more.begin(), more.end());
      CHECK(identical(cache.keys().value(), concat(all, 1).value()));
    };
    holds(one, {first});
    holds(two, {second, first});
    holds(three, {third});
    holds(four, {second});
  }
}

TEST_CASE("many continuations of a text take memory for what differs alone", "[key values]") {
  Rng rng(3);
  KeyValues text;
  text.append(tokens(rng, 1000), tokens(rng, 1000));
  const std::int64_t block = 2 * 2 * KeyValues::block_tokens * 2 * 8 * 8;  // bytes of keys and values
  const Variable next = tokens(rng, 1);
  constexpr int count = 200;
  std::vector<KeyValues> continuations;
  continuations.reserve(count);
  const std::int64_t before = storage::statistics().heap_bytes_held;
  for (int i = 0; i < count; ++i) {
    continuations.push_back(text);
    continuations.back().append(next, next);
  }
  const std::int64_t grown = storage::statistics().heap_bytes_held - before;
  INFO(grown << " bytes, " << static_cast<double>(grown) / count / static_cast<double>(block)
             << " blocks for each");
  CHECK(grown < 2 * count * block);  // whole copies would be 16 blocks each
  CHECK(grown > 0);
}

TEST_CASE("a text that is read on token by token copies no block", "[key values]") {
  Rng rng(4);
  KeyValues text;
  const Variable next = tokens(rng, 1);
  // The state before is kept, as by whoever advances a state.
  for (int i = 0; i < 64; ++i) {
    const KeyValues before = text;
    text.append(next, next);
    CHECK(before.size() + 1 == text.size());
  }
  const std::int64_t held = storage::statistics().heap_allocations;
  std::vector<KeyValues> all;
  all.reserve(64);
  for (int i = 0; i < 60; ++i) {
    all.push_back(text);
    text.append(next, next);
  }
  CHECK(storage::statistics().heap_allocations - held <= 2);  // one block, of keys and of values
}

TEST_CASE("keys and values forget the front, but for the first", "[key values]") {
  Rng rng(5);
  KeyValues cache;
  const Variable all = tokens(rng, 300);
  cache.append(slice(all, 1, 0, 200), slice(all, 1, 0, 200));
  const KeyValues whole = cache;
  cache.keep_last(90, 3);
  CHECK(cache.size() == 93);
  CHECK(identical(cache.keys().value(), concat({slice(all, 1, 0, 3), slice(all, 1, 110, 200)}, 1).value()));
  cache.append(slice(all, 1, 200, 300), slice(all, 1, 200, 300));
  cache.keep_last(40, 3);
  CHECK(identical(cache.values().value(), concat({slice(all, 1, 0, 3), slice(all, 1, 260, 300)}, 1).value()));
  CHECK(whole.size() == 200);
  KeyValues few = whole;
  few.keep_last(200);
  CHECK(few.size() == 200);
  few.keep_last(2);
  CHECK(identical(few.keys().value(), slice(all, 1, 198, 200).value()));
}

TEST_CASE("gradients flow through keys and values while a tape records", "[key values]") {
  Rng rng(6);
  const Parameter k(rng.normal({1, 4, 2, 8}, 0, 1, Dtype::f64));
  const Variable q(rng.normal({1, 2, 2, 8}, 0, 1, Dtype::f64));
  KeyValues before;
  before.append(Variable(rng.normal({1, 5, 2, 8}, 0, 1, Dtype::f64)),
                Variable(rng.normal({1, 5, 2, 8}, 0, 1, Dtype::f64)));
  const auto by_cache = [&] {
    Tape tape;
    KeyValues cache = before;
    cache.append(slice(k, 1, 0, 2), slice(k, 1, 0, 2));
    cache.append(slice(k, 1, 2, 4), slice(k, 1, 2, 4));
    CHECK(cache.detached().keys().is_constant());
    const Variable out = cache.attend(q);
    return tape.backward(sum(out * out))[k];
  };
  const auto plainly = [&] {
    Tape tape;
    const Variable out = attention(q, concat({before.keys(), k}, 1), concat({before.values(), k}, 1),
                                   {.causal = true, .time_first = true});
    return tape.backward(sum(out * out))[k];
  };
  CHECK(difference(by_cache(), plainly()) < 1e-12);
}

TEST_CASE("the next tokens of several texts are read together as each alone", "[key values]") {
  const auto check = [](Dtype dtype) {
    Rng rng(9);
    const auto drawn = [&](std::int64_t time, std::int64_t heads) {
      return Variable(rng.normal({1, time, heads, 8}, 0, 1, dtype));
    };
    std::vector<KeyValues> texts;
    for (const std::int64_t length : {0, 5, 64, 200, 63}) {
      texts.emplace_back();
      if (length > 0) texts.back().append(drawn(length, 2), drawn(length, 2));
    }
    texts[2] = texts[3];  // goes on from the same blocks
    for (const auto& [window, sinks] : {std::pair{0, 0}, {70, 0}, {7, 3}}) {
      const Variable k = drawn(5, 2), v = drawn(5, 2), q = drawn(5, 6), for_sinks = drawn(5, 6);
      std::vector<KeyValues> alone = texts;
      KeyValues::append_each(texts, k, v);
      for (const bool turned : {false, true}) {
        const nn::CacheSight shown{window, sinks, {}};
        const auto sight = [&](const auto& own) {
          nn::CacheSight out = shown;
          if (turned) out.sink_queries = own(for_sinks);
          return out;
        };
        const Variable together =
            KeyValues::attend_each(texts, q, sight([](const Variable& x) { return x; }));
        for (std::int64_t i = 0; i < 5; ++i) {
          const auto own = [&](const Variable& x) { return slice(x, 1, i, i + 1); };
          KeyValues& text = alone[static_cast<std::size_t>(i)];
          if (!turned) text.append(own(k), own(v));
          INFO("text " << i << ", window " << window << ", sinks " << sinks << ", " << turned);
          CHECK(identical(own(together).value(), text.attend(own(q), sight(own)).value()));
        }
        test::check_same_bits([&] {
          return KeyValues::attend_each(texts, q, sight([](const Variable& x) { return x; })).value();
        });
      }
    }
    CHECK_THROWS_AS(KeyValues::attend_each(texts, drawn(4, 2)), ShapeError);
    CHECK_THROWS_AS(KeyValues::attend_each(texts, drawn(5, 3)), ShapeError);
  };
  check(Dtype::f64);
  check(Dtype::f32);
}

TEST_CASE("keys and values that do not fit are refused", "[key values]") {
  Rng rng(7);
  KeyValues cache;
  cache.append(tokens(rng, 2), tokens(rng, 2));
  CHECK_THROWS_AS(cache.append(tokens(rng, 1, 3), tokens(rng, 1, 3)), ShapeError);
  CHECK_THROWS_AS(cache.append(tokens(rng, 1), tokens(rng, 2)), ShapeError);
  CHECK_THROWS_AS(cache.attend(tokens(rng, 3)), ShapeError);
  CHECK_THROWS_AS(cache.attend(tokens(rng, 1, 3)), ShapeError);
  CHECK(cache.size() == 2);
}
