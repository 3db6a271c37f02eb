#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/coupled_lstm.hpp"
#include "nn/norm_cells.hpp"
#include "nn/peephole_lstm.hpp"
#include "nn/single_step.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/torch_module.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::check_torch_module;
using gradus::test::difference;
using gradus::test::NamedResults;

namespace {

using Inputs = std::vector<Variable>;

/// A layer over a whole sequence.
template <class Layer>
void check_layer(const std::string& name, const Layer& layer, const Indices& lengths = {}) {
  std::vector<std::string> inputs{"x", "h0", "c0"};
  constexpr std::size_t parts = nn::part_count<typename Layer::State>;
  inputs.resize(1 + parts);
  check_torch_module(name, layer, inputs, [&](const Layer& l, const Inputs& in) {
    const auto start = nn::state_of<typename Layer::State>([&](std::size_t i) { return in[1 + i]; });
    auto [out, last] = l(in[0], start, nullptr, lengths);
    NamedResults results{{"out", out}, {"hn", *Layer::State::parts(last)[0]}};
    if constexpr (parts > 1) results.emplace_back("cn", last.c);
    return results;
  });
}

template <class Step>
void check_step(const std::string& name, const Step& step) {
  std::vector<std::string> inputs{"x", "h0", "c0"};
  constexpr std::size_t parts = nn::part_count<typename Step::State>;
  inputs.resize(1 + parts);
  check_torch_module(name, step, inputs, [&](const Step& s, const Inputs& in) {
    const auto after = s(in[0], nn::state_of<typename Step::State>([&](std::size_t i) { return in[1 + i]; }));
    NamedResults results{{"hn", after.h}};
    if constexpr (parts > 1) results.emplace_back("cn", after.c);
    return results;
  });
}

template <class M>
std::vector<std::string> names_of(const M& module) {
  std::vector<std::string> out;
  for_each_parameter(module, [&](const std::string& path, const Parameter&) { out.push_back(path); });
  return out;
}

}  // namespace

TEST_CASE("LSTMs with a projection and layers without biases are PyTorch's", "[nn]") {
  Rng rng(1);
  check_layer("lstm_projected", nn::Lstm(rng, 4, 6, {.projection = 3}));
  check_layer("lstm_projected_both_ragged_2",
              nn::Lstm(rng, 4, 6, {.layers = 2, .bidirectional = true, .projection = 2}), Indices({3, 5, 1}));
  check_layer("lstm_projected_small", nn::Lstm(rng, 1, 2, {.projection = 1}));
  check_layer("lstm_without_bias", nn::Lstm(rng, 4, 6, {.layers = 2, .bias = false}));
  check_layer("gru_without_bias", nn::Gru(rng, 4, 6, {.bidirectional = true, .bias = false}));
  const nn::Lstm projected(rng, 4, 6, {.bidirectional = true, .projection = 2});
  CHECK(names_of(projected) == std::vector<std::string>{"weight_ih_l0", "weight_hh_l0", "bias_ih_l0",
                                                        "bias_hh_l0", "weight_hr_l0", "weight_ih_l0_reverse",
                                                        "weight_hh_l0_reverse", "bias_ih_l0_reverse",
                                                        "bias_hh_l0_reverse", "weight_hr_l0_reverse"});
  CHECK(projected.width() == 2);
  CHECK(projected.cell_width() == 6);
  CHECK(projected.start(3).h.shape() == Shape{2, 3, 2});
  CHECK(projected.start(3).c.shape() == Shape{2, 3, 6});
}

