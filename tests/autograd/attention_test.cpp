#include "autograd/ops/attention.hpp"

#include <cmath>
#include <functional>
#include <limits>

#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/softmax.hpp"
#include "tests/support/heap_count.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

using Xs = std::span<const Variable>;
using Attend = std::function<Variable(const Variable&, const Variable&, const Variable&)>;
/// Of entry b, head h, query i and key j.
using Seen = std::function<bool(std::int64_t, std::int64_t, std::int64_t, std::int64_t)>;
using Added = std::function<double(std::int64_t, std::int64_t, std::int64_t, std::int64_t)>;

struct Operands {
  Tensor q, k, v, w;  // w: the weights of the result

  Operands(std::int64_t batch, std::int64_t heads, std::int64_t kv_heads, std::int64_t queries,
           std::int64_t keys, std::int64_t width, std::uint64_t seed = 1) {
    Rng rng(seed);
    q = rng.normal({batch, heads, queries, width}, 0, 1, Dtype::f64);
    k = rng.normal({batch, kv_heads, keys, width}, 0, 1, Dtype::f64);
    v = rng.normal({batch, kv_heads, keys, width}, 0, 1, Dtype::f64);
    w = rng.normal({batch, heads, queries, width}, 0, 1, Dtype::f64);
  }
};

/// The result and the gradients of its weighted sum by q, k and v, in f64.
std::vector<Tensor> results(const Operands& x, Dtype dtype, const Attend& f) {
  Tape tape;
  const Variable q = tape.watch(x.q.to(dtype)), k = tape.watch(x.k.to(dtype)), v = tape.watch(x.v.to(dtype));
  const Variable y = f(q, k, v);
  const Gradients found = tape.backward(sum(y * x.w.to(dtype)));
  return {y.value().to(Dtype::f64), found[q].to(Dtype::f64), found[k].to(Dtype::f64),
          found[v].to(Dtype::f64)};
}

/// A tensor of the scores' shape by its elements.
template <class F>
Tensor of_scores(const Shape& shape, const F& f) {
  std::vector<double> out;
  for (std::int64_t b = 0; b < shape[0]; ++b)
    for (std::int64_t h = 0; h < shape[1]; ++h)
      for (std::int64_t i = 0; i < shape[2]; ++i)
        for (std::int64_t j = 0; j < shape[3]; ++j) out.push_back(static_cast<double>(f(b, h, i, j)));
  return Tensor::from(out, shape);
}

/// Attention as its definition says, of matmul, where and softmax. A query that sees no key is left at 0.
Attend by_ops(const Operands& x, const Seen& seen, const Added& added = {}) {
  const std::int64_t group = x.q.dim(1) / x.k.dim(1);
  const Shape scores{x.q.dim(0), x.q.dim(1), x.q.dim(2), x.k.dim(2)};
  const Tensor visible = of_scores(scores, seen), some = any(visible, -1, true);
  const Tensor bias = added ? of_scores(scores, added) : zeros(scores, Dtype::f64);
  const double scale = 1 / std::sqrt(static_cast<double>(x.q.dim(3)));
  return [=](const Variable& q, const Variable& k, const Variable& v) {
    const Variable s = matmul(q * scale, repeat_interleave(k, group, 1), {.transpose_b = true}) + bias;
    const Variable p = where(some, softmax(where(visible, s, -1e300), -1), 0) * visible;
    return matmul(p, repeat_interleave(v, group, 1));
  };
}

void check_against(const Operands& x, const Attend& f, const Attend& reference) {
  const char* const names[] = {"the result", "the gradient of q", "of k", "of v"};
  const std::vector<Tensor> expected = results(x, Dtype::f64, reference);
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    const std::vector<Tensor> found = results(x, dtype, f);
    for (std::size_t i = 0; i < found.size(); ++i) {
      INFO(names[i] << " in " << name_of(dtype));
      CHECK(difference(found[i], expected[i]) < (dtype == Dtype::f64 ? 1e-12 : 1e-5));
    }
  }
}

Attend with(const AttentionOptions& options) {
  return [options](const Variable& q, const Variable& k, const Variable& v) {
    return attention(q, k, v, options);
  };
}

