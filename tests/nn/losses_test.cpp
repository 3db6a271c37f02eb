#include "nn/losses.hpp"

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tensor/npy.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/paths.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::difference;
using gradus::test::fixture;

namespace {

using Inputs = std::vector<Variable>;

/// The value and the gradient of every input, in both dtypes.
void check(const std::string& name, std::size_t inputs, const std::function<Variable(const Inputs&)>& loss) {
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    INFO(name << " in " << name_of(dtype));
    const double tolerance = dtype == Dtype::f64 ? 1e-12 : 1e-5;
    const auto of = [&](const std::string& array) { return fixture("loss_" + name + "/" + array); };
    Tape tape;
    Inputs x;
    for (std::size_t i = 0; i < inputs; ++i) x.push_back(tape.watch(of("x" + std::to_string(i)).to(dtype)));
    const Variable value = loss(x);
    CHECK(value.dtype() == dtype);
    CHECK(difference(value.value(), of("value").reshape(value.shape())) <
          tolerance);  // a scalar is written as (1,)
    const Gradients gradients = tape.backward(sum(value));
    for (std::size_t i = 0; i < inputs; ++i) {
      INFO("input " << i);
      CHECK(difference(gradients[x[i]], of("d" + std::to_string(i))) < tolerance);
    }
  }
}

/// The slope of a loss of one number.
double slope(const std::function<Variable(const Variable&)>& loss, double x) {
  Tape tape;
  const Variable v = tape.watch(Tensor::scalar(x));
  return tape.backward(loss(v))[v].item();
}

}  // namespace

TEST_CASE("losses and their gradients are PyTorch's", "[nn]") {
  const Tensor labels = load_npy(test::source_dir() + "/tests/fixtures/loss_labels.npy");
  check("mse", 2, [](const Inputs& x) { return nn::mse(x[0], x[1]); });
  check("mse_none", 2, [](const Inputs& x) { return nn::mse(x[0], x[1], nn::Reduction::none); });
  check("l1", 2, [](const Inputs& x) { return nn::l1(x[0], x[1]); });
  check("huber", 2, [](const Inputs& x) {
    return nn::huber(x[0], x[1], {.delta = 0.7, .reduction = nn::Reduction::sum});
  });
  check("bce", 2, [](const Inputs& x) { return nn::bce_with_logits(x[0], x[1]); });
  check("bce_weighted", 2, [](const Inputs& x) {
    return nn::bce_with_logits(x[0], x[1], {.positive_weight = Tensor::of({1, 2, 3, 0.5}, x[0].dtype())});
  });
  check("nll", 1, [](const Inputs& x) { return nn::nll(log_softmax(x[0]), Indices({2, 0, 3})); });
  check("nll_ignored", 1, [](const Inputs& x) {
    return nn::nll(log_softmax(x[0]), Indices({2, 1, 3}), {.ignore_index = 1});
  });
  check("soft_cross_entropy", 2, [](const Inputs& x) { return nn::soft_cross_entropy(x[0], softmax(x[1])); });
  check("kl_div", 2, [](const Inputs& x) { return nn::kl_div(log_softmax(x[0]), x[1]); });
  check("kl_div_logs", 2, [](const Inputs& x) {
    return nn::kl_div(log_softmax(x[0]), log_softmax(x[1]), {.log_target = true, .per_row = false});
  });
  check("gaussian_nll", 3, [](const Inputs& x) { return nn::gaussian_nll(x[0], x[1], x[2]); });
  check("gaussian_nll_full", 3, [](const Inputs& x) {
    return nn::gaussian_nll(x[0], x[1], x[2], {.full = true, .reduction = nn::Reduction::sum});
  });
  check("cosine_similarity", 2, [](const Inputs& x) { return nn::cosine_similarity(x[0], x[1]); });
  check("cosine", 2, [&](const Inputs& x) { return nn::cosine(x[0], x[1], labels[0], {.margin = -0.9}); });
  check("margin_ranking", 2, [&](const Inputs& x) {
    return nn::margin_ranking(select(x[0], 1, 0), select(x[1], 1, 0), labels[1], {.margin = 0.3});
  });
  check("triplet", 3, [](const Inputs& x) { return nn::triplet(x[0], x[1], x[2]); });
  check("triplet_swap", 3,
        [](const Inputs& x) { return nn::triplet(x[0], x[1], x[2], {.margin = 2, .p = 3, .swap = true}); });
}