TEST_CASE("cells of a single step are PyTorch's", "[nn]") {
  Rng rng(1);
  check_step("lstm_step", nn::LstmStep(rng, 4, 6));
  check_step("gru_step", nn::GruStep(rng, 4, 6));
  check_step("rnn_step", nn::RnnStep(rng, 4, 6));
  const nn::SingleStep<nn::PeepholeLstmCell> peephole(rng, 4, 6);
  CHECK(names_of(peephole) == std::vector<std::string>{"weight_ih", "weight_hh", "bias_ih", "bias_hh",
                                                       "weight_ci", "weight_cf", "weight_co"});
  CHECK(peephole(Variable(ones({3, 4})), peephole.start(3)).c.shape() == Shape{3, 6});
  const nn::LstmStep step(rng, 4, 6);
  CHECK_THROWS_WITH(step(Variable(ones({3, 5})), step.start(3)),
                    Contains("(3, 5)") && Contains("(batch, 4)"));
  CHECK_THROWS_WITH(step(Variable(ones({3, 4})), step.start(2)), Contains("(2, 6)") && Contains("(3, 6)"));
  CHECK_THROWS_AS(nn::GruStep(rng, 0, 6), ArgumentError);
}

TEST_CASE("weight_dropout drops the same recurrent weights in all steps of a call", "[nn]") {
  Rng rng(2);
  const nn::Lstm lstm(rng, 3, 8, {.weight_dropout = 0.5});
  const Variable x(rng.normal({6, 2, 3}));
  // The same by hand: a layer of the dropped weights.
  nn::Lstm dropped = lstm;
  dropped.options.weight_dropout = 0;
  Rng mask(7), again(7);
  Tensor& weight = dropped.layers[0].weight_hh.mutable_value();
  weight = weight * mask.bernoulli(weight.shape(), 0.5, 2);
  const Tensor expected = dropped(x, dropped.start(2)).first.value();
  CHECK(identical(lstm(x, lstm.start(2), &again).first.value(), expected));
  CHECK_FALSE(identical(lstm(x, lstm.start(2), &again).first.value(), expected));
  // Off in evaluation.
  const Tensor off = lstm(x, lstm.start(2)).first.value();
  dropped.layers[0].weight_hh = lstm.layers[0].weight_hh;
  CHECK(identical(off, dropped(x, dropped.start(2)).first.value()));
  // The gradient of a dropped weight is 0.
  Tape tape;
  Rng third(7);
  const Gradients gradients = tape.backward(sum(lstm(x, lstm.start(2), &third).first));
  const Tensor g = gradients[lstm.layers[0].weight_hh], kept = Rng(7).bernoulli(weight.shape(), 0.5, 2);
  for (std::int64_t i = 0; i < g.size(); ++i) CHECK((g.at(i) == 0) == (kept.at(i) == 0));
}

TEST_CASE("locked_dropout drops the same outputs of a layer in all steps", "[nn]") {
  Rng rng(2);
  const nn::Gru gru(rng, 3, 8, {.layers = 2, .dropout = 0.5, .locked_dropout = true});
  const Variable x(rng.normal({6, 2, 3}));
  // The same by hand: the layers one after the other, with one mask (1, batch, width) between.
  nn::Gru first = gru, second = gru;
  first.layers.erase(first.layers.begin() + 1, first.layers.end());
  second.layers.erase(second.layers.begin());
  first.options.layers = second.options.layers = 1;
  Rng mask(7), again(7);
  const Variable h = first(x, first.start(2)).first;
  const Variable dropped = h * Variable(mask.bernoulli({1, 2, 8}, 0.5, 2));
  const Tensor expected = second(dropped, second.start(2)).first.value();
  CHECK(identical(gru(x, gru.start(2), &again).first.value(), expected));
  CHECK_FALSE(identical(gru(x, gru.start(2)).first.value(), expected));
}