Variable of(const Shape& shape, Dtype dtype = Dtype::f32) {
  return Variable(zeros(shape, dtype));
}

}  // namespace

TEST_CASE("attention and its gradients are PyTorch's", "[attention]") {
  const std::vector<std::string> names{"q", "k", "v"};
  const auto compare = [&](const std::string& name, const AttentionOptions& options) {
    check_torch_case("attention_" + name, names, [&](Xs x) { return attention(x[0], x[1], x[2], options); });
  };
  compare("plain", {});
  compare("scaled", {.scale = 1.7});
  compare("one_query", {});
  compare("one_key", {});
  compare("causal", {.causal = true});
  compare("causal_first", {.causal = true, .offset = 0});
  compare("grouped", {});
  compare("grouped_causal", {.causal = true});
  compare("panels", {});
  compare("mask", {.mask = fixture("attention_mask/mask")});
  check_torch_case("attention_bias", {"q", "k", "v", "bias"},
                   [](Xs x) { return attention(x[0], x[1], x[2], {.bias = x[3]}); });
}

TEST_CASE("each option of attention shows the keys that it says", "[attention]") {
  // Two blocks of queries and of keys; the last query stands at the last key.
  const std::int64_t queries = 90, keys = 300, first = keys - queries;
  const Operands x(2, 2, 1, queries, keys, 6);
  const auto all = [](auto...) { return true; };
  const auto causal = [=](auto, auto, std::int64_t i, std::int64_t j) { return j <= first + i; };
  Rng rng(2);
  const Tensor mask = rng.bernoulli({2, 1, queries, keys}, 0.3, 1, Dtype::f64);
  const Tensor bias = rng.normal({queries, keys}, 0, 1, Dtype::f64);
  std::vector<std::int32_t> documents;  // of lengths that no block has
  for (std::int64_t j = 0; j < 2 * keys; ++j)
    documents.push_back(static_cast<std::int32_t>(j < keys ? j / 110 : 7 - j / 130));
  const Indices segments(documents, {2, keys});
  std::vector<std::int32_t> first_seen;  // one query of the first entry sees no key
  for (std::int64_t i = 0; i < 2 * queries; ++i)
    first_seen.push_back(
        static_cast<std::int32_t>(i < queries ? (i < 80 ? i / 33 * 115 : 300) : i / 50 * 70));
  const Indices starts(first_seen, {2, queries});
  const auto start = [&](std::int64_t b, std::int64_t i) {
    return first_seen[static_cast<std::size_t>(b * queries + i)];
  };
  struct Row {
    const char* name;
    AttentionOptions options;
    Seen seen;
    Added added = {};
  };
  const Tensor slopes = Tensor::of({0.05, 0.01});
  const auto segment = [&](std::int64_t b, std::int64_t j) {
    return documents[static_cast<std::size_t>(b * keys + j)];
  };
  const std::vector<Row> rows{
      {"none", {}, all},
      {"causal", {.causal = true}, causal},
      {"causal at an offset",
       {.causal = true, .offset = -20},
       [](auto, auto, std::int64_t i, std::int64_t j) { return j <= i - 20; }},
      {"causal at two offsets",
       {.causal = true, .offsets = {100, 150}},
       [](std::int64_t b, auto, std::int64_t i, std::int64_t j) { return j <= i + (b == 0 ? 100 : 150); }},
      {"lengths",
       {.lengths = {0, 270}},
       [](std::int64_t b, auto, auto, std::int64_t j) { return b == 1 && j < 270; }},
      {"causal with lengths",
       {.causal = true, .lengths = {300, 220}},
       [=](std::int64_t b, auto, std::int64_t i, std::int64_t j) {
         return j <= first + i && j < (b == 0 ? 300 : 220);
       }},
      {"a window",
       {.causal = true, .window = 40},
       [=](auto, auto, std::int64_t i, std::int64_t j) { return j <= first + i && j > first + i - 40; }},
      {"starts",
       {.starts = starts},
       [=](std::int64_t b, auto, std::int64_t i, std::int64_t j) { return j >= start(b, i); }},
      {"causal with starts",
       {.causal = true, .starts = starts},
       [=](std::int64_t b, auto, std::int64_t i, std::int64_t j) {
         return j <= first + i && j >= start(b, i);
       }},
      {"a window with starts and lengths",
       {.causal = true, .window = 40, .lengths = {300, 290}, .starts = starts},
       [=](std::int64_t b, auto, std::int64_t i, std::int64_t j) {
         return j <= first + i && j > first + i - 40 && j >= start(b, i) && j < (b == 0 ? 300 : 290);
       }},
      {"a window with sinks",
       {.causal = true, .window = 40, .sinks = 3},
       [=](auto, auto, std::int64_t i, std::int64_t j) {
         return j <= first + i && (j > first + i - 40 || j < 3);
       }},
      {"many sinks",
       {.causal = true, .offset = 200, .window = 70, .sinks = 270},
       [](auto, auto, std::int64_t i, std::int64_t j) { return j <= 200 + i && (j > 130 + i || j < 270); }},
      {"a window on both sides",
       {.offset = 100, .window = 90},
       [](auto, auto, std::int64_t i, std::int64_t j) { return std::abs(100 + i - j) < 90; }},
      {"segments",
       {.causal = true, .segments = segments},
       [=](std::int64_t b, auto, std::int64_t i, std::int64_t j) {
         return j <= first + i && segment(b, first + i) == segment(b, j);
       }},
      {"segments of queries",
       {.segments = segments, .query_segments = Indices(std::vector<std::int32_t>(180, 2), {2, 90})},
       [=](std::int64_t b, auto, auto, std::int64_t j) { return segment(b, j) == 2; }},
      {"a mask",
       {.mask = mask},
       [=](std::int64_t b, auto, std::int64_t i, std::int64_t j) {
         return mask.at((b * queries + i) * keys + j) != 0;
       }},
      {"a mask of keys",
       {.mask = mask[0][0][5].reshape({1, 1, 1, keys})},
       [=](auto, auto, auto, std::int64_t j) { return mask.at(5 * keys + j) != 0; }},
      {"slopes",
       {.causal = true, .slopes = slopes},
       causal,
       [=](auto, std::int64_t h, std::int64_t i, std::int64_t j) {
         return -static_cast<double>(slopes.at(h)) * std::abs(static_cast<double>(first + i - j));
       }},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    check_against(x, with(row.options), by_ops(x, row.seen, row.added));
  }
  INFO("a bias");
  const auto biased = [&](const Variable& q, const Variable& k, const Variable& v) {
    return attention(q, k, v, {.bias = Variable(bias.to(q.dtype()))});
  };
  check_against(x, biased, by_ops(x, all, [&](auto, auto, std::int64_t i, std::int64_t j) {
                  return bias.at(i * keys + j);
                }));
}

