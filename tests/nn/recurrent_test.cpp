#include <algorithm>
#include <limits>

#include "autograd/gradcheck.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/recurrent.hpp"

using namespace gradus;
using gradus::test::CellFunction;
using gradus::test::difference;
using gradus::test::fixture;
using gradus::test::for_each_recurrent_layer;

namespace {

/// The layer with the fixture's weights, and its outputs and gradients beside PyTorch's.
template <class Layer>
void check_layer(Layer layer, const std::string& name, Dtype dtype, const Indices& lengths = {}) {
  INFO(name << " in " << name_of(dtype));
  using State = typename Layer::State;
  const double tolerance = dtype == Dtype::f64 ? 1e-12 : 1e-5;
  const std::array part_names{"h", "c"};
  const auto value = [&](const std::string& part) { return fixture(name + "/" + part).to(dtype); };
  const auto compare = [&](const Tensor& found, const std::string& part) {
    INFO(part);
    CHECK(difference(found.to(Dtype::f64), fixture(name + "/" + part)) < tolerance);
  };
  for_each_parameter(layer, [&](const std::string& path, Parameter& parameter) {
    INFO(path);
    REQUIRE(value(path).shape() == parameter.shape());
    parameter.mutable_value() = value(path);
  });
  Tape tape;
  const Variable x = tape.watch(value("x"));
  State start;
  for (std::size_t i = 0; i < nn::part_count<State>; ++i)
    *State::parts(start)[i] = tape.watch(value(std::string(part_names[i]) + "0"));
  const auto [out, last] = layer(x, start, nullptr, lengths);
  compare(out.value(), "out");
  Variable loss = sum(out * Variable(value("w_out")));
  for (std::size_t i = 0; i < nn::part_count<State>; ++i) {
    const Variable& part = *State::parts(last)[i];
    compare(part.value(), std::string(part_names[i]) + "n");
    loss = loss + sum(part * Variable(value(std::string("w_") + part_names[i])));
  }
  const Gradients gradients = tape.backward(loss);
  compare(gradients[x], "d_x");
  for (std::size_t i = 0; i < nn::part_count<State>; ++i)
    compare(gradients[*State::parts(start)[i]], std::string("d_") + part_names[i] + "0");
  int count = 0;
  for_each_parameter(layer, [&](const std::string& path, const Parameter& parameter) {
    compare(gradients[parameter], "d_" + path);
    ++count;
  });
  int own = 0;
  if constexpr (Module<decltype(layer.layers[0].cell)>)
    decltype(layer.layers[0].cell)::members(layer.layers[0].cell, [&](auto, auto&) { ++own; });
  const bool biased = layer.layers[0].bias_ih.value().defined();
  CHECK(count == ((biased ? 4 : 2) + own) * static_cast<int>(layer.layers.size()));
}

constexpr std::array dtypes{Dtype::f64, Dtype::f32};

}  // namespace

TEST_CASE("recurrent layers' outputs and gradients are PyTorch's", "[nn]") {
  Rng rng(1);
  for (const Dtype dtype : dtypes) {
    for_each_recurrent_layer(
        [&]<class Case>(const Case& of) { check_layer(typename Case::Layer(rng, 4, 6), of.name, dtype); });
    check_layer(nn::Lstm(rng, 4, 6, {.layers = 2}), "lstm_2", dtype);
    check_layer(nn::Gru(rng, 4, 6, {.layers = 2}), "gru_2", dtype);
    check_layer(nn::Rnn(rng, 4, 6, {.layers = 2}, nn::Activation::relu), "rnn_relu_2", dtype);
  }
}