TEST_CASE("zoneout keeps units as they were, and in evaluation the expectation", "[nn]") {
  Rng rng(3);
  const Tensor x = rng.normal({5, 2, 3}, 0, 1, Dtype::f64);
  nn::Lstm lstm(rng, 3, 4, {.zoneout = {.h = 0.3, .c = 0.6}});
  convert(lstm, Dtype::f64);
  const nn::RecurrentPart<nn::LstmCell>& w = lstm.layers[0];
  for (const bool training : {true, false}) {
    INFO("training " << training);
    // Krueger et al. 2017, eqs. 3 to 6, step by step.
    Rng drawn(9), again(9);
    Tensor h = zeros({2, 4}, Dtype::f64), c = h, all = zeros({0, 2, 4}, Dtype::f64);
    for (std::int64_t t = 0; t < 5; ++t) {
      const nn::LstmState before{Variable(h), Variable(c)};
      const nn::LstmState after =
          nn::LstmCell().step(linear(Variable(x[t]), w.weight_ih, w.bias_ih + w.bias_hh),
                              linear(before.h, w.weight_hh, Variable()), before);
      const auto next = [&](const Tensor& old, const Tensor& now, double rate) {
        const Tensor z =
            training ? drawn.bernoulli({2, 4}, rate, 1, Dtype::f64) : full({2, 4}, rate, Dtype::f64);
        return z * old + (1 - z) * now;
      };
      h = next(h, after.h.value(), 0.3);
      c = next(c, after.c.value(), 0.6);
      all = concat({all, h.reshape({1, 2, 4})}, 0);
    }
    const auto [out, last] = lstm(Variable(x), lstm.start(2), training ? &again : nullptr);
    CHECK(difference(out.value(), all) < 1e-13);
    CHECK(difference(last.c.value()[0], c) < 1e-13);
  }
}

TEST_CASE("learned initial states are parameters, and get gradients wherever start was called", "[nn]") {
  Rng rng(4);
  nn::Lstm lstm(rng, 3, 4, {.layers = 2, .bidirectional = true, .projection = 2, .learned_start = true});
  const std::vector<std::string> names = names_of(lstm);
  CHECK(names[names.size() - 2] == "h_0");
  CHECK(names.back() == "c_0");
  CHECK(lstm.starts[0].shape() == Shape{4, 1, 2});
  CHECK(lstm.starts[1].shape() == Shape{4, 1, 4});
  convert(lstm, Dtype::f64);
  for (Parameter& start : lstm.starts) start.mutable_value() = rng.normal(start.shape(), 0, 1, Dtype::f64);
  const Variable x(rng.normal({5, 3, 3}, 0, 1, Dtype::f64));
  const nn::LstmState before = lstm.start(3);  // outside of the tape
  Tape tape;
  const auto [out, last] = lstm(x, before);
  const Gradients found = tape.backward(sum(square(out)));
  // The same with the state as a constant that is spread over the batch.
  Tape other;
  nn::LstmState spread;
  for (std::size_t i = 0; i < 2; ++i)
    *nn::LstmState::parts(spread)[i] =
        other.watch(broadcast_to(lstm.starts[i].value(), lstm.starts[i].shape().with(1, 3)));
  const Variable expected = lstm(x, spread).first;
  CHECK(identical(out.value(), expected.value()));
  const Gradients wanted = other.backward(sum(square(expected)));
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(difference(found[lstm.starts[i]], sum(wanted[*nn::LstmState::parts(spread)[i]], {1}, true)) <
          1e-13);
  // Others still refuse a state of another batch.
  const nn::Gru gru(rng, 3, 4);
  CHECK_THROWS_AS(gru(Variable(zeros({2, 3, 3})), gru.start(1)), ShapeError);
}