TEST_CASE("attention of 1,000 keys, of few queries and of wide heads is its definition", "[attention]") {
  const auto all = [](auto...) { return true; };
  const Operands one(2, 4, 2, 1, 1000, 16), three(1, 2, 2, 3, 1000, 5), wide(1, 1, 1, 40, 40, 130);
  for (const Operands* x : {&one, &three, &wide}) check_against(*x, with({}), by_ops(*x, all));
  const auto causal = [](auto, auto, std::int64_t i, std::int64_t j) { return j <= i + 800; };
  const Operands more_keys(1, 1, 1, 200, 1000, 4), more_queries(1, 1, 1, 1000, 150, 4);
  check_against(more_keys, with({.causal = true}), by_ops(more_keys, causal));
  check_against(more_queries, with({}), by_ops(more_queries, all));
}

TEST_CASE("attention is its definition with every instruction set", "[attention]") {
  const Operands x(1, 2, 2, 37, 45, 9);
  for_every_instruction_set([&] {
    check_against(
        x, with({.causal = true, .window = 20}),
        by_ops(x, [](auto, auto, std::int64_t i, std::int64_t j) { return j <= i + 8 && j > i - 12; }));
  });
}

TEST_CASE("attention over (batch, time, heads, width) is the same", "[attention]") {
  const Operands x(2, 4, 2, 30, 40, 8);
  const auto turned = [](const Variable& q, const Variable& k, const Variable& v) {
    return transpose(attention(transpose(q, 1, 2), transpose(k, 1, 2), transpose(v, 1, 2),
                               {.causal = true, .time_first = true}),
                     1, 2);
  };
  const std::vector<Tensor> one = results(x, Dtype::f32, with({.causal = true})),
                            other = results(x, Dtype::f32, turned);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(identical(one[i], other[i]));
}

