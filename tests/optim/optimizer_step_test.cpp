#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <typeindex>

#include "optim/clip.hpp"
#include "optim/rules.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/optim/every_rule.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/instruction_sets.hpp"

// The step itself, whatever the rule: one pass, split among threads, clipping as it reads.

using namespace gradus;
using namespace gradus::optim;

namespace {

// Each of the two large parameters has more elements with a gradient than two grains (65,536), so that they
// are split, and widths that no register divides.
constexpr std::int64_t height = 2'300, width = 67;

struct Model {
  Parameter matrix, table, bias, nothing;
  explicit Model(Dtype dtype = Dtype::f32)
      : matrix(Rng(1).normal({301, 299}, 0, 1, dtype)),
        table(Rng(2).normal({height, width}, 0, 1, dtype)),
        bias(Rng(3).normal({7}, 0, 1, dtype)),
        nothing(zeros({0, 5}, dtype)) {}
  static void members(auto& self, auto&& visit) {
    visit("matrix", self.matrix);
    visit("table", self.table);
    visit("inner.bias", self.bias);
    visit("nothing", self.nothing);
  }
};

/// Every second row, from `first` on.
Indices every_second(std::int64_t first) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = first; i < height; i += 2) ids.push_back(static_cast<std::int32_t>(i));
  return Indices(std::move(ids));
}

/// Of a table: the given rows.
Gradient sparse(const Parameter& table, const Indices& ids, std::uint64_t seed) {
  return {table.place(),
          {},
          Rows{ids, Rng(seed).normal({ids.size(), table.dim(1)}, 0, 1, table.dtype()), table.dim(0)}};
}
Gradient dense(const Parameter& p, std::uint64_t seed) {
  return {p.place(), Rng(seed).normal(p.shape(), 0, 1, p.dtype()), {}};
}
Gradients gradients_of(const Model& model, std::uint64_t seed) {
  return Gradients({dense(model.matrix, seed), sparse(model.table, every_second(0), seed + 100),
                    dense(model.bias, seed + 200), dense(model.nothing, seed + 300)});
}

/// Descends by the sign of a running sum of gradients: what a user might write.
struct SignRule {
  struct Options {
    double lr = 0.01;
  };
  static void check(const Options&) {}
  Options options;
  std::int64_t t;
  void update(auto& p, auto g, auto& sum) const {
    sum += g / static_cast<double>(t);
    p -= options.lr * select(sum > 0, 1, -1) * abs(g);
  }
};

/// check(optimizer) for each rule, with the options that ask for most: the last of its rows.
template <class Check>
void for_every_rule(const Check& check) {
  std::map<std::type_index, std::string> last;
  const auto note = [&](const char* name, const auto& optimizer) { last[typeid(optimizer)] = name; };
  test::for_every_library_rule(note);
  test::for_every_whole_rule(note);
  const auto named = [&](const char* name, const auto& optimizer) {
    const auto row = last.find(typeid(optimizer));
    if (row != last.end() && row->second != name) return;
    INFO(name);
    check(optimizer);
  };
  test::for_every_library_rule(named);
  test::for_every_whole_rule(named);
  named("a user's rule", Optimizer<SignRule>({.lr = 0.1}));
}

/// The rule of a step, with what it may keep beside its state.
template <class Rule>
Rule rule_of(const typename Rule::Options& options, std::int64_t step) {
  double memory = 0.5;
  if constexpr (optim::detail::is_made_of<Rule>) {
    return Rule{options, step};
  } else {
    return Rule{options, step, memory};
  }
}
/// The same rule as a user's, which is applied to single elements.
template <class Rule>
struct UsersOwn : Rule {
  UsersOwn(const typename Rule::Options& chosen, std::int64_t step) : Rule(rule_of<Rule>(chosen, step)) {}
};
/// One step of a rule over arrays of `size` elements, in which `scale` multiplies the gradient.
template <class T, class Rule>
void apply(const Rule& rule, float scale, const Tensor& g, Tensor& p, std::initializer_list<Tensor*> state) {
  optim::detail::Run<T> run{p.size(), p.mutable_data<T>(), g.data<T>(), static_cast<T>(scale), {}};
  std::size_t k = 0;
  for (Tensor* values : state) run.state[k++] = values->mutable_data<T>();
  optim::detail::apply(rule, run, static_cast<int>(state.size()));
}