TEST_CASE("a mask with holes equals the sequences without the steps that it leaves out", "[nn]") {
  Rng rng(5);
  nn::Gru gru(rng, 3, 4, {.layers = 2, .bidirectional = true});
  convert(gru, Dtype::f64);
  const Tensor mask = Tensor::of({0, 1, 0, 1,  //
                                  1, 1, 0, 0,  //
                                  0, 1, 0, 1,  //
                                  1, 0, 0, 1})
                          .reshape({4, 4});  // of 4 sequences; the third takes no step
  Tensor x = rng.normal({4, 4, 3}, 0, 1, Dtype::f64);
  for (std::int64_t i = 0; i < 16; ++i) {
    if (mask.at(i) == 0)
      std::fill_n(x.mutable_data<double>() + 3 * i, 3, std::numeric_limits<double>::quiet_NaN());
  }
  const nn::HiddenState start{Variable(rng.normal({4, 4, 4}, 0, 1, Dtype::f64))};
  Tape tape;
  const Variable watched = tape.watch(x);
  const auto [out, last] = gru.masked(watched, mask, start);
  CHECK(all_finite(tape.backward(sum(square(out)), {.keep = true})[watched]));
  for (std::int64_t b = 0; b < 4; ++b) {
    INFO("sequence " << b);
    std::vector<std::int32_t> steps;
    for (std::int32_t t = 0; t < 4; ++t) {
      if (mask.at(4 * t + b) != 0) steps.push_back(t);
    }
    const auto own = [&](const Tensor& of_batch) { return slice(of_batch, 1, b, b + 1); };
    const nn::HiddenState alone{Variable(own(start.h.value()))};
    if (steps.empty()) {
      CHECK(identical(own(last.h.value()), alone.h.value()));
      CHECK(max(abs(own(out.value()))).item() == 0);
      continue;
    }
    const Indices taken(steps);
    const auto [expected, after] = gru(Variable(gather_rows(own(x), taken)), alone);
    CHECK(difference(own(last.h.value()), after.h.value()) < 1e-13);
    CHECK(difference(gather_rows(own(out.value()), taken), expected.value()) < 1e-13);
    CHECK(sum_squares(own(out.value())) == Approx(sum_squares(expected.value())));  // 0 elsewhere
  }
  // One that only ends sequences is their lengths.
  const Tensor ends = Tensor::of({1, 1, 1, 0, 0, 0}).reshape({3, 2});
  const Variable y(rng.normal({3, 2, 3}, 0, 1, Dtype::f64));
  CHECK(identical(gru.masked(y, ends, gru.start(2)).first.value(),
                  gru(y, gru.start(2), nullptr, Indices({2, 1})).first.value()));
  CHECK_THROWS_WITH(gru.masked(y, transpose(ends), gru.start(2)),
                    Contains("Gru") && Contains("a mask of shape (2, 3)") && Contains("time-major"));
}

TEST_CASE("set_forget_bias makes the forget gates' bias the value, of all kinds of LSTMs", "[nn]") {
  Rng rng(6);
  nn::Lstm lstm(rng, 3, 2, {.layers = 2, .bidirectional = true});
  const Tensor before = lstm.layers[3].bias_ih.value();
  nn::set_forget_bias(lstm);
  for (const auto& part : lstm.layers) {
    const Tensor total = part.bias_ih.value() + part.bias_hh.value();
    CHECK(total.at(2) == 1);
    CHECK(total.at(3) == 1);
    CHECK(total.at(1) != 1);
  }
  CHECK(lstm.layers[3].bias_ih.value().at(0) == before.at(0));
  nn::CoupledLstm coupled(rng, 3, 2);
  nn::set_forget_bias(coupled, 2);
  CHECK(coupled.layers[0].bias_ih.value().at(0) == 2);
  CHECK(coupled.layers[0].bias_ih.value().at(2) != 2);
  nn::NormLstm norm(rng, 3, 2);
  nn::set_forget_bias(norm);
  CHECK(norm.layers[0].cell.norm_ih.bias.value().text() == "[0, 0, 1, 1, 0, 0, 0, 0]");
  nn::Lstm without(rng, 3, 2, {.bias = false});
  CHECK_THROWS_WITH(nn::set_forget_bias(without), Contains("no biases"));
}

TEST_CASE("recurrent layers refuse options out of range, and say which", "[nn]") {
  Rng rng(1);
  CHECK_THROWS_WITH(nn::Lstm(rng, 3, 5, {.weight_dropout = 1}), Contains("Lstm: weight_dropout of 1"));
  CHECK_THROWS_WITH(nn::Gru(rng, 3, 5, {.zoneout = {.h = -0.1}}), Contains("Gru: zoneout.h of -0.1"));
  CHECK_THROWS_WITH(nn::Gru(rng, 3, 5, {.zoneout = {.c = 2}}), Contains("zoneout.c of 2"));
  CHECK_THROWS_WITH(nn::Gru(rng, 3, 5, {.projection = 2}), Contains("Gru: only an Lstm has a projection"));
  CHECK_THROWS_WITH(nn::Lstm(rng, 3, 5, {.projection = 5}), Contains("a projection to 5 of width 5"));
  CHECK_THROWS_WITH(nn::Lstm(rng, 3, 5, {.projection = -1}), Contains("a projection to -1"));
}

