#include "nn/min_rnn.hpp"

#include <limits>

#include "tensor/ops.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_module.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

template <class Layer>
void compare(const std::string& name, const Layer& layer) {
  check_torch_module(name, layer, {"x", "h0"}, [](const Layer& of, const std::vector<Variable>& x) {
    const auto [out, last] = of(x[0], {x[1]});
    return NamedResults{{"out", out}, {"hn", last.h}};
  });
}

template <class Layer>
void check_ways_to_read(const Layer& layer) {
  Rng rng(4);
  const Variable x(rng.normal({9, 4, 3}));
  const auto [out, last] = layer(x, layer.start(4));
  // Step by step, and in two pieces.
  auto state = layer.start(4);
  for (std::int64_t t = 0; t < 9; ++t) {
    const auto [h, next] = layer.step(select(x, t), state);
    CHECK(difference(h.value(), out.value()[t]) < 1e-6);
    state = next;
  }
  CHECK(difference(state.h.value(), last.h.value()) < 1e-6);
  const auto [first, middle] = layer(slice(x, 0, 0, 4), layer.start(4));
  const auto [second, end] = layer(slice(x, 0, 4, 9), middle);
  CHECK(difference(concat({first, second}, 0).value(), out.value()) < 1e-6);
  CHECK(difference(end.h.value(), last.h.value()) < 1e-6);
}

}  // namespace

TEST_CASE("minimal recurrent layers and their gradients are those of the paper's formulas", "[nn]") {
  Rng rng(1);
  const auto positive = nn::MinCandidate::positive;
  compare("min_gru_1", nn::MinGru(rng, 4, 6));
  compare("min_gru_2", nn::MinGru(rng, 3, 17, {.layers = 2}));
  compare("min_gru_small", nn::MinGru(rng, 1, 1));
  compare("min_gru_positive", nn::MinGru(rng, 4, 5, {.candidate = positive}));
  compare("min_lstm_1", nn::MinLstm(rng, 4, 6));
  compare("min_lstm_positive_2", nn::MinLstm(rng, 3, 5, {.layers = 2, .candidate = positive}));
}

TEST_CASE("minimal recurrent layers read steps one by one as all at once", "[nn]") {
  Rng rng(2);
  check_ways_to_read(nn::MinGru(rng, 3, 5, {.layers = 2}));
  check_ways_to_read(nn::MinLstm(rng, 3, 5, {.layers = 2}));
}

TEST_CASE("a minimal recurrent layer over sequences of several lengths equals each by itself", "[nn]") {
  Rng rng(3);
  const nn::MinGru layer(rng, 3, 4, {.layers = 2});
  const std::vector<std::int32_t> lengths{2, 5, 0, 4};
  Tensor x = rng.normal({5, 4, 3});
  for (std::int64_t t = 0; t < 5; ++t) {
    for (std::int64_t i = 0; i < 4; ++i) {
      if (t >= lengths[static_cast<std::size_t>(i)])
        std::fill_n(x.mutable_data<float>() + (t * 4 + i) * 3, 3, std::numeric_limits<float>::quiet_NaN());
    }
  }
  const nn::HiddenState start{Variable(rng.normal({2, 4, 4}))};
  Tape tape;
  const Variable watched = tape.watch(x);
  const auto [out, last] = layer(watched, start, nullptr, Indices(lengths));
  const Gradients gradients = tape.backward(sum(out * out));
  CHECK(all_finite(gradients[watched]));
  for_each_parameter(layer, [&](const std::string&, const Parameter& p) { CHECK(all_finite(gradients[p])); });
  for (std::int64_t i = 0; i < 4; ++i) {
    INFO("sequence " << i);
    const std::int64_t length = lengths[static_cast<std::size_t>(i)];
    const auto own = [&](const Tensor& of) { return slice(of, 1, i, i + 1); };
    nn::HiddenState alone{Variable(own(start.h.value()))};
    CHECK(max(abs(concat({own(out.value()).rows(length, 5), zeros({1, 1, 4})}, 0))).item() == 0);
    if (length > 0) {
      const auto [expected, after] = layer(Variable(own(x).rows(0, length)), alone);
      CHECK(difference(own(out.value()).rows(0, length), expected.value()) < 1e-6);
      alone = after;
    }
    CHECK(difference(own(last.h.value()), alone.h.value()) < 1e-6);
  }
}

TEST_CASE("gates of a minimal layer that are shut or open to the nearest number keep exact values", "[nn]") {
  Rng rng(5);
  nn::MinLstm layer(rng, 1, 1);
  nn::MinLstmCell& cell = layer.layers[0];
  for_each_parameter(layer, [](const std::string&, Parameter& p) { p.mutable_value() = zeros(p.shape()); });
  // Both gates vanish in f32, one by far more: of their shares the state keeps exp(-5) / (1 + exp(-5)).
  cell.linear_f.bias.mutable_value() = Tensor::of({-130});
  cell.linear_i.bias.mutable_value() = Tensor::of({-125});
  const auto [h, next] = layer(Variable(ones({1, 1, 1})), {Variable(ones({1, 1, 1}))});
  CHECK(h.item() == Approx(0.0066928509).epsilon(1e-6));
}

TEST_CASE("minimal recurrent layers have the same bits for any number of threads, and drop between layers",
          "[nn][threads]") {
  Rng rng(6);
  const nn::MinGru layer(rng, 24, 70, {.layers = 2, .dropout = 0.5});
  const Tensor x = rng.normal({2100, 1, 24});
  check_same_bits([&] {
    Tape tape;
    Rng dropped(7);
    const Variable watched = tape.watch(x);
    const auto [h, last] = layer(watched, layer.start(1), &dropped);
    return std::vector<Tensor>{h.value(), tape.backward(sum(h * h))[watched]};
  });
  Rng dropped(7);
  CHECK(difference(layer(Variable(x), layer.start(1)).first.value(),
                   layer(Variable(x), layer.start(1), &dropped).first.value()) > 1e-2);
}

TEST_CASE("minimal recurrent layers say what does not fit", "[nn]") {
  Rng rng(8);
  const nn::MinGru layer(rng, 3, 4);
  CHECK_THROWS_WITH(nn::MinGru(rng, 3, 0), Contains("MinGru: 1 layers of width 0"));
  CHECK_THROWS_WITH(nn::MinLstm(rng, 3, 4, {.dropout = 1}), Contains("MinLstm: dropout of 1"));
  CHECK_THROWS_WITH(layer(Variable(ones({2, 5, 4})), layer.start(5)),
                    Contains("MinGru") && Contains("(2, 5, 4)"));
  CHECK_THROWS_WITH(layer(Variable(ones({2, 5, 3})), layer.start(2)), Contains("(1, 2, 4)"));
  CHECK_THROWS_WITH(layer(Variable(ones({2, 5, 3})), layer.start(5), nullptr, {3, 1, 1, 1, 1}),
                    Contains("from 0 to the 2 steps"));
}