TEST_CASE("losses are right at the edges", "[nn]") {
  const auto bce = [](double target) {
    return [target](const Variable& x) { return nn::bce_with_logits(x, Tensor::scalar(target)); };
  };
  for (const double big : {1e4, 1e30, HUGE_VAL}) {
    CHECK(nn::bce_with_logits(Variable(Tensor::scalar(big)), Tensor::scalar(1)).item() == 0);
    CHECK(nn::bce_with_logits(Variable(Tensor::scalar(-big)), Tensor::scalar(0)).item() == 0);
    CHECK(nn::bce_with_logits(Variable(Tensor::scalar(big)), Tensor::scalar(0)).item() ==
          static_cast<double>(static_cast<float>(big)));
    CHECK(slope(bce(1), big) == 0);
    CHECK(slope(bce(0), big) == 1);
  }
  CHECK(nn::bce_with_logits(Variable(Tensor::scalar(-20)), Tensor::scalar(0)).item() ==
        Approx(2.0611536181902037e-09).epsilon(1e-6));
  CHECK(slope(bce(1), 20) == Approx(-2.0611536181902037e-09).epsilon(1e-6));
  // The square of what is beyond delta would overflow.
  const auto huber = [](const Variable& x) { return nn::huber(x, Tensor::scalar(0)); };
  CHECK(huber(Variable(Tensor::scalar(1e30))).item() == Approx(1e30));
  CHECK(slope(huber, -1e30) == -1);
  // Vectors whose squares are beyond the dtype.
  for (const double scale : {1e-30, 1e25}) {
    const Variable x(Tensor::of({3, 4}) * scale);
    CHECK(nn::cosine_similarity(x, Tensor::of({3, -4}) * scale, -1, 1e-70).item() ==
          Approx(-7.0 / 25).epsilon(1e-5));
  }
  const Variable probs(Tensor::of({-0.5, -INFINITY}));
  CHECK(nn::kl_div(probs, Tensor::of({1, 0}), {.per_row = false, .reduction = nn::Reduction::sum}).item() ==
        0.5);
  CHECK(nn::nll(Variable(Tensor::of({-1, -INFINITY, -2, -3}).reshape({2, 2})), Indices({1, 0}),
                {.ignore_index = 1})
            .item() == 2);
}

TEST_CASE("a binary cross-entropy is smooth where its logit is 0", "[nn]") {
  for (const double target : {0.0, 0.3, 0.5, 1.0}) {
    const Variable x(Tensor::scalar(0, Dtype::f64));
    const auto loss = [target](const Variable& v) {
      return nn::bce_with_logits(v, Tensor::scalar(target, Dtype::f64));
    };
    CHECK(loss(x).item() == Approx(std::log(2.0)).epsilon(1e-15));
    CHECK(grad(loss, x).item() == Approx(0.5 - target).margin(1e-15));
    CHECK(hvp(loss, x, Variable(ones({}, Dtype::f64))).item() == Approx(0.25).epsilon(1e-15));
  }
}

TEST_CASE("a reduced loss and its gradients are the means of single ones", "[nn][threads]") {
  const std::int64_t rows = 3, width = 1701;  // several blocks of a program, the last a part
  const Tensor target = Rng(1).uniform({rows, width}, 0.1, 0.9, Dtype::f64);
  const Tensor label = Rng(2).bernoulli({rows, width}, 0.5, 2, Dtype::f64) - 1;
  using Loss = std::function<Variable(const Variable&, nn::Reduction)>;
  const std::vector<Loss> losses{
      [&](const Variable& x, auto r) { return nn::mse(x, target, r); },
      [&](const Variable& x, auto r) { return nn::l1(x, target, r); },
      [&](const Variable& x, auto r) { return nn::huber(x, target, {.delta = 0.5, .reduction = r}); },
      [&](const Variable& x, auto r) { return nn::bce_with_logits(x, target, {.reduction = r}); },
      [&](const Variable& x, auto r) {
        return nn::bce_with_logits(x, target, {.positive_weight = target[0], .reduction = r});
      },
      [&](const Variable& x, auto r) { return nn::kl_div(x, target, {.per_row = false, .reduction = r}); },
      [&](const Variable& x, auto r) { return nn::gaussian_nll(x, target, target[0], {.reduction = r}); },
      [&](const Variable& x, auto r) {
        return nn::gaussian_nll(Variable(target), x, target[0], {.full = true, .reduction = r});
      },
      [&](const Variable& x, auto r) { return nn::margin_ranking(x, target, label, {.reduction = r}); },
  };
  const auto count = static_cast<double>(rows * width);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    INFO("loss " << i);
    const auto value_and_gradient = [&](const auto& loss) {
      Tape tape;
      const Variable x = tape.watch(Rng(3).normal({rows, width}, 0, 2, Dtype::f64));
      const Variable y = loss(x);
      return std::pair(y.value(), tape.backward(y)[x]);
    };
    for (const double upstream : {1.0, 0.3}) {
      const auto [value, gradient] =
          value_and_gradient([&](const Variable& x) { return upstream * losses[i](x, nn::Reduction::mean); });
      const auto [single, wanted] = value_and_gradient(
          [&](const Variable& x) { return upstream / count * sum(losses[i](x, nn::Reduction::none)); });
      CHECK(difference(value, single) < 1e-13);
      CHECK(difference(gradient, wanted) < 1e-14);
      for (const int threads : {1, 3}) {
        set_threads(threads);
        const auto again = value_and_gradient(
            [&](const Variable& x) { return upstream * losses[i](x, nn::Reduction::mean); });
        CHECK(identical(again.first, value));
        CHECK(identical(again.second, gradient));
      }
      set_threads(0);
    }
  }
}

