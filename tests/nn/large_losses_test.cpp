#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "nn/adaptive_softmax.hpp"
#include "nn/ctc.hpp"
#include "nn/losses.hpp"
#include "nn/sampled_softmax.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_module.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::check_torch_module;
using gradus::test::difference;
using gradus::test::fixture;
using gradus::test::fixture_ids;
using gradus::test::NamedResults;

namespace {

using Inputs = std::vector<Variable>;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The probability of a target, as the sum over all paths.
double by_enumeration(const Tensor& log_probs, const std::vector<int>& target, int blank) {
  const std::int64_t steps = log_probs.dim(0), classes = log_probs.dim(1);
  double total = 0;
  for (std::int64_t code = 0; code < static_cast<std::int64_t>(std::pow(classes, steps)); ++code) {
    std::vector<int> spelled;
    double log_p = 0;
    int before = blank;
    std::int64_t rest = code;
    for (std::int64_t t = 0; t < steps; ++t, rest /= classes) {
      const int label = static_cast<int>(rest % classes);
      log_p += log_probs[t].at(label);
      if (label != blank && label != before) spelled.push_back(label);
      before = label;
    }
    if (spelled == target) total += std::exp(log_p);
  }
  return total;
}

}  // namespace

TEST_CASE("ctc and its gradient are PyTorch's", "[nn]") {
  using nn::Reduction;
  const std::map<std::string, nn::CtcOptions> cases{{"ctc", {}},
                                                    {"ctc_sum", {.reduction = Reduction::sum}},
                                                    {"ctc_none", {.blank = 2, .reduction = Reduction::none}},
                                                    {"ctc_long", {}},
                                                    {"ctc_impossible", {.zero_infinity = true}},
                                                    {"ctc_empty", {.reduction = Reduction::none}},
                                                    {"ctc_single", {}}};
  for (const auto& entry : cases) {
    const std::string& name = entry.first;
    const nn::CtcOptions& options = entry.second;
    const auto ids = [&](const char* what) { return fixture_ids("loss_" + name + "/" + what); };
    check_torch_module("loss_" + name, test::NoModule(), {"logits"}, [&](const auto&, const Inputs& in) {
      return NamedResults{
          {"value", nn::ctc(log_softmax(in[0]), ids("targets"), ids("steps"), ids("lengths"), options)}};
    });
  }
}

TEST_CASE("ctc is the sum over all paths that spell the target", "[nn]") {
  Rng rng(3);
  const Tensor log_probs = log_softmax(rng.normal({5, 1, 3}, 0, 1, Dtype::f64));
  for (const std::vector<int>& target :
       std::vector<std::vector<int>>{{}, {1}, {1, 2}, {2, 2}, {1, 1, 1}, {2, 1, 2, 1}}) {
    const Indices labels(std::vector<std::int32_t>(target.begin(), target.end()));
    const Indices length({static_cast<std::int32_t>(target.size())});
    const double loss =
        nn::ctc(Variable(log_probs), labels, Indices({5}), length, {.reduction = nn::Reduction::sum}).item();
    CHECK(std::exp(-loss) == Approx(by_enumeration(log_probs.reshape({5, 3}), target, 0)).epsilon(1e-12));
  }
  // A class that is impossible at a step.
  Tensor some = log_probs;
  some.mutable_data<double>()[1] = -infinity;
  const double loss =
      nn::ctc(Variable(some), Indices({1, 2}), Indices({5}), Indices({2}), {.reduction = nn::Reduction::sum})
          .item();
  CHECK(std::exp(-loss) == Approx(by_enumeration(some.reshape({5, 3}), {1, 2}, 0)).epsilon(1e-12));
}

TEST_CASE("a target that its sequence is too short for has an infinite loss, alone", "[nn]") {
  Rng rng(4);
  const Tensor x = rng.normal({3, 2, 4}, 0, 1, Dtype::f64);
  for (const bool zero : {false, true}) {
    Tape tape;
    const Variable log_probs = tape.watch(x);
    const Variable losses =
        nn::ctc(log_probs, Indices({1, 1, 2, 1, 2, 0}, {2, 3}), Indices({3, 3}), Indices({3, 2}),
                {.reduction = nn::Reduction::none, .zero_infinity = zero});
    CHECK(losses.value().at(0) == (zero ? 0 : infinity));
    CHECK(std::isfinite(losses.value().at(1)));
    const Tensor g = tape.backward(sum(losses))[log_probs];
    for (std::int64_t t = 0; t < 3; ++t) {
      CHECK(all_finite(g[t][1]));
      CHECK(sum(g[t][1]).item() == Approx(-1));  // minus a distribution over the classes
      for (std::int64_t k = 0; k < 4; ++k) CHECK((zero ? g[t][0].at(k) == 0 : std::isnan(g[t][0].at(k))));
    }
  }
}