void for_both_dtypes(const std::function<void(Dtype)>& check) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    INFO(name_of(dtype));
    check(dtype);
  }
}

bool same(const Model& a, const Model& b) {
  return identical(a.matrix.value(), b.matrix.value()) && identical(a.table.value(), b.table.value()) &&
         identical(a.bias.value(), b.bias.value());
}

struct One {
  Parameter p{ones({3}, Dtype::f64)};
  static void members(auto& self, auto&& visit) { visit("p", self.p); }
};
struct Empty {
  Parameter p{zeros({0})}, table{zeros({4, 0})}, rows{ones({4, 3})};
  static void members(auto& self, auto&& visit) {
    visit("p", self.p);
    visit("table", self.table);
    visit("rows", self.rows);
  }
};

}  // namespace

TEST_CASE("a step has the same bits for any number of threads", "[optim][threads]") {
  for_both_dtypes([](Dtype dtype) {
    for_every_rule([&](const auto& fresh) {
      const auto run = [&](int threads) {
        set_threads(threads);
        Model model(dtype);
        auto optimizer = fresh;
        double norms = 0;
        for (std::uint64_t step = 0; step < 3; ++step)
          norms += optimizer.step(model, gradients_of(model, step), {.clip_norm = 30});
        set_threads(0);
        return std::pair(model, norms);
      };
      const auto [one, norm_of_one] = run(1);
      CHECK_FALSE(same(one, Model(dtype)));
      for (const int threads : {2, 3, 8}) {
        INFO(threads << " threads");
        const auto [several, norm_of_several] = run(threads);
        CHECK(same(several, one));
        CHECK(norm_of_several == norm_of_one);
      }
    });
  });
}

TEST_CASE("no step is made where another process's gradient is not finite", "[optim]") {
  for_every_rule([](const auto& fresh) {
    Model model(Dtype::f32), before(Dtype::f32);
    auto optimizer = fresh;
    for (const double norm : {std::nan(""), std::numeric_limits<double>::infinity()}) {
      CHECK_THROWS_AS(optimizer.step(model, gradients_of(model, 0), {.norm = norm}), NumericError);
      CHECK(same(model, before));
    }
  });
}

TEST_CASE("a step that clips is clip_norm and then a step, to the bit", "[optim]") {
  for_both_dtypes([](Dtype dtype) {
    for_every_rule([&](const auto& fresh) {
      for (const double limit : {0.25, 1e-3, 1e6}) {  // the last is above the norm
        INFO(limit);
        Model one(dtype), two(dtype);
        auto first = fresh, second = fresh;
        for (std::uint64_t step = 0; step < 2; ++step) {
          const Gradients untouched = gradients_of(one, step);
          const double norm = first.step(one, untouched, {.clip_norm = limit});
          CHECK(identical(untouched[one.matrix], gradients_of(one, step)[one.matrix]));
          Gradients clipped = gradients_of(two, step);
          CHECK(norm == clip_norm(clipped, limit));
          CHECK(second.step(two, clipped) == gradus::norm(clipped));
        }
        CHECK(same(one, two));
      }
    });
  });
}