TEST_CASE("layers of both directions and sequences of several lengths are PyTorch's", "[nn]") {
  Rng rng(1);
  const Indices lengths({3, 5, 1});  // not sorted
  for (const Dtype dtype : dtypes) {
    check_layer(nn::Lstm(rng, 4, 6, {.bidirectional = true}), "lstm_both", dtype);
    check_layer(nn::Lstm(rng, 4, 6, {.layers = 2, .bidirectional = true}), "lstm_both_ragged_2", dtype,
                lengths);
    check_layer(nn::Lstm(rng, 4, 6), "lstm_ragged", dtype, lengths);
    check_layer(nn::Gru(rng, 4, 6, {.layers = 2, .bidirectional = true}), "gru_both_ragged_2", dtype,
                lengths);
    check_layer(nn::Rnn(rng, 4, 6, {.layers = 2, .bidirectional = true}), "rnn_both_ragged_2", dtype,
                lengths);
  }
}

namespace {

/// f(inputs), then the gradient of the sum of its squares with respect to each input.
template <class F>
std::vector<Tensor> value_and_gradients(const F& f, const std::vector<Tensor>& inputs) {
  Tape tape;
  std::vector<Variable> xs;
  for (const Tensor& x : inputs) xs.push_back(tape.watch(x));
  const Variable y = f(xs);
  const Gradients gradients = tape.backward(sum(y * y));
  std::vector<Tensor> out{y.value()};
  for (const Variable& x : xs) out.push_back(gradients[x]);
  return out;
}

/// A fused cell beside its plain ops, over (time, batch, 5) to `width` units, gradients too.
template <class Cell>
void check_fused(const CellFunction<Cell>& fused, std::int64_t steps, std::int64_t batch, std::int64_t width,
                 double bound) {
  INFO(Cell::op << ", " << steps << " steps, batch " << batch << ", width " << width << ", reverse "
                << fused.reverse << ", lengths " << fused.lengths.size());
  Rng rng(5);
  std::vector<Tensor> inputs;
  for (const Shape& shape : fused.shapes({steps, batch, 5}, batch, width))
    inputs.push_back(rng.uniform(shape, -bound, bound, Dtype::f64));
  CellFunction<Cell> by_ops = fused;
  by_ops.by_ops = true;
  const std::vector<Tensor> a = value_and_gradients(fused, inputs), b = value_and_gradients(by_ops, inputs);
  CHECK(difference(a[0], b[0]) < 1e-13);
  for (std::size_t i = 1; i < a.size(); ++i) {
    INFO("gradient of input " << i - 1);
    const double size = std::max(max(abs(b[i])).item(), 1.0);
    CHECK(difference(a[i], b[i]) < 1e-13 * size);
  }
}

}  // namespace

TEST_CASE("a fused sequence equals the same in plain ops", "[nn]") {
  const auto check = [](const auto& cell) {
    for (const bool reverse : {false, true}) {
      using Function = CellFunction<std::decay_t<decltype(cell)>>;
      const Function f{.cell = cell, .reverse = reverse};
      check_fused(f, 7, 3, 9, 1);
      check_fused(f, 1, 2, 9, 1);       // a lone step, whose weights are not packed
      check_fused(f, 3, 40, 150, 0.1);  // shared among threads
      check_fused(Function{.cell = cell, .reverse = reverse, .lengths = {7, 7, 4, 1, 0}}, 8, 5, 9, 1);
    }
  };
  for_each_recurrent_layer([&]<class Case>(const Case&) {
    if constexpr (nn::FusedCell<typename Case::Cell>) check(typename Case::Cell());
  });
  check(nn::RnnCell(nn::Activation::relu));
}

TEST_CASE("derivatives of first and second order are right over random shapes, lengths and directions",
          "[nn][gradient]") {
  Rng rng(17);
  for_each_recurrent_layer([&]<class Case>(const Case& of) {
    // Those in plain ops of plain ops take long, and have little of their own.
    const int rounds = Case::Cell::biased ? 8 : 3;
    for (int round = 0; round < rounds; ++round) {
      const auto draw = [&] { return 1 + static_cast<std::int64_t>(rng.below(3)); };
      const std::int64_t steps = draw() + 1, batch = draw(), width = draw();
      std::vector<std::int32_t> lengths;
      for (std::int64_t i = 0; i < batch; ++i)
        lengths.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(steps) + 1)));
      std::ranges::sort(lengths, std::ranges::greater());
      const CellFunction<typename Case::Cell> f{
          .cell = of.smooth, .reverse = round % 2 == 1, .lengths = Indices(lengths)};
      std::vector<Tensor> inputs;
      for (const Shape& shape : f.shapes({steps, batch, draw()}, batch, width))
        inputs.push_back(rng.uniform(shape, -0.8, 0.8, Dtype::f64));
      const GradcheckResult result = gradcheck(f, inputs);
      INFO(of.name << ": " << result.message);
      CHECK(result.passed);
    }
  });
}