TEST_CASE("attention of queries, keys and values side by side is the same", "[attention]") {
  const Tensor qkv = Rng(6).normal({2, 30, 8 * 5});  // four heads of queries, two of keys and of values
  const Tensor w = Rng(7).normal({2, 30, 4 * 5});
  const auto run = [&](const auto& f) {
    Tape tape;
    const Variable x = tape.watch(qkv), y = f(x);
    return std::pair{y.value(), tape.backward(sum(y * w))[x]};
  };
  const AttentionOptions options{
      .causal = true, .lengths = {30, 20}, .bias = Variable(Rng(8).normal({30, 30})), .time_first = true};
  const auto together = run([&](const Variable& x) { return packed_attention(x, 4, 2, options); });
  const auto apart = run([&](const Variable& x) {
    const std::vector<Variable> parts = split(reshape(x, {2, 30, 8, 5}), {4, 2, 2}, 2);
    return reshape(attention(parts[0], parts[1], parts[2], options), {2, 30, 20});
  });
  CHECK(identical(together.first, apart.first));
  CHECK(identical(together.second, apart.second));
  CHECK_THROWS_WITH(packed_attention(of({2, 3, 9}), 2, 1),
                    Contains("qkv of shape (2, 3, 9); it must be (batch, time, 4 heads of one width)"));
  CHECK_THROWS_WITH(packed_attention(of({2, 3, 8}), 3, 2), Contains("3 heads, and 2 of keys and values"));
  CHECK_THROWS_WITH(packed_attention(Variable(), 2, 2), Contains("qkv is undefined"));
}

TEST_CASE("attention has the same bits for any number of threads", "[attention][threads]") {
  // One head, for which the gradient goes over the scores twice, and several.
  const Operands one(1, 2, 1, 150, 300, 12), more(3, 2, 2, 100, 100, 12);
  const auto all = [&] {
    std::vector<Tensor> out;
    for (const Operands* x : {&one, &more}) {
      Rng rng(4);
      const Variable bias(Rng(5).normal({x->q.dim(2), x->k.dim(2)}));
      for (const AttentionOptions& options :
           {AttentionOptions{.causal = true}, AttentionOptions{.window = 50, .sinks = 4},
            AttentionOptions{.bias = bias, .dropout = 0.2, .rng = &rng}}) {
        for (Tensor& each : results(*x, Dtype::f32, with(options))) out.push_back(each);
      }
      // With the gradient of the bias.
      Tape tape;
      const Variable k = tape.watch(x->k.to(Dtype::f32)), b = tape.watch(bias.value());
      const Variable y = attention(Variable(x->q.to(Dtype::f32)), k, k, {.bias = b});
      const Gradients found = tape.backward(sum(y * x->w.to(Dtype::f32)));
      out.insert(out.end(), {found[k], found[b]});
    }
    return out;
  };
  test::check_same_bits(all);
}

TEST_CASE("attention's memory grows with the context and not with its square", "[attention]") {
  const auto bytes = [](std::int64_t context) {
    const Operands x(1, 1, 1, context, context, 8);
    const std::int64_t before = storage::statistics().heap_bytes_held;
    results(x, Dtype::f32, with({.causal = true}));
    return storage::statistics().heap_bytes_held - before;
  };
  // All scores would be 64 MiB.
  CHECK(bytes(4096) < std::int64_t{4} << 20);
}

TEST_CASE("a step with attention takes nothing from the heap once it has run", "[attention][heap]") {
  if (!counts_heap) return;
  const int before_threads = threads();
  set_threads(1);
  const Operands x(2, 2, 2, 40, 40, 8);
  const auto step = [&] {
    Tape tape;
    const Variable q = tape.watch(x.q);
    return tape.backward(sum(attention(q, q, q, {.causal = true})));
  };
  for (int i = 0; i < 5; ++i) step();
  const std::int64_t before = heap_count();
  for (int i = 0; i < 10; ++i) step();
  CHECK(heap_count() == before);
  set_threads(before_threads);
}