TEST_CASE("the built-in rules are their formulas with every instruction set", "[optim]") {
  // One element at a time, in double; sizes around the registers' and an odd place to begin.
  test::for_every_instruction_set([] {
    for (const std::int64_t n : {1, 3, 16, 37}) {
      const Tensor g = Rng(1).normal({n}), p = Rng(2).normal({n}), v = Rng(3).normal({n}),
                   m = Rng(4).uniform({n}, 0, 1);
      const float scale = 0.37f;
      for (const bool nesterov : {false, true}) {
        Tensor after = p, velocity = v;
        apply<float>(SgdRule{{.lr = 0.1, .momentum = 0.9, .nesterov = nesterov, .weight_decay = 0.05}, 1},
                     scale, g, after, {&velocity});
        for (std::int64_t i = 0; i < n; ++i) {
          const double slope = 0.37 * g.at(i) + 0.05 * p.at(i), fast = 0.9 * v.at(i) + slope;
          CHECK(velocity.at(i) == Approx(fast).epsilon(1e-5).margin(1e-6));
          CHECK(after.at(i) ==
                Approx(p.at(i) - 0.1 * (nesterov ? slope + 0.9 * fast : fast)).epsilon(1e-5).margin(1e-6));
        }
      }
      // At the third step, the weight decay added to the gradient or apart from it.
      const auto check_adam = [&](const auto& rule, double coupled, double apart) {
        Tensor after = p, first = v, second = m;
        apply<float>(rule, scale, g, after, {&first, &second});
        for (std::int64_t i = 0; i < n; ++i) {
          const double slope = 0.37 * g.at(i) + coupled * p.at(i);
          const double mean = 0.9 * v.at(i) + 0.1 * slope, square = 0.99 * m.at(i) + 0.01 * slope * slope;
          CHECK(first.at(i) == Approx(mean).epsilon(1e-5).margin(1e-6));
          CHECK(second.at(i) == Approx(square).epsilon(1e-5).margin(1e-6));
          CHECK(after.at(i) == Approx(p.at(i) * (1 - apart) - 0.1 * (mean / (1 - 0.729)) /
                                                                  (std::sqrt(square / (1 - 0.970299)) + 1e-8))
                                   .epsilon(1e-5)
                                   .margin(1e-6));
        }
      };
      check_adam(AdamRule<false>({.lr = 0.1, .beta2 = 0.99, .weight_decay = 0.05}, 3), 0.05, 0);
      check_adam(AdamRule<true>({.lr = 0.1, .beta2 = 0.99, .weight_decay = 0.2}, 3), 0, 0.02);
    }
  });
}

namespace {

template <class T, class Rule>
void check_registers(const Optimizer<Rule>& optimizer, std::int64_t n) {
  const auto& options = optimizer.options();
  Tensor g = Rng(1).normal({n}, 0, 1, dtype_of<T>()), p = Rng(2).normal({n}, 0, 1, dtype_of<T>());
  Tensor p_alone = p;
  // Values that any rule may have as its state: those of the first, mostly means of squares, are above the
  // squares of the others, which may be means of the same gradients.
  std::array<Tensor, most_state> state, state_alone;
  std::vector<Tensor*> used, used_alone;
  for (int k = 0; k < state_of<Rule>(options).count(); ++k) {
    const auto i = static_cast<std::size_t>(k);
    state[i] = Rng(3 + i).uniform({n}, k == 0 ? 1 : 0, k == 0 ? 2 : 0.5, dtype_of<T>());
    state_alone[i] = state[i];
  }
  const auto run = [&](const auto& rule, Tensor& parameter, std::array<Tensor, most_state>& values) {
    optim::detail::Run<T> all{n, parameter.template mutable_data<T>(), g.data<T>(), T(0.37), {}};
    for (std::size_t k = 0; k < most_state; ++k)
      if (values[k].defined()) all.state[k] = values[k].template mutable_data<T>();
    optim::detail::apply(rule, all, state_of<Rule>(options).count());
  };
  run(rule_of<Rule>(options, 3), p, state);
  run(UsersOwn<Rule>{options, 3}, p_alone, state_alone);
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;
  CHECK(test::difference(p, p_alone) < tolerance);
  for (std::size_t k = 0; k < most_state; ++k)
    if (state[k].defined()) CHECK(test::difference(state[k], state_alone[k]) < tolerance);
}

}  // namespace