TEST_CASE("ctc gives the same bits for any number of threads", "[nn][threads]") {
  Rng rng(5);
  const Tensor x = log_softmax(rng.normal({40, 16, 10}));
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 16 * 12; ++i) labels.push_back(1 + i * 5 % 9);
  test::check_same_bits([&] {
    Tape tape;
    const Variable log_probs = tape.watch(x);
    const Variable loss =
        nn::ctc(log_probs, Indices(labels, {16, 12}), Indices(std::vector<std::int32_t>(16, 40)),
                Indices(std::vector<std::int32_t>(16, 12)));
    return std::vector{loss.value(), tape.backward(loss)[log_probs]};
  });
}

TEST_CASE("ctc refuses what does not fit, and says what does", "[nn]") {
  const Variable x(zeros({4, 2, 3}));
  const Indices targets({1, 2, 2, 1}, {2, 2}), steps({4, 4}), lengths({2, 2});
  CHECK_THROWS_WITH(
      nn::ctc(Variable(zeros({4, 3})), targets, steps, lengths),
      Contains("(4, 3)") && Contains("(time, batch, classes)") && Contains("large_losses_test"));
  CHECK_THROWS_WITH(nn::ctc(x, targets, steps, lengths, {.blank = 3}), Contains("the blank is 3"));
  CHECK_THROWS_WITH(nn::ctc(x, targets, Indices({4, 5}), lengths),
                    Contains("input_lengths is 5") && Contains("0 to 4"));
  CHECK_THROWS_WITH(nn::ctc(x, targets, steps, Indices({3, 1})), Contains("target_lengths is 3"));
  CHECK_THROWS_WITH(nn::ctc(x, targets, Indices({4}), lengths), Contains("each of the 2 sequences"));
  CHECK_THROWS_WITH(nn::ctc(x, Indices({1, 2, 1}), steps, lengths), Contains("(3,)") && Contains("4 labels"));
  CHECK_THROWS_WITH(nn::ctc(x, Indices({1, 2, 1, 3}, {2, 2}), steps, lengths),
                    Contains("label 1 of target 1 is 3") && Contains("0..2"));
  CHECK_THROWS_WITH(nn::ctc(x, Indices({1, 0, 1, 2}, {2, 2}), steps, lengths), Contains("not the blank"));
  CHECK_THROWS_WITH(nn::ctc(Variable(zeros({4, 0, 3})), Indices({}, {0, 2}), Indices({}), Indices({})),
                    Contains("the mean of no losses"));
}

TEST_CASE("the adaptive softmax is PyTorch's", "[nn]") {
  Rng rng(1);
  const auto check = [](const std::string& name, const nn::AdaptiveSoftmax& made) {
    const Indices targets = fixture_ids(name + "/targets");
    check_torch_module(name, made, {"x"}, [&](const nn::AdaptiveSoftmax& softmax, const Inputs& in) {
      const auto [output, loss] = softmax(in[0], targets);
      const Indices predicted = softmax.predict(in[0].value()), expected = fixture_ids(name + "/predicted");
      CHECK(std::ranges::equal(predicted.values(), expected.values()));
      return NamedResults{{"output", output}, {"loss", loss}, {"log_prob", softmax.log_prob(in[0])}};
    });
  };
  check("adaptive_softmax", nn::AdaptiveSoftmax(rng, 8, 12, {4, 7}, {.div_value = 2}));
  check("adaptive_softmax_bias", nn::AdaptiveSoftmax(rng, 16, 10, {3}, {.head_bias = true}));
  check("adaptive_softmax_three", nn::AdaptiveSoftmax(rng, 6, 9, {1, 2, 5}, {.div_value = 1.5}));
  // Any shape before the last axis.
  const nn::AdaptiveSoftmax softmax(rng, 8, 12, {4, 7}, {.div_value = 2});
  const Variable x(rng.normal({2, 3, 8}));
  const Indices targets({0, 11, 4, 7, 6, 3}, {2, 3});
  const Variable all = softmax.log_prob(x), flat = softmax.log_prob(Variable(x.value().reshape({6, 8})));
  CHECK(identical(all.value().reshape({6, 12}), flat.value()));
  CHECK(difference(softmax(x, targets).output.value(), pick(all.value(), -1, targets)) < 1e-6);
  CHECK(difference(sum(exp(all.value()), -1), ones({2, 3})) < 1e-6);
}