TEST_CASE("a query that sees no key has 0 and gives no gradient, and NaN passes on", "[attention]") {
  Operands x(1, 1, 1, 3, 4, 2);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Tensor mask = ones({3, 4});
  for (std::int64_t j = 0; j < 4; ++j) mask.mutable_data<float>()[4 + j] = 0;
  for (const Tensor& each : {mask, mask.to(Dtype::f64)}) {
    const std::vector<Tensor> found = results(x, Dtype::f64, with({.mask = each}));
    for (std::int64_t i = 0; i < 2; ++i) {
      CHECK(found[0].at(2 + i) == 0);
      CHECK(found[1].at(2 + i) == 0);
    }
  }
  // A bias of -infinity hides as a mask does, and one that is as low as can be for all keys does not.
  const Variable hidden(where(mask, zeros({}), -std::numeric_limits<float>::infinity()));
  const Variable low(full({3, 4}, std::numeric_limits<float>::lowest()));
  const auto biased = [](const Variable& bias) {
    return [bias](const Variable& q, const Variable& k, const Variable& v) {
      return attention(q, k, v, {.bias = bias});
    };
  };
  const std::vector<Tensor> by_mask = results(x, Dtype::f32, with({.mask = mask})),
                            by_bias = results(x, Dtype::f32, biased(hidden));
  for (std::size_t i = 0; i < by_mask.size(); ++i) CHECK(identical(by_mask[i], by_bias[i]));
  CHECK(difference(results(x, Dtype::f32, biased(low))[0], broadcast_to(mean(x.v, 2, true), {1, 1, 3, 2})) <
        1e-6);

  Operands bad = x;
  bad.v.mutable_data<double>()[0] = nan;
  const Tensor beside = results(bad, Dtype::f64, with({.mask = mask}))[0];
  CHECK((std::isnan(beside.at(0)) && beside.at(2) == 0 && beside.at(3) == 0));
  x.q.mutable_data<double>()[4] = nan;  // of the last query
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Tensor y = results(x, dtype, with({}))[0];
    for (std::int64_t i = 0; i < 6; ++i) CHECK(std::isnan(y.at(i)) == (i >= 4));
  }
}

TEST_CASE("keys behind an entry's length are not read", "[attention]") {
  Operands x(2, 1, 1, 3, 5, 2);
  const AttentionOptions options{.lengths = {2, 5}};
  const std::vector<Tensor> clean = results(x, Dtype::f64, with(options));
  for (Tensor* each : {&x.k, &x.v})
    each->mutable_data<double>()[5] = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Tensor> found = results(x, Dtype::f64, with(options));
  for (std::size_t i = 0; i < clean.size(); ++i) CHECK(identical(found[i], clean[i]));
}

TEST_CASE("attention's dropout keeps its share, and its gradient is that of what was kept", "[attention]") {
  const std::int64_t keys = 301;
  Operands x(2, 2, 2, 50, keys, 4);
  // With equal scores and values of 1 a result is the share that was kept, over 1 - dropout.
  const Variable q(zeros(x.q.shape())), k(zeros(x.k.shape())), v(ones(x.v.shape()));
  Rng rng(3);
  const Tensor y = attention(q, k, v, {.dropout = 0.25, .rng = &rng}).value();
  CHECK(mean(y).item() == Approx(1).margin(0.01));
  CHECK(stddev(y).item() == Approx(std::sqrt(1 / 3. / static_cast<double>(keys))).epsilon(0.15));
  CHECK(rng.state().counter == 2 * 2 * 50 * ((keys + 3) / 4));
  // The next call draws others, and without a generator nothing is dropped.
  CHECK_FALSE(identical(attention(q, k, v, {.dropout = 0.25, .rng = &rng}).value(), y));
  CHECK(difference(attention(q, k, v, {.dropout = 0.25}).value(), ones(y.shape())) < 1e-6);
  // The result is linear in v, also for what was dropped.
  const auto dropped = [](const Variable& a, const Variable& b, const Variable& c) {
    Rng again(9);
    return attention(a, b, c, {.dropout = 0.25, .rng = &again});
  };
  const std::vector<Tensor> found = results(x, Dtype::f64, dropped);
  CHECK(sum(found[3] * x.v).item() == Approx(sum(found[0] * x.w).item()).epsilon(1e-10));
}