TEST_CASE("a rule does the same to a register of elements as to each of them", "[optim]") {
  test::for_every_instruction_set([] {
    test::for_every_library_rule([](const char* name, const auto& optimizer) {
      INFO(name);
      for (const std::int64_t n : {1, 3, 16, 37}) {
        check_registers<float>(optimizer, n);
        check_registers<double>(optimizer, n);
      }
    });
  });
}

namespace {

/// Uses what no other rule does.
struct EveryOperation {
  struct Options {
    double lr = 1;
  };
  static void check(const Options&) {}
  Options options;
  std::int64_t t;
  void update(auto& p, auto g, auto& a, auto& b, auto& c, auto& d) const {
    a = maximum(g, p) - sign(g);
    b = sqrt(abs(g)) * 2;
    c -= select(g < 1, -g, p / 4);
    d *= 3;
    p += mul_add(g, 2, 1);
  }
};
/// Whose options ask for more state than its update takes.
struct WrongState {
  struct Options {
    double lr = 1;
    int state = 0;
  };
  static void check(const Options&) {}
  static int state(const Options& o) { return o.state; }
  Options options;
  std::int64_t t;
  void update(auto& p, auto g) const { p -= g; }
  void update(auto& p, auto g, auto& v) const { p -= (v += g); }
};

}  // namespace

TEST_CASE("a rule's arithmetic is that of its numbers", "[optim]") {
  Tensor p = full({4}, 0.5), a = zeros({4}), b = zeros({4}), c = full({4}, 10.0), d = ones({4});
  apply<float>(EveryOperation{{}, 1}, 1, Tensor::of({4, 0.25, -1, 0}), p, {&a, &b, &c, &d});
  CHECK(identical(a, Tensor::of({3, -0.5, 1.5, 0.5})));
  CHECK(identical(b, Tensor::of({4, 1, 2, 0})));
  CHECK(identical(c, Tensor::of({9.875, 10.25, 9, 10})));
  CHECK(identical(d, Tensor::of({3, 3, 3, 3})));
  CHECK(identical(p, Tensor::of({9.5, 2, -0.5, 1.5})));
}

TEST_CASE("an optimizer refuses a rule that asks for more state than its update takes", "[optim]") {
  One one;
  Optimizer<WrongState>({.state = 1}).step(one, Gradients({{one.p.place(), ones({3}, Dtype::f64), {}}}));
  CHECK(one.p.value().at(0) == 0);
  for (const int state : {-1, 2, 5})
    CHECK_THROWS_WITH(Optimizer<WrongState>({.state = state}),
                      Catch::Contains("asks for " + std::to_string(state) + " values"));
}

TEST_CASE("a row-sparse gradient leaves the other rows and their state as they are", "[optim]") {
  test::for_every_library_rule([](const char* name, const auto& fresh) {
    INFO(name);
    // Between two dense steps, one of the odd rows, or of the first row alone: the third step then shows the
    // state of the rows that neither touched.
    const auto run = [&](const Indices& ids) {
      Model model;
      auto optimizer = fresh;
      optimizer.step(model, Gradients({dense(model.table, 1)}));
      const Tensor before = model.table.value();
      optimizer.step(model, Gradients({sparse(model.table, ids, 2)}));
      const std::span<const std::int32_t> touched = ids.values();
      std::int64_t wrong = 0;
      for (std::int64_t row = 0; row < height; ++row) {
        const bool has_gradient = std::find(touched.begin(), touched.end(), row) != touched.end();
        wrong += identical(model.table.value()[row], before[row]) == has_gradient;
      }
      CHECK(wrong == 0);
      optimizer.step(model, Gradients({dense(model.table, 3)}));
      return model.table.value();
    };
    const Tensor odd = run(every_second(1)), first = run(Indices({0}));
    std::int64_t wrong = 0;
    for (std::int64_t row = 1; row < height; ++row)
      wrong += identical(odd[row], first[row]) != (row % 2 == 0);
    CHECK(wrong == 0);
  });
}