TEST_CASE("second derivatives by some inputs of fused layers are those of the plain steps", "[nn]") {
  Rng rng(29);
  const auto check = [&]<class Cell>(const Cell& cell) {
    CellFunction<Cell> f{.cell = cell, .lengths = {4, 2, 1}};
    Variables xs;
    for (const Shape& shape : f.shapes({4, 3, 2}, 3, 2))
      xs.emplace_back(rng.uniform(shape, -0.8, 0.8, Dtype::f64));
    // Each input by itself, so that the others, weights and states, are constants and have no direction.
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const Variable v(rng.normal(xs[i].shape(), 0, 1, Dtype::f64));
      const auto product = [&] {
        const auto loss = [&](const Variable& at) {
          Variables all = xs;
          all[i] = at;
          return sum(square(f(all)));
        };
        return hvp(loss, xs[i], v);
      };
      f.by_ops = false;
      const Variable fused = product();
      f.by_ops = true;
      INFO(Cell::op << ", input " << i);
      CHECK(difference(fused.value(), product().value()) < 1e-12);
    }
  };
  check(nn::LstmCell());
  check(nn::GruCell());
  check(nn::RnnCell());
  check(nn::RnnCell(nn::Activation::relu));
}

TEST_CASE("third derivatives of fused layers are those of the plain steps", "[nn]") {
  Rng rng(23);
  const auto check = [&]<class Cell>(const Cell& cell) {
    CellFunction<Cell> f{.cell = cell, .reverse = true, .lengths = {3, 2, 0}};
    Variables xs, vs, ws;
    for (const Shape& shape : f.shapes({3, 3, 2}, 3, 2)) {
      xs.emplace_back(rng.uniform(shape, -0.8, 0.8, Dtype::f64));
      vs.emplace_back(rng.normal(shape, 0, 1, Dtype::f64));
      ws.emplace_back(rng.normal(shape, 0, 1, Dtype::f64));
    }
    const auto third = [&] {
      const auto loss = [&](std::span<const Variable> at) { return sum(square(f(at))); };
      return grad(
          [&](std::span<const Variable> at) {
            const Variables products = hvp(loss, at, std::span<const Variable>(vs));
            Variable total(zeros({}, Dtype::f64));
            for (std::size_t i = 0; i < ws.size(); ++i) total = total + sum(products[i] * ws[i]);
            return total;
          },
          xs);
    };
    const Variables fused = third();
    f.by_ops = true;
    const Variables plain = third();
    for (std::size_t i = 0; i < xs.size(); ++i) {
      INFO(Cell::op << ", input " << i);
      CHECK(difference(fused[i].value(), plain[i].value()) < 1e-10);
    }
  };
  check(nn::LstmCell());
  check(nn::GruCell());
  check(nn::RnnCell());
}