TEST_CASE("the slopes of ALiBi are those of its authors", "[attention]") {
  CHECK(difference(alibi_slopes(8, Dtype::f64),
                   exp2(Tensor::of({-1, -2, -3, -4, -5, -6, -7, -8}, Dtype::f64))) < 1e-15);
  CHECK(difference(alibi_slopes(6, Dtype::f64), exp2(Tensor::of({-2, -4, -6, -8, -1, -3}, Dtype::f64))) <
        1e-15);
  CHECK(alibi_slopes(1).item() == 1 / 256.);
}

TEST_CASE("attention says what does not fit", "[attention]") {
  const Variable x = of({2, 4, 3, 5});
  const auto refuses = [&](const AttentionOptions& options, const std::string& message) {
    INFO(message);
    CHECK_THROWS_WITH(attention(x, x, x, options), Contains(message) && Contains("at attention_test.cpp:"));
  };
  CHECK_THROWS_WITH(attention(of({4, 3, 5}), x, x),
                    Contains("q of shape (4, 3, 5); it must be (batch, heads, time, width)"));
  CHECK_THROWS_WITH(attention(x, Variable(), x), Contains("k is undefined"));
  CHECK_THROWS_WITH(attention(Variable(), x, x), Contains("q is undefined"));
  CHECK_THROWS_WITH(attention(x, x, of({2, 4, 3, 5}, Dtype::f64)), Contains("q is f32, v f64"));
  CHECK_THROWS_WITH(attention(x, of({2, 4, 3, 6}), x),
                    Contains("k of shape (2, 4, 3, 6)") && Contains("one width"));
  CHECK_THROWS_WITH(attention(x, of({1, 4, 3, 5}), x), Contains("of one batch"));
  CHECK_THROWS_WITH(attention(x, x, of({2, 4, 2, 5})), Contains("v of shape (2, 4, 2, 5)"));
  CHECK_THROWS_WITH(attention(x, of({2, 3, 3, 5}), of({2, 3, 3, 5})),
                    Contains("q has 4 heads, which must be a multiple of the 3 of k and v"));
  refuses({.scale = std::numeric_limits<double>::infinity()}, "a scale of inf");
  refuses({.offset = 1, .offsets = {1, 2}}, "both offset and offsets");
  refuses({.offsets = {1}}, "offsets of shape (1,); it must be (2,)");
  refuses({.window = -1}, "a window of -1 and 0 sinks");
  refuses({.sinks = 2}, "2 sinks without a window");
  refuses({.lengths = {1, 2, 3}}, "lengths of shape (3,); it must be (2,)");
  refuses({.lengths = {1, 4}}, "a length of 4 at position 1; it must be from 0 to 3");
  refuses({.lengths = {-1, 2}}, "a length of -1 at position 0");
  refuses({.segments = {1, 2}}, "segments of shape (2,); it must be (2, 3)");
  refuses({.query_segments = Indices({1, 2, 3, 4, 5, 6}, {2, 3})}, "query_segments without segments");
  refuses({.offset = 1, .segments = Indices({1, 2, 3, 4, 5, 6}, {2, 3})},
          "segments of 3 keys, and queries at the places 1..3");
  refuses({.mask = ones({4, 3, 2})},
          "a mask of shape (4, 3, 2); it must broadcast to (batch, heads, queries, keys), "
          "(2, 4, 3, 3)");
  refuses({.bias = of({1, 2, 4, 3, 3})}, "a bias of shape (1, 2, 4, 3, 3)");
  refuses({.bias = of({3, 3}, Dtype::f64)}, "the bias f64");
  refuses({.slopes = ones({3})}, "slopes of shape (3,) for 4 heads");
  refuses({.dropout = 1}, "a dropout of 1");
  CHECK_THROWS_AS(alibi_slopes(0), ArgumentError);
}