TEST_CASE("the rows of a row-sparse gradient change as those of the dense one", "[optim]") {
  for_every_rule([](const auto& fresh) {
    Model one, two;
    const Gradient rows = sparse(one.table, every_second(0), 1);
    auto first = fresh, second = fresh;
    first.step(one, Gradients({rows}));
    second.step(two, Gradients({{two.table.place(), rows.tensor(), {}}}));
    std::int64_t wrong = 0;
    for (std::int64_t row = 0; row < height; row += 2)
      wrong += !identical(one.table.value()[row], two.table.value()[row]);
    CHECK(wrong == 0);
  });
}

TEST_CASE("a gradient with NaN or infinity is named, and nothing changes", "[optim]") {
  const auto spoil = [](Gradients& gradients, const Parameter& p, double value) {
    for (Gradient& entry : gradients.entries()) {
      if (entry.of != p.place()) continue;
      Tensor& values = entry.is_sparse() ? entry.rows.values : entry.dense;
      values.mutable_values<float>().back() = static_cast<float>(value);
    }
  };
  for_every_rule([&](const auto& fresh) {
    Model model, untouched;
    auto optimizer = fresh, other = fresh;
    optimizer.step(model, gradients_of(model, 1));
    other.step(untouched, gradients_of(untouched, 1));
    for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
      for (const auto& [name, p] :
           {std::pair("matrix", &model.matrix), {"table", &model.table}, {"inner.bias", &model.bias}}) {
        Gradients bad = gradients_of(model, 2);
        spoil(bad, *p, value);
        const auto names = Catch::Contains("parameter " + std::string(name) + " ");
        CHECK_THROWS_WITH(optimizer.step(model, bad), names);
        CHECK_THROWS_WITH(optimizer.step(model, bad, {.clip_norm = 1}), names);
        CHECK_THROWS_AS(optimizer.step(model, bad, {.clip_norm = 1}), NumericError);
      }
    }
    CHECK(same(model, untouched));
    optimizer.step(model, gradients_of(model, 3));
    other.step(untouched, gradients_of(untouched, 3));
    CHECK(same(model, untouched));
  });
}

TEST_CASE("a norm beyond a double is an error of clipping only", "[optim]") {
  One one;
  Sgd sgd({.lr = 1 / 1.5e308});
  const Gradients large({{one.p.place(), full({3}, 1.5e308, Dtype::f64), {}}});
  CHECK_THROWS_AS(sgd.step(one, large, {.clip_norm = 1}), NumericError);
  CHECK(identical(one.p.value(), ones({3}, Dtype::f64)));
  CHECK(sgd.step(one, large) == HUGE_VAL);
  CHECK(one.p.value().at(0) == Approx(0).margin(1e-12));
  // The squares of these are no floats, but their norm is one.
  convert(one, Dtype::f32);
  const Gradients floats({{one.p.place(), full({3}, 1e30), {}}});
  CHECK(Sgd({.lr = 1}).step(one, floats, {.clip_norm = 1}) == Approx(std::sqrt(3) * 1e30));
  CHECK(one.p.value().at(0) == Approx(-1 / std::sqrt(3)).epsilon(1e-6));
}

TEST_CASE("a step refuses a limit that is not above 0, and infinity does not clip", "[optim]") {
  Model model, untouched;
  Sgd sgd({.lr = 0.1, .momentum = 0.9});
  for (const double limit : {0.0, -1.0, std::nan("")})
    CHECK_THROWS_AS(sgd.step(model, gradients_of(model, 1), {.clip_norm = limit}), ArgumentError);
  CHECK(same(model, untouched));
  Sgd other({.lr = 0.1, .momentum = 0.9});
  sgd.step(model, gradients_of(model, 1), {.clip_norm = HUGE_VAL});
  other.step(untouched, gradients_of(untouched, 1));
  CHECK(same(model, untouched));
}