TEST_CASE("the adaptive softmax refuses what does not fit, and says what does", "[nn]") {
  Rng rng(1);
  CHECK_THROWS_WITH(nn::AdaptiveSoftmax(rng, 8, 12, {}), Contains("no cutoffs"));
  CHECK_THROWS_WITH(nn::AdaptiveSoftmax(rng, 8, 12, {4, 4}), Contains("a cutoff of 4 behind 4"));
  CHECK_THROWS_WITH(nn::AdaptiveSoftmax(rng, 8, 12, {4, 12}), Contains("below the 12 classes"));
  CHECK_THROWS_WITH(nn::AdaptiveSoftmax(rng, 8, 12, {4, 7}),
                    Contains("cluster 1 reads 8 inputs through a width of 0"));
  CHECK_THROWS_WITH(nn::AdaptiveSoftmax(rng, 8, 12, {4}, {.div_value = 0}), Contains("div_value is 0"));
  CHECK_THROWS_WITH(nn::AdaptiveSoftmax(rng, 8, 12, {4}, {.div_value = 1e-200}), Contains("too small"));
  CHECK_THROWS_WITH(nn::AdaptiveSoftmax(rng, 8, 12, {4}, {.div_value = 9}), Contains("too large"));
  const nn::AdaptiveSoftmax softmax(rng, 8, 12, {4});
  CHECK_THROWS_WITH(softmax(Variable(zeros({2, 7})), Indices({0, 1})),
                    Contains("AdaptiveSoftmax") && Contains("(2, 7)") && Contains("must be 8"));
  CHECK_THROWS_WITH(softmax(Variable(zeros({2, 8})), Indices({0, 12})), Contains("target 12 at position 1"));
  CHECK_THROWS_WITH(softmax(Variable(zeros({2, 8})), Indices({0})), Contains("without the last axis"));
  CHECK_THROWS_WITH(softmax(Variable(zeros({0, 8})), Indices({}, {0})), Contains("no targets"));
}

