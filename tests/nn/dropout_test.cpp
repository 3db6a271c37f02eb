#include "nn/dropout.hpp"

#include <algorithm>

#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "nn/embedding.hpp"
#include "nn/gru.hpp"
#include "nn/losses.hpp"
#include "nn/lstm.hpp"
#include "nn/weights.hpp"
#include "optim/adam.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/torch_module.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::check_torch_module;
using gradus::test::fixture_ids;
using gradus::test::NamedResults;

namespace {

/// Everything here that is random, and a table that the output shares.
struct Awd {
  nn::Embedding embed;
  nn::Lstm lstm;
  nn::TiedLinear head;

  explicit Awd(Rng& rng)
      : embed(rng, 40, 8, {.padding = 0, .deviation = 0.1}),
        lstm(rng, 8, 8,
             {.layers = 2, .dropout = 0.2, .weight_dropout = 0.5, .zoneout = {.h = 0.1, .c = 0.1}}),
        head(rng, embed) {}

  Variable operator()(const Indices& ids, Rng* rng) const {
    const Variable x = nn::locked_dropout(nn::embedding_dropout(embed, ids, 0.1, rng), 0.3, rng);
    return head(lstm(x, lstm.start(ids.dim(1)), rng).first, embed);
  }
  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("lstm", self.lstm);
    visit("head", self.head);
  }
};

/// Steps from `begin` to `end` of a training run.
void train(Awd& model, Rng& rng, int begin, int end) {
  for (int step = begin; step < end; ++step) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 60; ++i) ids.push_back((i * 7 + step * 11) % 40);
    const Indices x(ids, {6, 10});
    Tape tape;
    const Gradients g = tape.backward(nn::cross_entropy(model(x, &rng), x));
    for_each_parameter(model,
                       [&](const std::string&, Parameter& p) { p.mutable_value() = p.value() - 0.1 * g[p]; });
  }
}

void check_same(const Awd& a, const Awd& b) {
  const Safetensors as = nn::weights(a), bs = nn::weights(b);
  for (const auto& [name, tensor] : as.tensors) {
    INFO(name);
    CHECK(identical(tensor, bs.tensors.at(name)));
  }
}

}  // namespace

TEST_CASE("locked dropout has one mask for all steps", "[nn]") {
  Rng rng(3);
  const Variable x(ones({4, 30, 50}));
  const Tensor y = nn::locked_dropout(x, 0.3, &rng).value();
  for (std::int64_t t = 1; t < 4; ++t) CHECK(identical(y[t], y[0]));
  CHECK(mean(y).item() == Approx(1).margin(0.05));
  CHECK(max(y).item() == Approx(1 / 0.7));
  CHECK(min(y).item() == 0);
  CHECK_FALSE(identical(nn::LockedDropout{0.3}(x, &rng).value(), y));
  CHECK(identical(nn::locked_dropout(x, 0.3, nullptr).value(), x.value()));
  CHECK_THROWS_WITH(nn::locked_dropout(x, 1, &rng), Contains("locked_dropout: a rate of 1"));
  CHECK_THROWS_AS(nn::locked_dropout(Variable(Tensor::scalar(1)), 0.1, &rng), ShapeError);
}

