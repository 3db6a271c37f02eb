#include <cmath>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "optim/clip.hpp"
#include "optim/rules.hpp"
#include "tensor/npy.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/optim/every_rule.hpp"
#include "tests/optim/two.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/paths.hpp"

using namespace gradus;
using namespace gradus::optim;
using gradus::test::difference;
using gradus::test::fixture;
using gradus::test::Two;

namespace {

struct Whole {
  Two first{Parameter(ones({2})), Parameter(ones({2}))}, second = first;
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("second", self.second);
  }
};

/// Twenty steps from the fixture's parameters, by its gradients, against its parameters after each.
template <class O>
void check_twenty_steps(const std::string& name, const O& fresh, Dtype dtype, double tolerance) {
  INFO(name << " in " << name_of(dtype));
  const auto values = [&](const std::string& array) { return fixture(name + "/" + array).to(dtype); };
  Two model{Parameter(values("p0")), Parameter(values("p1"))};
  const Tensor g0 = values("g0"), g1 = values("g1");
  const Tensor after0 = fixture(name + "/after0"), after1 = fixture(name + "/after1");
  O optimizer = fresh;
  for (std::int64_t step = 0; step < 20; ++step) {
    optimizer.step(model, Gradients({{model.a.place(), g0[step], {}}, {model.b.place(), g1[step], {}}}));
    INFO("step " << step);
    CHECK(difference(model.a.value(), after0[step]) < tolerance);
    CHECK(difference(model.b.value(), after1[step]) < tolerance);
  }
}

}  // namespace

TEST_CASE("twenty steps of each optimizer are PyTorch's", "[optim]") {
  const auto check = [](const char* name, const auto& optimizer) {
    check_twenty_steps(name, optimizer, Dtype::f64, 1e-12);
    check_twenty_steps(name, optimizer, Dtype::f32, 1e-5);
  };
  test::for_every_library_rule(check);
  test::for_every_whole_rule(check);
}

TEST_CASE("centered RMSprop of equal gradients takes no root of what rounding left below 0", "[optim]") {
  Two model{Parameter(zeros({1000})), Parameter(zeros({1}))};
  std::vector<float> gradients;
  for (int i = 0; i < 1000; ++i) gradients.push_back(0.37F + 0.001F * static_cast<float>(i));
  const Tensor g = Tensor::from(gradients, {1000});
  Rmsprop optimizer({.alpha = 0.5, .centered = true});
  // In the end the mean is the gradient, and the variance 0 but for rounding.
  for (int step = 0; step < 60; ++step) optimizer.step(model, Gradients({{model.a.place(), g, {}}}));
  for (const float value : model.a.value().values<float>()) CHECK(std::isfinite(value));
}

TEST_CASE("twenty steps with row-sparse gradients are PyTorch's", "[optim]") {
  test::for_every_sparse_rule([](const char* name, const auto& fresh) {
    for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
      INFO(name << " in " << name_of(dtype));
      const auto values = [&](const char* array) {
        return fixture(std::string(name) + "/" + array).to(dtype);
      };
      Two model{Parameter(values("p")), Parameter(zeros({0}))};
      const Indices ids = load_npy_indices(test::source_dir() + "/tests/fixtures/" + name + "/ids.npy");
      const Tensor rows = values("rows"), after = fixture(std::string(name) + "/after");
      auto optimizer = fresh;
      for (std::int64_t step = 0; step < 20; ++step) {
        optimizer.step(model,
                       Gradients({{model.a.place(), {}, Rows{ids[step], rows[step], model.a.dim(0)}}}));
        INFO("step " << step);
        CHECK(difference(model.a.value(), after[step]) < (dtype == Dtype::f64 ? 1e-12 : 1e-5));
      }
    }
  });
}

TEST_CASE("clipping by norm and by value is PyTorch's", "[optim]") {
  const Parameter p(zeros({3, 2}, Dtype::f64)), q(zeros({4}, Dtype::f64));
  const auto gradients = [&] {
    return Gradients({{p.place(), fixture("clip/g0"), {}}, {q.place(), fixture("clip/g1"), {}}});
  };
  Gradients by_norm = gradients();
  CHECK(clip_norm(by_norm, 0.5) == Approx(fixture("clip/norm").item()).epsilon(1e-13));
  CHECK(difference(by_norm[p], fixture("clip/norm0")) < 1e-12);
  CHECK(difference(by_norm[q], fixture("clip/norm1")) < 1e-12);
  Gradients untouched = gradients();
  clip_norm(untouched, 1e6);
  CHECK(identical(untouched[p], fixture("clip/g0")));
  Gradients by_value = gradients();
  clip_value(by_value, 0.3);
  CHECK(difference(by_value[p], fixture("clip/value0")) < 1e-12);
  CHECK(difference(by_value[q], fixture("clip/value1")) < 1e-12);
  Gradients bad({{p.place(), full({3, 2}, NAN, Dtype::f64), {}}});
  CHECK_THROWS_AS(clip_norm(bad, 1), NumericError);
  CHECK_THROWS_AS(clip_norm(untouched, 0), ArgumentError);
}