TEST_CASE("noise is drawn in its proportions, and distinct draws are", "[nn]") {
  const auto zipf = nn::Noise::log_uniform(50);
  double total = 0;
  for (std::int64_t k = 0; k < 50; ++k) {
    const double p = std::exp(zipf.log_prob(k)), n = static_cast<double>(k);
    CHECK(p == Approx(std::log((n + 2) / (n + 1)) / std::log(51.0)).epsilon(1e-12));
    total += p;
  }
  CHECK(total == Approx(1));
  Rng rng(2);
  const auto noise = nn::Noise::of({1, 0, 3, 4});
  const nn::Candidates drawn = noise.draw(rng, 20'000);
  std::array<double, 4> counts{};
  for (const std::int32_t id : drawn.ids.values()) ++counts[static_cast<std::size_t>(id)];
  for (std::int64_t k = 0; k < 4; ++k) {
    const double expected = std::exp(drawn.log_expected(k));
    CHECK(counts[static_cast<std::size_t>(k)] == Approx(expected).margin(300));
  }
  CHECK(counts[1] == 0);
  // Distinct ones: how often each is there is what was expected, on average.
  std::array<double, 4> there{}, expected{};
  const auto skew = nn::Noise::of({1, 2, 3, 4});
  for (int round = 0; round < 4000; ++round) {
    const nn::Candidates two = skew.draw(rng, 2, {.distinct = true});
    CHECK(two.ids.data()[0] != two.ids.data()[1]);
    for (const std::int32_t id : two.ids.values()) there[static_cast<std::size_t>(id)] += 1.0 / 4000;
    for (std::int64_t k = 0; k < 4; ++k)
      expected[static_cast<std::size_t>(k)] += std::exp(two.log_expected(k)) / 4000;
  }
  for (std::size_t k = 0; k < 4; ++k) CHECK(there[k] == Approx(expected[k]).epsilon(0.1));
  const nn::Candidates all = noise.draw(rng, 3, {.distinct = true});
  CHECK(std::ranges::equal(all.ids.values(), Indices({0, 2, 3}).values()));
  CHECK(all.log_expected(2) == 0);
  // A generator's state is all that is random.
  Rng again(rng.state());
  CHECK(std::ranges::equal(skew.draw(rng, 9).ids.values(), skew.draw(again, 9).ids.values()));

  CHECK_THROWS_WITH(nn::Noise::of({1, -1}), Contains("a weight of -1"));
  CHECK_THROWS_WITH(nn::Noise::of({1e308, 1e308}), Contains("more than a double holds"));
  CHECK_THROWS_WITH(nn::Noise::of({0, 0}), Contains("no weight is above 0"));
  CHECK_THROWS_WITH(nn::Noise::log_uniform(0), Contains("0 classes"));
  CHECK_THROWS_WITH(noise.draw(rng, 0), Contains("0 draws"));
  CHECK_THROWS_WITH(noise.draw(rng, 4, {.distinct = true}), Contains("4 distinct draws of 3 classes"));
}

namespace {

struct Sampled {
  Rng rng{6};
  Parameter x{rng.normal({2, 3, 5}, 0, 1, Dtype::f64)}, weight{rng.normal({8, 5}, 0, 0.5, Dtype::f64)},
      bias{rng.normal({8}, 0, 0.5, Dtype::f64)};
  Indices targets{Indices({0, 7, 3, 3, 1, 5}, {2, 3})};
  nn::Noise noise = nn::Noise::log_uniform(8);
};

}  // namespace

TEST_CASE("sampled softmax over all classes is the softmax, and its gradients are row-sparse", "[nn]") {
  Sampled s;
  for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
    const nn::Candidates all = s.noise.draw(s.rng, 8, {.distinct = true});
    Tape tape;
    const Variable expected = nn::cross_entropy(linear(s.x, s.weight, s.bias), s.targets, reduction);
    const Variable found =
        nn::sampled_softmax(s.x, s.weight, s.bias, s.targets, all, {.reduction = reduction});
    CHECK(difference(found.value(), expected.value()) < 1e-13);
    const Gradients g = tape.backward(sum(expected), {.keep = true}), sampled = tape.backward(sum(found));
    for (const Parameter* p : {&s.x, &s.weight, &s.bias}) CHECK(difference(sampled[*p], g[*p]) < 1e-13);
  }
  // Of a few: only their rows.
  const nn::Candidates few = s.noise.draw(s.rng, 2, {.distinct = true});
  Tape tape;
  const Gradients g = tape.backward(nn::sampled_softmax(s.x, s.weight, s.bias, s.targets, few));
  for (const Parameter* p : {&s.weight, &s.bias}) {
    const Gradient* const found = g.find(p->place());
    REQUIRE(found->is_sparse());
    CHECK(found->rows.ids.size() < 8);
  }
  // Without a bias, and in f32.
  const Variable y(s.x.value().to(Dtype::f32)), w(s.weight.value().to(Dtype::f32));
  CHECK(nn::sampled_softmax(y, w, Variable(), s.targets, s.noise.draw(s.rng, 8, {.distinct = true})).item() ==
        Approx(nn::cross_entropy(linear(y, w, Variable()), s.targets).item()).epsilon(1e-6));
}

TEST_CASE("the sum over sampled classes estimates that over all", "[nn]") {
  Sampled s;
  const Variable x(s.x.value()[0].rows(0, 1));  // one row
  const Tensor logits = linear(x.value(), s.weight.value(), s.bias.value());
  const Indices target({3});
  double others = 0;
  for (std::int64_t k = 0; k < 8; ++k) others += k == 3 ? 0 : std::exp(logits.at(k));
  double estimate = 0;
  constexpr int rounds = 4000;
  for (int round = 0; round < rounds; ++round) {
    const nn::Candidates drawn = s.noise.draw(s.rng, 5);
    const double loss = nn::sampled_softmax(x, s.weight, s.bias, target, drawn).item();
    // exp(loss) = (exp(target) + sum) / exp(target), the target's logit corrected like the others.
    estimate += std::expm1(loss) * std::exp(logits.at(3) - drawn.log_expected(3)) / rounds;
  }
  CHECK(estimate == Approx(others).epsilon(0.03));
}