TEST_CASE("a batch of sequences of several lengths equals each by itself, whatever stands past their ends",
          "[nn]") {
  Rng rng(3);
  const auto check = [&](auto layer) {
    convert(layer, Dtype::f64);
    using State = typename decltype(layer)::State;
    const std::vector<std::int32_t> lengths{2, 5, 0, 4, 5};
    const auto batch = static_cast<std::int64_t>(lengths.size());
    Tensor x = rng.normal({6, batch, 3}, 0, 1, Dtype::f64);
    for (std::int64_t t = 0; t < 6; ++t) {
      for (std::int64_t i = 0; i < batch; ++i) {
        if (t < lengths[static_cast<std::size_t>(i)]) continue;
        const std::int64_t at = (t * batch + i) * 3;
        std::fill_n(x.mutable_data<double>() + at, 3, std::numeric_limits<double>::quiet_NaN());
      }
    }
    State start;
    for (Variable* part : State::parts(start)) *part = Variable(rng.normal({4, batch, 4}, 0, 1, Dtype::f64));
    Tape tape;
    const Variable watched = tape.watch(x);
    const auto [out, last] = layer(watched, start, nullptr, Indices(lengths));
    const Gradients gradients = tape.backward(sum(square(out)));
    CHECK(all_finite(gradients[watched]));
    for_each_parameter(layer,
                       [&](const std::string&, const Parameter& p) { CHECK(all_finite(gradients[p])); });
    for (std::int64_t i = 0; i < batch; ++i) {
      INFO("sequence " << i);
      const std::int64_t length = lengths[static_cast<std::size_t>(i)];
      const auto own = [&](const Tensor& of_batch) { return slice(of_batch, 1, i, i + 1); };
      CHECK(max(abs(concat({own(out.value()).rows(length, 6), zeros({1, 1, 8}, Dtype::f64)}, 0))).item() ==
            0);
      State alone = start;
      for (Variable* part : State::parts(alone)) *part = Variable(own(part->value()));
      if (length > 0) {
        const auto [expected, after] = layer(Variable(own(x).rows(0, length)), alone);
        CHECK(difference(own(out.value()).rows(0, length), expected.value()) < 1e-13);
        alone = after;
      }
      for (std::size_t k = 0; k < nn::part_count<State>; ++k)
        CHECK(difference(own(State::parts(last)[k]->value()), State::parts(alone)[k]->value()) < 1e-13);
    }
  };
  const nn::RecurrentOptions options{.layers = 2, .bidirectional = true};
  for_each_recurrent_layer([&]<class Case>(const Case&) { check(typename Case::Layer(rng, 3, 4, options)); });
}

TEST_CASE("steps by themselves equal the sequence, and the state is carried", "[nn]") {
  Rng rng(8);
  const nn::Lstm lstm(rng, 3, 5, {.layers = 2});
  const Variable x(rng.normal({6, 4, 3}));
  const auto [out, last] = lstm(x, lstm.start(4));
  nn::Lstm::State state = lstm.start(4);
  for (std::int64_t t = 0; t < 6; ++t) {
    const auto [h, next] = lstm.step(select(x, t), state);
    CHECK(difference(h.value(), out.value()[t]) < 1e-6);
    state = next;
  }
  CHECK(difference(state.c.value(), last.c.value()) < 1e-6);
  const nn::Lstm both(rng, 3, 5, {.bidirectional = true});
  CHECK_THROWS_WITH(both.step(select(x, 0), both.start(4)),
                    Catch::Contains("Lstm") && Catch::Contains("both directions"));
}

TEST_CASE("a recurrent layer over a table of embeddings equals it over the embeddings", "[nn]") {
  Rng rng(6);
  const nn::Embedding many(rng, 20, 4);  // more than ids, so that they are gathered first
  nn::Embedding few(rng, 5, 4);
  const nn::Lstm lstm(rng, 4, 3, {.layers = 2});
  const Indices ids({0, 4, 1, 1, 0, 3, 2, 2}, {4, 2});
  CHECK(nn::projects_table(few, ids));
  CHECK_FALSE(nn::projects_table(many, ids));
  const auto gradients = [&](const auto& layer, bool table, const Indices& lengths) {
    Tape tape;
    const auto start = layer.start(2);
    const Variable h =
        (table ? layer(few, ids, start, nullptr, lengths) : layer(few(ids), start, nullptr, lengths)).first;
    const Gradients grads = tape.backward(sum(h * h));
    return std::vector<Tensor>{h.value(), grads[few.weight], grads[layer.layers[0].weight_ih],
                               grads[layer.layers[0].weight_hh], grads[layer.layers[0].bias_hh]};
  };
  const auto compare = [&](const auto& layer) {
    for (const Indices& lengths : {Indices(), Indices({2, 4})}) {
      const std::vector<Tensor> a = gradients(layer, true, lengths), b = gradients(layer, false, lengths);
      for (std::size_t i = 0; i < a.size(); ++i) CHECK(difference(a[i], b[i]) < 1e-6);
    }
  };
  compare(lstm);
  compare(nn::Rnn(rng, 4, 3));
  compare(nn::Gru(rng, 4, 3, {.bidirectional = true}));
  CHECK_THROWS_AS(lstm(many, Indices({1, 2}, {2}), lstm.start(2)), ShapeError);
  CHECK_THROWS_AS(lstm(few, Indices({1, 2, 0, 0, 1, 3}, {6}), lstm.start(2)), ShapeError);
}