TEST_CASE("parameters and row-sparse gradients may be empty", "[optim]") {
  test::for_every_library_rule([](const char* name, const auto& fresh) {
    INFO(name);
    Empty model;
    auto optimizer = fresh;
    const Gradients gradients(
        {{model.p.place(), zeros({0}), {}},
         {model.table.place(), {}, Rows{Indices({1, 2}), zeros({2, 0}), 4}},
         {model.rows.place(), {}, Rows{Indices(std::vector<std::int32_t>{}), zeros({0, 3}), 4}}});
    CHECK(optimizer.step(model, gradients, {.clip_norm = 1}) == 0);
    CHECK(identical(model.rows.value(), ones({4, 3})));
  });
}

TEST_CASE("a copy of an optimizer goes its own way", "[optim]") {
  for_every_rule([](const auto& fresh) {
    Model model, reference;
    auto optimizer = fresh, alone = fresh;
    optimizer.step(model, gradients_of(model, 1));
    alone.step(reference, gradients_of(reference, 1));
    auto copy = optimizer;
    const Tensor matrix = model.matrix.value(), table = model.table.value(), bias = model.bias.value();
    copy.step(model, gradients_of(model, 2));
    model.matrix.mutable_value() = matrix;
    model.table.mutable_value() = table;
    model.bias.mutable_value() = bias;
    optimizer.step(model, gradients_of(model, 3));
    alone.step(reference, gradients_of(reference, 3));
    CHECK(same(model, reference));
  });
}

TEST_CASE("a step refuses rows that threads could not share, and a parameter that changed", "[optim]") {
  Model model, untouched;
  AdamW optimizer({.lr = 0.1});
  const auto step_with = [&](std::vector<std::int32_t> ids, std::int64_t rows) {
    optimizer.step(
        model,
        Gradients({{model.table.place(), {}, Rows{Indices(std::move(ids)), ones({rows, width}), height}}}));
  };
  for (const std::vector<std::int32_t>& ids :
       {std::vector<std::int32_t>{3, 3}, {4, 3}, {-1, 3}, {3, static_cast<std::int32_t>(height)}}) {
    CHECK_THROWS_WITH(step_with(ids, 2), Catch::Contains("table") && Catch::Contains("merged"));
    CHECK_THROWS_AS(step_with(ids, 2), ShapeError);
  }
  CHECK_THROWS_AS(step_with({1, 2}, 3), ShapeError);
  CHECK(same(model, untouched));
  step_with({1, 2}, 2);
  convert(model, Dtype::f64);
  const Tensor before = model.matrix.value();
  CHECK_THROWS_WITH(optimizer.step(model, gradients_of(model, 1)),
                    Catch::Contains("table is f64") && Catch::Contains("new optimizer"));
  CHECK(identical(model.matrix.value(), before));
}

TEST_CASE("a step refuses a gradient of another shape or dtype, with both, and changes nothing", "[optim]") {
  for_every_rule([](const auto& fresh) {
    Model model, untouched;
    auto optimizer = fresh;
    const auto refused = [&](const Gradient& gradient, const std::string& text) {
      CHECK_THROWS_WITH(optimizer.step(model, Gradients({gradient, dense(model.bias, 1)})),
                        Catch::Contains("the optimizer's step: parameter " + text));
    };
    refused({model.matrix.place(), zeros({299, 301}), {}},
            "matrix is f32 of shape (301, 299), its gradient f32 of shape (299, 301)");
    refused({model.matrix.place(), zeros({301, 299}, Dtype::f64), {}},
            "matrix is f32 of shape (301, 299), its gradient f64 of shape (301, 299)");
    refused({model.table.place(), {}, Rows{Indices({1, 2}), zeros({2, width + 1}), height}},
            "table is f32 of shape (2300, 67), its gradient f32 of shape (2300, 68)");
    refused({model.table.place(), {}, Rows{Indices({1, 2}), zeros({2, width}, Dtype::f64), height}},
            "table is f32 of shape (2300, 67), its gradient f64 of shape (2300, 67)");
    refused({model.table.place(), {}, Rows{Indices({1, 2}), zeros({2, width}), height + 1}},
            "table is f32 of shape (2300, 67), its gradient f32 of shape (2301, 67)");
    CHECK(same(model, untouched));
  });
}