TEST_CASE("noise has the deviation that is asked for, and is the same for the same seed", "[optim]") {
  const Parameter p(zeros({200, 100})), table(zeros({300, 4}));
  const auto gradients = [&] {
    return Gradients(
        {{p.place(), ones({200, 100}), {}}, {table.place(), {}, Rows{Indices({2, 7}), ones({2, 4}), 300}}});
  };
  Gradients noisy = gradients(), again = gradients();
  Rng rng(1), same(1);
  add_noise(noisy, rng, 0.25);
  add_noise(again, same, 0.25);
  CHECK(identical(noisy[p], again[p]));
  CHECK(mean(noisy[p]).item() == Approx(1).margin(0.01));
  CHECK(stddev(noisy[p]).item() == Approx(0.25).margin(0.01));
  CHECK(noisy.find(table.place())->is_sparse());
  CHECK_FALSE(identical(noisy[table][7], noisy[table][2]));
  CHECK(identical(noisy[table][3], zeros({4})));
  CHECK_THROWS_AS(add_noise(noisy, rng, -1), ArgumentError);
  CHECK_THROWS_AS(add_noise(noisy, rng, NAN), ArgumentError);
}

TEST_CASE("two optimizers may share a model, each with the gradients of a part of it", "[optim]") {
  Whole model;
  Tape tape;
  const Gradients gradients =
      tape.backward(sum(square(model.first.a) + 3.0 * square(model.second.a) + model.second.b));
  Sgd slow({.lr = 0.1}), fast({.lr = 0.5});
  CHECK(gradients.of(model.first).entries().size() == 1);
  slow.step(model.first, gradients.of(model.first));
  fast.step(model.second, gradients.of(model.second));
  CHECK(identical(model.first.a.value(), full({2}, 0.8)));
  CHECK(identical(model.second.a.value(), full({2}, -2)));
  CHECK(identical(model.second.b.value(), full({2}, 0.5)));
  CHECK(gradients.of(model).entries().size() == 3);
}

TEST_CASE("a gradient of 0 does not move a parameter, whatever the smallest eps", "[optim]") {
  test::for_every_library_rule([](const char* name, auto fresh) {
    INFO(name);
    using O = decltype(fresh);
    typename O::Options options = fresh.options();
    if constexpr (requires { options.eps; }) {
      for (const double too_small : {0.0, 1e-40}) {
        options.eps = too_small;
        CHECK_THROWS_WITH(O(options), Catch::Contains("eps") && Catch::Contains("0 be divided by 0"));
      }
      options.eps = 1.2e-38;
      options.weight_decay = 0;
      Two model{Parameter(ones({3})), Parameter(Tensor())};
      O(options).step(model, Gradients({{model.a.place(), zeros({3}), {}}}));
      CHECK(identical(model.a.value(), ones({3})));
    }
  });
}

TEST_CASE("after a copy is assigned to the model the optimizer goes on with its moments", "[optim]") {
  Two model{Parameter(ones({2})), Parameter(ones({2}))}, same{Parameter(ones({2})), Parameter(ones({2}))};
  const auto gradients_of = [](const Two& m, double g) {
    return Gradients({{m.a.place(), full({2}, g), {}}, {m.b.place(), full({2}, -g), {}}});
  };
  Adam adam({.lr = 0.1}), other({.lr = 0.1});
  adam.step(model, gradients_of(model, 1));
  other.step(same, gradients_of(same, 1));
  const Two best = model;
  adam.step(model, gradients_of(model, 3));
  other.step(same, gradients_of(same, 3));
  model = best;
  same.a.mutable_value() = best.a.value();
  same.b.mutable_value() = best.b.value();
  adam.step(model, gradients_of(model, -2));
  other.step(same, gradients_of(same, -2));
  CHECK(identical(model.a.value(), same.a.value()));
  CHECK(identical(model.b.value(), same.b.value()));

  // A move into the model leaves it the same parameters as well.
  Two other_best = best;
  model = std::move(other_best);
  same.a.mutable_value() = best.a.value();
  same.b.mutable_value() = best.b.value();
  adam.step(model, gradients_of(model, 1));
  other.step(same, gradients_of(same, 1));
  CHECK(identical(model.a.value(), same.a.value()));
  Two part{Parameter(ones({2})), Parameter(ones({2}))};
  adam.step(part, gradients_of(part, 1));  // one optimizer may serve several models in turn
  CHECK_FALSE(identical(part.a.value(), ones({2})));
}