TEST_CASE("a recurrent layer's parameters have PyTorch's names, and all are counted", "[nn]") {
  Rng rng(1);
  const auto names = [](const auto& layer) {
    std::vector<std::string> out;
    for_each_parameter(layer, [&](const std::string& path, const Parameter&) { out.push_back(path); });
    return out;
  };
  const nn::Lstm lstm(rng, 3, 5, {.layers = 2});
  CHECK(names(lstm) == std::vector<std::string>{"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
                                                "weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"});
  CHECK(count_parameters(lstm) == 20 * 3 + 20 * 5 + 40 + 20 * 5 + 20 * 5 + 40);
  const nn::Gru both(rng, 3, 5, {.layers = 2, .bidirectional = true});
  CHECK(names(both)[4] == "weight_ih_l0_reverse");
  CHECK(names(both)[15] == "bias_hh_l1_reverse");
  CHECK(count_parameters(both) == 2 * (15 * 3 + 15 * 5 + 30 + 15 * 10 + 15 * 5 + 30));
}

TEST_CASE("recurrent layers refuse what does not fit, and say which", "[nn]") {
  Rng rng(1);
  const nn::Lstm lstm(rng, 3, 5);
  const nn::Rnn rnn(rng, 3, 5);
  const Variable x(zeros({2, 4, 3}));
  CHECK_THROWS_WITH(lstm(Variable(zeros({2, 4, 2})), lstm.start(4)),
                    Catch::Contains("Lstm") && Catch::Contains("(time, batch, 3)"));
  CHECK_THROWS_WITH(lstm(x, lstm.start(3)), Catch::Contains("Lstm") && Catch::Contains("(1, 4, 5)"));
  CHECK_THROWS_WITH(rnn(Variable(zeros({0, 4, 3})), rnn.start(4)), Catch::Contains("Rnn"));
  // An input that is batch-first, to a state, or with lengths, for its two sequences.
  const auto time_major = Catch::Contains(
      "4 steps of 2 sequences: sequences are time-major, (time, batch, width), so turn one that is "
      "batch-first with "
      "transpose(x, 0, 1)");
  const Variable batch_first(zeros({4, 2, 3}));
  CHECK_THROWS_WITH(lstm(batch_first, lstm.start(4)), time_major);
  CHECK_THROWS_WITH(lstm(batch_first, lstm.start(2), nullptr, Indices({2, 2, 1, 1})), time_major);
  CHECK_THROWS_WITH(lstm(batch_first, lstm.start(3)), !Catch::Contains("time-major"));
  CHECK_THROWS_AS(nn::Lstm(rng, 0, 5), ArgumentError);
  CHECK_THROWS_AS(nn::Lstm(rng, 3, 5, {.layers = 0}), ArgumentError);
  CHECK_THROWS_WITH(nn::Lstm(rng, 3, 5, {.dropout = 1}),
                    Catch::Contains("Lstm") && Catch::Contains("dropout"));
  const Variable precise(zeros({1, 4, 5}, Dtype::f64));
  CHECK_THROWS_AS(lstm(x, {precise, precise}), DtypeError);
  for (const Indices& lengths : {Indices({2, 2, 2}), Indices({2, 2, 2, 3}), Indices({2, 2, -1, 2})}) {
    CHECK_THROWS_WITH(rnn(x, rnn.start(4), nullptr, lengths),
                      Catch::Contains("Rnn") && Catch::Contains("each of the 4 sequences"));
  }
}