TEST_CASE("embedding dropout drops whole rows of the table, and the gradient is row-sparse", "[nn]") {
  Rng rng(4);
  const nn::Embedding embed(rng, 10, 3);
  const Indices ids({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, {2, 10});
  Tape tape;
  const Variable y = nn::embedding_dropout(embed, ids, 0.4, &rng);
  CHECK(y.shape() == Shape{2, 10, 3});
  CHECK(identical(y.value()[0], flip(y.value()[1], {0})));
  int dropped = 0;
  for (std::int64_t i = 0; i < 10; ++i) {
    const Tensor row = y.value()[0][i], whole = embed.weight.value()[i] * (1 / 0.6);
    const bool none = max(abs(row)).item() == 0;
    dropped += none;
    if (!none) CHECK(test::difference(row, whole) < 1e-6);
  }
  CHECK(dropped > 0);
  CHECK(dropped < 10);
  const Gradients gradients = tape.backward(sum(y));
  CHECK(gradients.find(embed.weight.place())->is_sparse());
  CHECK(identical(nn::embedding_dropout(embed, ids, 0.4, nullptr).value(), embed(ids).value()));
  CHECK_THROWS_WITH(nn::embedding_dropout(embed, ids, -1, nullptr),
                    Contains("embedding_dropout: a rate of -1"));
}

TEST_CASE("zoneout refuses a rate out of range", "[nn]") {
  const Variable x(ones({2}));
  CHECK_THROWS_WITH(nn::zoneout(x, x, 1, nullptr), Contains("zoneout: a rate of 1"));
}

TEST_CASE("a run goes on to the same bits from its weights and its generator's state", "[nn]") {
  Rng init(1), other(2);
  Awd whole(init), resumed(other);
  const Awd initial = whole;
  Rng rng(5);
  train(whole, rng, 0, 2);
  const Rng::State state = rng.state();
  nn::set_weights(resumed, nn::weights(whole));
  train(whole, rng, 2, 5);
  Rng again(state);
  train(resumed, again, 2, 5);
  check_same(whole, resumed);
  // Another state gives other numbers, other threads do not.
  const int threads_before = threads();
  set_threads(threads_before == 1 ? 3 : 1);
  resumed = initial;
  Rng from_start(5);
  train(resumed, from_start, 0, 5);
  set_threads(threads_before);
  check_same(whole, resumed);
  resumed = initial;
  train(resumed, from_start, 0, 5);
  CHECK_FALSE(identical(whole.lstm.layers[0].weight_hh.value(), resumed.lstm.layers[0].weight_hh.value()));
}

TEST_CASE("an embedding's padding is PyTorch's", "[nn]") {
  Rng rng(1);
  for (const auto& [name, padding] : {std::pair{"embedding_padding", 2}, {"embedding_padding_last", -1}}) {
    const Indices ids = fixture_ids(std::string(name) + "/ids");
    check_torch_module(name, nn::Embedding(rng, 6, 3, {.padding = padding}), {},
                       [&](const nn::Embedding& embed, const auto&) {
                         return NamedResults{{"out", embed(ids)}};
                       });
  }
}

TEST_CASE("no optimizer changes the row of padding, and no way to read the table gives it a gradient",
          "[nn]") {
  Rng rng(1);
  nn::Embedding embed(rng, 4, 3, {.padding = -1, .deviation = 0.02});
  CHECK(*embed.padding == 3);
  CHECK(max(abs(embed.weight.value()[3])).item() == 0);
  CHECK(max(abs(embed.weight.value())).item() < 0.1);
  embed.weight.mutable_value() = rng.normal({4, 3});
  const Tensor before = embed.weight.value();
  optim::AdamW adam({.lr = 0.1, .weight_decay = 0.1});
  for (const Indices& ids : {Indices({3, 1, 3, 0}), Indices({3, 3}), Indices({2})}) {
    Tape tape;
    const Variable y = embed(ids);
    CHECK(identical(y.value(), gather_rows(embed.weight.value(), ids)));
    const Gradients g = tape.backward(sum(square(y)));
    CHECK(std::ranges::count(g.find(embed.weight.place())->rows.ids.values(), 3) == 0);
    adam.step(embed, g);
  }
  CHECK(identical(embed.weight.value()[3], before[3]));
  CHECK_FALSE(identical(embed.weight.value()[0], before[0]));
  // Recorded, and through a recurrent layer, which would read a small table without padding as a whole.
  const nn::Gru gru(rng, 3, 2);
  const Indices many({0, 3, 1, 3, 2, 0}, {3, 2});
  REQUIRE(nn::projects_table(nn::Embedding(rng, 4, 3), many));
  REQUIRE_FALSE(nn::projects_table(embed, many));
  Tape tape;
  const Variable recorded = grad(sum(square(embed(Indices({3, 0})))), embed.weight);
  CHECK(max(abs(recorded.value()[3])).item() == 0);
  CHECK(max(abs(recorded.value()[0])).item() > 0);
  const Gradients g = tape.backward(sum(gru(embed, many, gru.start(2)).first));
  CHECK(max(abs(g[embed.weight][3])).item() == 0);
  CHECK(max(abs(g[embed.weight][0])).item() > 0);
  adam.step(embed, g.of(embed));
  CHECK(identical(embed.weight.value()[3], before[3]));

  CHECK_THROWS_WITH(nn::Embedding(rng, 4, 3, {.padding = 4}), Contains("a padding of 4 among 4 ids"));
  CHECK_THROWS_WITH(nn::Embedding(rng, 4, 3, {.padding = -5}), Contains("a padding of -5"));
  CHECK_THROWS_WITH(nn::Embedding(rng, 4, 3, {.deviation = -1}), Contains("a deviation of -1"));
}

TEST_CASE("an output that shares the embedding's table adds its gradient, and is saved once", "[nn]") {
  Rng rng(1);
  const nn::Embedding embed(rng, 6, 3);
  const Indices ids = fixture_ids("embedding_tied/ids");
  check_torch_module("embedding_tied", embed, {"bias"}, [&](const nn::Embedding& e, const auto& in) {
    return NamedResults{{"out", linear(tanh(e(ids)), e.weight, in[0])}};
  });
  const nn::TiedLinear head(rng, embed);
  const Variable h(rng.normal({2, 3}));
  CHECK(identical(head(h, embed).value(), linear(h, embed.weight, head.bias).value()));
  const Awd model(rng);
  int tables = 0;
  for (const auto& [name, tensor] : nn::weights(model).tensors) tables += tensor.shape() == Shape{40, 8};
  CHECK(tables == 1);
  CHECK_THROWS_AS(head(h, nn::Embedding(rng, 5, 3)), ShapeError);
}