TEST_CASE("the similarity of rows of zeros is 0, with a gradient beside them", "[nn]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({3, 4, 0, 0}).reshape({2, 2})),
                 y = tape.watch(Tensor::of({0, 2, 1, 1}).reshape({2, 2}));
  const Variable similar = nn::cosine_similarity(x, y, -1, 0.01);
  CHECK(difference(similar.value(), Tensor::of({0.8, 0})) < 1e-6);
  const Gradients gradients = tape.backward(sum(similar));
  // Of the second row: y / (0.1 |y|), and 0, as x is not larger than the root of eps.
  const double slope_of_zero = 1 / (0.1 * std::sqrt(2.0));
  CHECK(difference(gradients[x], Tensor::of({-0.096, 0.072, slope_of_zero, slope_of_zero}).reshape({2, 2})) <
        1e-5);
  CHECK(difference(gradients[y], Tensor::of({0.3, 0, 0, 0}).reshape({2, 2})) < 1e-6);
}

TEST_CASE("penalties of activations are means of squares", "[nn]") {
  const Variable h(Tensor::of({1, 2, 4, 0, -1, 3}).reshape({3, 2}));
  CHECK(nn::activation_penalty(h, 2).item() == Approx(2 * 31.0 / 6));
  CHECK(nn::change_penalty(h, 0.5).item() == Approx(0.5 * (9 + 4 + 25 + 9) / 4));
  CHECK_THROWS_WITH(nn::change_penalty(Variable(zeros({1, 2})), 1), Contains("two steps"));
}

TEST_CASE("losses refuse what does not fit, and say what does", "[nn]") {
  const Variable x(ones({2, 3}));
  CHECK_THROWS_WITH(nn::mse(x, ones({3})), Contains("mse: the input has shape (2, 3), the target (3,)"));
  CHECK_THROWS_WITH(nn::mse(Variable(zeros({0})), zeros({0})), Contains("the mean of no losses"));
  CHECK(nn::mse(Variable(zeros({0})), zeros({0}), nn::Reduction::sum).item() == 0);
  CHECK_THROWS_AS(nn::l1(x, ones({2, 3}, Dtype::f64)), DtypeError);
  CHECK_THROWS_WITH(nn::huber(x, ones({2, 3}), {.delta = 0}), Contains("delta is 0"));
  CHECK_THROWS_WITH(nn::nll(x, Indices({0, 3})), Contains("target 3 at position 1 is not in 0..2"));
  CHECK_THROWS_WITH(nn::nll(x, Indices({0, 1, 2})), Contains("without the last axis"));
  CHECK_THROWS_WITH(nn::nll(x, Indices({1, 1}), {.ignore_index = 1}), Contains("none counts"));
  CHECK(nn::nll(x, Indices({1, 1}), {.reduction = nn::Reduction::sum, .ignore_index = 1}).item() == 0);
  CHECK_THROWS_WITH(nn::gaussian_nll(x, ones({2, 3}), -1.0 * ones({3})), Contains("a variance of -1"));
  CHECK_THROWS_WITH(nn::gaussian_nll(x, ones({2, 3}), ones({4, 2, 3})), Contains("do not broadcast"));
  CHECK_THROWS_WITH(nn::cosine(x, ones({2, 3}), ones({3})), Contains("labels are needed"));
  CHECK_THROWS_WITH(nn::margin_ranking(x, ones({2, 3}), ones({2})), Contains("labels are needed"));
  CHECK_THROWS_WITH(nn::triplet(x, ones({2, 3}), ones({2, 4})), Contains("(2, 4)"));
  CHECK_THROWS_WITH(nn::bce_with_logits(x, ones({2, 3}), {.positive_weight = ones({5, 2, 3})}),
                    Contains("does not broadcast"));
  CHECK_THROWS_AS(nn::bce_with_logits(x, ones({2, 3}), {.positive_weight = full({3}, -1)}), ArgumentError);
  CHECK_THROWS_AS(nn::triplet(x, ones({2, 3}), ones({2, 3}), {.p = -1}), ArgumentError);
  CHECK_THROWS_AS(nn::margin_ranking(x, ones({2, 3}), ones({2, 3}), {.margin = NAN}), ArgumentError);
  CHECK_THROWS_AS(nn::margin_ranking(x, ones({2, 3}), full({2, 3}, 7)), ArgumentError);
  CHECK_THROWS_AS(nn::cosine(x, ones({2, 3}), full({2}, 0.5)), ArgumentError);
  CHECK_THROWS_AS(nn::activation_penalty(x, NAN), ArgumentError);
  CHECK_THROWS_WITH(nn::l1(x, ones({2, 3}, Dtype::f64)),
                    Contains("losses_test.cpp") && Contains("l1: the input is f32"));
  CHECK_THROWS_WITH(nn::soft_cross_entropy(Variable(Tensor::scalar(1)), Tensor::scalar(1)),
                    Contains("axis of classes"));
}