TEST_CASE("noise-contrastive estimation has its expectation, and the gradient of likelihood with much noise",
          "[nn]") {
  Sampled s;
  const Variable x(s.x.value()[0].rows(0, 1));
  const Tensor logits = linear(x.value(), s.weight.value(), s.bias.value());
  const auto softplus = [](double v) { return std::log1p(std::exp(v)); };
  constexpr int k = 5, rounds = 4000;
  const auto log_expected = [&](std::int64_t w) { return std::log(double{k}) + s.noise.log_prob(w); };
  double expected = softplus(log_expected(3) - logits.at(3)), mean_loss = 0;
  for (std::int64_t w = 0; w < 8; ++w)
    expected += std::exp(log_expected(w)) * softplus(logits.at(w) - log_expected(w));
  for (int round = 0; round < rounds; ++round)
    mean_loss += nn::nce(x, s.weight, s.bias, Indices({3}), s.noise.draw(s.rng, k)).item() / rounds;
  CHECK(mean_loss == Approx(expected).epsilon(0.02));
  // Noise of which each class is there 1,000 times, and logits that are log-probabilities: the gradient of
  // the logits is p - 1 at the target and p elsewhere (Mnih and Teh 2012, eq. 12).
  nn::Candidates many = nn::Noise::of(std::vector<double>(8, 1)).draw(s.rng, 8000);
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < 8000; ++i) ids.push_back(i % 8);
  many.ids = Indices(std::move(ids));
  const Parameter bias(log_softmax(logits.reshape({8})));
  Tape tape;
  const Tensor g =
      tape.backward(nn::nce(Variable(zeros({1, 5}, Dtype::f64)), s.weight, bias, Indices({3}), many))[bias];
  for (std::int64_t w = 0; w < 8; ++w)
    CHECK(g.at(w) == Approx(std::exp(bias.value().at(w)) - (w == 3 ? 1 : 0)).margin(2e-3));
}

TEST_CASE("losses by samples refuse what does not fit, and say what does", "[nn]") {
  Sampled s;
  const nn::Candidates drawn = s.noise.draw(s.rng, 3);
  CHECK_THROWS_WITH(nn::sampled_softmax(s.x, Variable(zeros({8, 4}, Dtype::f64)), s.bias, s.targets, drawn),
                    Contains("sampled_softmax") && Contains("(8, 4)") && Contains("large_losses_test"));
  CHECK_THROWS_WITH(nn::nce(s.x, s.weight, Variable(zeros({7}, Dtype::f64)), s.targets, drawn),
                    Contains("nce") && Contains("(7,)"));
  CHECK_THROWS_WITH(nn::nce(s.x, s.weight, s.bias, Indices({1}), drawn), Contains("without the last axis"));
  CHECK_THROWS_WITH(nn::nce(s.x, s.weight, s.bias, Indices({0, 8, 0, 0, 0, 0}, {2, 3}), drawn),
                    Contains("id 8"));
  CHECK_THROWS_WITH(nn::nce(s.x, s.weight, s.bias, s.targets, nn::Noise::log_uniform(9).draw(s.rng, 3)),
                    Contains("candidates of 9 classes for a weight of 8"));
  CHECK_THROWS_WITH(nn::nce(s.x, s.weight, s.bias, s.targets, nn::Candidates()), Contains("candidates of 0"));
  CHECK_THROWS_WITH(
      nn::nce(s.x, s.weight, s.bias, s.targets, nn::Noise::of({1, 1, 1, 0, 1, 1, 1, 1}).draw(s.rng, 3)),
      Contains("class 3 is a target, and the noise never draws it"));
  CHECK_THROWS_WITH(nn::nce(Variable(zeros({0, 5}, Dtype::f64)), s.weight, s.bias, Indices({}), drawn),
                    Contains("no targets"));
}

TEST_CASE("cross_entropy with all options, of ids and of distributions, is PyTorch's", "[nn]") {
  const std::vector<std::pair<std::string, Reduction>> reductions{
      {"mean", Reduction::mean}, {"sum", Reduction::sum}, {"none", Reduction::none}};
  for (const std::string rank : {"2", "3"}) {
    for (const auto& [reduction_name, reduction] : reductions) {
      const std::string ids = "loss_cross_entropy_all_" + reduction_name + "_" + rank;
      CrossEntropyOptions options{.reduction = reduction, .label_smoothing = 0.1, .ignore_index = 3};
      options.weight = fixture(ids + "/weight");
      check_torch_module(ids, test::NoModule(), {"logits"}, [&](const auto&, const Inputs& in) {
        return NamedResults{{"value", nn::cross_entropy(in[0], fixture_ids(ids + "/targets"), options)}};
      });
      const std::string soft = "loss_cross_entropy_soft_" + reduction_name + "_" + rank;
      options = {.reduction = reduction, .label_smoothing = 0.2, .weight = fixture(soft + "/weight")};
      check_torch_module(soft, test::NoModule(), {"logits", "soft"}, [&](const auto&, const Inputs& in) {
        return NamedResults{{"value", nn::cross_entropy(in[0], softmax(in[1]), options)}};
      });
    }
  }
  const Variable x(zeros({2, 3}));
  CHECK_THROWS_WITH(nn::cross_entropy(x, ones({2, 4})), Contains("cross_entropy") && Contains("(2, 4)"));
  CHECK_THROWS_WITH(nn::cross_entropy(x, ones({2, 3}), {.label_smoothing = 2}),
                    Contains("label_smoothing 2"));
  CHECK_THROWS_WITH(nn::cross_entropy(x, ones({2, 3}), {.weight = ones({2})}),
                    Contains("weights of shape (2,)"));
}