TEST_CASE("a row-sparse gradient changes only its rows, as the dense one would", "[optim]") {
  const Tensor table = Rng(1).uniform({6, 3}, -1, 1);
  Two model{Parameter(table), Parameter(Tensor())};
  Two dense{Parameter(table), Parameter(Tensor())};
  Tape tape;
  const Gradients gradients = tape.backward(sum(square(gather_rows(model.a, Indices({4, 1, 4})))));
  REQUIRE(gradients.entries().front().is_sparse());
  Sgd(Sgd::Options{.lr = 0.1}).step(model, gradients);
  Sgd(Sgd::Options{.lr = 0.1}).step(dense, Gradients({{dense.a.place(), gradients[model.a], {}}}));
  CHECK(difference(model.a.value(), dense.a.value()) < 1e-7);

  Adam adam({.lr = 0.1});
  const Tensor before = model.a.value();
  adam.step(model, gradients);
  for (std::int64_t row = 0; row < 6; ++row) {
    INFO(row);
    CHECK(identical(model.a.value()[row], before[row]) == (row != 1 && row != 4));
  }
}

TEST_CASE("a step with a parameter that the model does not list changes nothing and says so", "[optim]") {
  Two model{Parameter(ones({2})), Parameter(ones({2}))};
  const Parameter forgotten(ones({5}));
  Sgd sgd({.lr = 0.1});
  const Gradients gradients({{model.a.place(), ones({2}), {}}, {forgotten.place(), ones({5}), {}}});
  CHECK_THROWS_WITH(sgd.step(model, gradients), Catch::Contains("(5,)") && Catch::Contains("members"));
  CHECK_THROWS_WITH(sgd.step(model, gradients),
                    Catch::Contains("a part of the model is stepped, give it its own gradients"));
  CHECK(identical(model.a.value(), ones({2})));
}

TEST_CASE("Muon's step of a matrix is orthogonal, and only matrices that are asked for have such steps",
          "[optim]") {
  Two model{Parameter(zeros({7, 40}, Dtype::f64)), Parameter(zeros({40, 7}, Dtype::f64))};
  Muon muon({.lr = 1, .weight_decay = 0});
  const Tensor g = Rng(1).normal({7, 40}, 0, 1, Dtype::f64);
  muon.step(model, Gradients({{model.a.place(), g, {}}, {model.b.place(), transpose(g), {}}}));
  const Tensor gram = matmul(model.a.value(), model.a.value(), {.transpose_b = true});
  for (std::int64_t i = 0; i < 7; ++i) {
    for (std::int64_t j = 0; j < 7; ++j) {
      INFO(i << ", " << j);  // squares of singular values, which are brought to about 0.7 to 1.2
      CHECK(gram[i].at(j) == Approx(i == j ? 1 : 0).margin(i == j ? 0.5 : 0.25));
    }
  }
  CHECK(difference(transpose(model.b.value()), model.a.value() * std::sqrt(40.0 / 7)) < 1e-12);

  Two plain{Parameter(ones({3, 2})), Parameter(ones({3, 2}))};
  Muon chosen({.lr = 0.1, .weight_decay = 0});
  chosen.for_parameters({"b"}, [](auto& o) { o.orthogonal = false; });
  chosen.step(plain, Gradients({{plain.a.place(), ones({3, 2}), {}}, {plain.b.place(), ones({3, 2}), {}}}));
  CHECK(difference(plain.b.value(), full({3, 2}, 0.9)) < 1e-6);  // Adam's first step
  CHECK(chosen.state(plain).tensors.contains("a.momentum_buffer"));
  CHECK(chosen.state(plain).tensors.contains("b.exp_avg_sq"));
}

TEST_CASE("Adafactor makes no NaN of a gradient whose square is beyond the dtype", "[optim]") {
  Two model{Parameter(ones({2, 2})), Parameter(ones({3}))};
  Adafactor adafactor;
  for (const double size : {1.0, 1e25, 3e38, 1.0}) {
    adafactor.step(model, Gradients({{model.a.place(), full({2, 2}, size), {}},
                                     {model.b.place(), full({3}, size), {}}}));
    CHECK(all_finite(model.a.value()));
    CHECK(all_finite(model.b.value()));
  }
}

TEST_CASE("optimizers refuse options out of range, and say which and what they may be", "[optim]") {
  test::for_every_option([]<class O>(const char* name, const O& fresh, const test::OptionCase<O>& option) {
    const bool below_one = std::string(option.range).find("below 1") != std::string::npos;
    for (const double bad : {-0.1, double{NAN}, HUGE_VAL, below_one ? 1.0 : -1.0}) {
      typename O::Options options = fresh.options();
      options.*option.member = bad;
      INFO(name << " with " << option.name << " " << bad);
      CHECK_THROWS_AS(O(options), ArgumentError);
      CHECK_THROWS_WITH(O(options), Catch::StartsWith(fmt::format("{}: {} is ", name, option.name)) &&
                                        Catch::EndsWith(option.range));
    }
  });
  CHECK_THROWS_WITH(Sgd({.nesterov = true}), "Sgd: nesterov needs a momentum above 0");
}

TEST_CASE("a learning rate that is refused leaves the optimizer as it was", "[optim]") {
  Sgd sgd({.lr = 0.5});
  CHECK_THROWS_AS(sgd.set_lr(-1), ArgumentError);
  CHECK(sgd.options().lr == 0.5);
}