namespace {

/// The largest difference between ragged sequences in one batch and each by itself: the results, the states
/// and the gradient of the input. With weight dropout, whose weights are the same for all.
template <class Layer>
double difference_when_ragged(const nn::RecurrentOptions& options) {
  Rng rng(3);
  Layer layer(rng, 3, 4, options);
  convert(layer, Dtype::f64);
  for (Parameter& start : layer.starts)
    if (start.value().defined()) start.mutable_value() = rng.normal(start.shape(), 0, 1, Dtype::f64);
  const Tensor x = rng.normal({4, 3, 3}, 0, 1, Dtype::f64);
  const bool drops = options.weight_dropout > 0;
  double worst = 0;
  for (const std::vector<std::int32_t>& lengths :
       std::vector<std::vector<std::int32_t>>{{2, 0, 3}, {0, 0, 0}, {1, 4, 2}}) {
    Rng of_all(9);
    Tape tape;
    const Variable v = tape.watch(x);
    auto [out, last] = layer(v, layer.start(3), drops ? &of_all : nullptr, Indices(lengths));
    const Tensor dx = tape.backward(sum(square(out)) + sum(*Layer::State::parts(last)[0]))[v];
    for (std::int64_t b = 0; b < 3; ++b) {
      const auto own = [&](const Tensor& t, std::int64_t steps) {
        return slice(slice(t, 1, b, b + 1), 0, 0, steps);
      };
      const std::int64_t steps = lengths[static_cast<std::size_t>(b)];
      if (steps == 0) {
        worst = std::max({worst, max(abs(own(out.value(), 4))).item(), max(abs(own(dx, 4))).item()});
        continue;
      }
      Rng of_one(9);
      Tape other;
      const Variable w = other.watch(own(x, steps));
      auto [alone, end] = layer(w, layer.start(1), drops ? &of_one : nullptr);
      const Tensor dw = other.backward(sum(square(alone)) + sum(*Layer::State::parts(end)[0]))[w];
      worst = std::max(
          {worst, difference(own(out.value(), steps), alone.value()), difference(own(dx, steps), dw)});
      for (std::size_t k = 0; k < nn::part_count<typename Layer::State>; ++k) {
        const Tensor& state = Layer::State::parts(last)[k]->value();
        worst = std::max(worst, difference(own(state, state.dim(0)), Layer::State::parts(end)[k]->value()));
      }
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("with each option ragged sequences give what each gives by itself", "[nn]") {
  for (const bool both : {false, true}) {
    INFO((both ? "both directions" : "one direction"));
    const nn::RecurrentOptions zoneout{.layers = 2, .bidirectional = both, .zoneout = {.h = 0.3}},
        no_bias{.layers = 2, .bidirectional = both, .bias = false},
        dropped{.layers = 2, .bidirectional = both, .weight_dropout = 0.5, .learned_start = true};
    nn::RecurrentOptions narrow = no_bias;
    narrow.zoneout = {.h = 0.3, .c = 0.2};
    narrow.projection = 2;
    narrow.learned_start = true;
    CHECK(difference_when_ragged<nn::Lstm>(narrow) < 1e-12);
    CHECK(difference_when_ragged<nn::Lstm>(dropped) < 1e-12);
    CHECK(difference_when_ragged<nn::Gru>(zoneout) < 1e-12);
    CHECK(difference_when_ragged<nn::Gru>(dropped) < 1e-12);
    CHECK(difference_when_ragged<nn::Rnn>(no_bias) < 1e-12);
    CHECK(difference_when_ragged<nn::PeepholeLstm>(zoneout) < 1e-12);
    CHECK(difference_when_ragged<nn::NormLstm>(dropped) < 1e-12);
    CHECK(difference_when_ragged<nn::NormGru>(zoneout) < 1e-12);
    CHECK(difference_when_ragged<nn::NormRnn>(no_bias) < 1e-12);
  }
  Rng rng(1);
  CHECK_THROWS_WITH(nn::Gru(rng, 3, 4, {.zoneout = {.c = 0.5}}), Contains("Gru: zoneout.c"));
}