TEST_CASE("ctc passes NaN on, in its loss and in its gradient", "[nn]") {
  Rng rng(6);
  for (const std::int64_t step : {0, 1, 2}) {
    for (const std::int64_t k : {0, 1}) {  // the blank, and the label
      for (const bool zero : {false, true}) {
        Tensor x = log_softmax(rng.normal({3, 1, 3}, 0, 1, Dtype::f64));
        x.mutable_data<double>()[step * 3 + k] = std::numeric_limits<double>::quiet_NaN();
        Tape tape;
        const Variable v = tape.watch(x);
        const Variable loss =
            nn::ctc(v, Indices({1}, {1, 1}), Indices({3}), Indices({1}), {.zero_infinity = zero});
        INFO("step " << step << ", class " << k);
        CHECK(std::isnan(loss.item()));
        CHECK_FALSE(all_finite(tape.backward(loss)[v]));
      }
    }
  }
}

TEST_CASE("the recorded gradient of an impossible target is that of the fused form", "[nn]") {
  Rng rng(7);
  const Tensor x = log_softmax(rng.normal({2, 2, 3}, 0, 1, Dtype::f64));
  for (const bool zero : {false, true}) {
    Tape tape;
    const Variable v = tape.watch(x);
    const Variable loss = sum(nn::ctc(v, Indices({1, 1, 1, 2}, {2, 2}), Indices({2, 2}), Indices({2, 2}),
                                      {.reduction = nn::Reduction::none, .zero_infinity = zero}));
    const Tensor recorded = grad(loss, v).value(), fused = tape.backward(loss)[v];
    for (std::int64_t i = 0; i < x.size(); ++i) {
      if (std::isnan(fused.at(i)))
        CHECK(std::isnan(recorded.at(i)));
      else
        CHECK(recorded.at(i) == Approx(fused.at(i)).epsilon(1e-12).margin(1e-15));
    }
    CHECK(all_finite(fused) == zero);
  }
}

TEST_CASE("a class that no draw can reach is not among distinct draws", "[nn]") {
  Rng rng(8);
  CHECK(nn::Noise::of({1, 1e-300, 1e-300}).draw(rng, 1, {.distinct = true}).ids.values()[0] == 0);
  CHECK_THROWS_WITH(nn::Noise::of({1, 1e-300, 1e-300}).draw(rng, 2, {.distinct = true}),
                    Contains("2 distinct draws of 1 classes"));
  CHECK_THROWS_WITH(nn::Noise::of({1e300, 1e-300}).draw(rng, 2, {.distinct = true}),
                    Contains("2 distinct draws of 1 classes"));
}

TEST_CASE("losses of large vocabularies refuse what they cannot use", "[nn]") {
  Rng rng(9);
  const auto drawn = nn::Noise::of({1, 1, 1}).draw(rng, 2);
  const Variable x(zeros({2, 4}, Dtype::f64)), weight(zeros({3, 4}));
  CHECK_THROWS_WITH(nn::nce(x, weight, Variable(), Indices({0, 1}), drawn),
                    Contains("nce: x is f64, the weight f32") && Contains("large_losses_test.cpp:"));
  CHECK_THROWS_AS(nn::sampled_softmax(x, weight, Variable(), Indices({0, 1}), drawn), DtypeError);
  CHECK_THROWS_WITH(nn::cross_entropy(x, zeros({2, 4}, Dtype::f64), {.ignore_index = 1}),
                    Contains("no ignore_index"));

  const nn::AdaptiveSoftmax softmax(rng, 8, 12, {4, 7}, {.div_value = 2});
  Tape tape;
  softmax.predict(rng.normal({5, 8}));
  CHECK(tape.size() == 0);  // ids have no gradient
}
