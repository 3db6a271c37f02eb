#include <limits>
#include <sstream>

#include "autograd/module_path.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/tape.hpp"
#include "autograd/unreached.hpp"
#include "nn/dropout.hpp"
#include "nn/embedding.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"
#include "optim/clip.hpp"
#include "optim/rules.hpp"
#include "tensor/ops.hpp"
#include "tensor/value_summary.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Block {
  nn::Linear first, second;

  Block(Rng& rng, std::int64_t width) : first(rng, width, width), second(rng, width, width) {}
  Variable operator()(const Variable& x) const {
    const InModule here(*this);
    return tanh(second(tanh(first(x))));
  }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("second", self.second);
  }
};

struct Model {
  std::vector<Block> layers;
  nn::Linear head;

  explicit Model(Rng& rng) : layers{Block(rng, 3), Block(rng, 3)}, head(rng, 3, 2) {}
  Variable operator()(Variable x) const {
    const InModule here(*this);
    for (const Block& layer : layers) x = layer(x);
    return head(x);
  }
  static void members(auto& self, auto&& visit) {
    visit("layers", self.layers);
    visit("head", self.head);
  }
};

/// A model that calls its parts without saying that it is called.
struct Silent {
  Model inner;
  static void members(auto& self, auto&& visit) { visit("inner", self.inner); }
};

/// Names its parts by text made on the way, and stands around Silent, which it skips in the path.
struct Outer {
  std::vector<Silent> parts;
  Variable operator()(const Variable& x) const {
    const InModule here(*this);
    return parts[0].inner(x);
  }
  static void members(auto& self, auto&& visit) {
    for (std::size_t i = 0; i < self.parts.size(); ++i)
      visit("a_part_with_a_long_name_" + std::to_string(i), self.parts[i]);
  }
};

/// Not a part of what calls it.
struct Helper {
  Variable operator()(const nn::Linear& linear, const Variable& x) const {
    const InModule here(*this);
    return linear(x);
  }
  static void members(auto&, auto&&) {}
};
struct UsesHelper {
  nn::Linear linear;
  Variable operator()(const Variable& x) const {
    const InModule here(*this);
    return Helper{}(linear, x);
  }
  static void members(auto& self, auto&& visit) { visit("linear", self.linear); }
};

struct Forgetful {
  Parameter listed{ones({2})}, forgotten{ones({2})};
  static void members(auto& self, auto&& visit) { visit("listed", self.listed); }
};
struct Doubled {
  Parameter a{ones({2})}, b{ones({2})};
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("again", self.a);
  }
};

template <class T>
struct Templated {
  std::string path() const {
    const InModule here(*this);
    return module_path();
  }
  static void members(auto&, auto&&) {}
};

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// The path that the error's text names, after the place of an op, "at model.cpp:31: ", where that stands
/// first; with the word that follows.
bool names_module(const std::string& text, const std::string& start) {
  const std::size_t at = text.compare(0, 3, "at ") == 0 ? text.find(": ") + 2 : 0;
  return text.compare(at, start.size(), start) == 0;
}

Tensor vector(std::initializer_list<double> values) {
  return Tensor::of(values, Dtype::f64);
}

/// Passes its input on; its gradient is what `change` makes of it.
template <class Change>
Variable with_gradient(const char* name, const Variable& x, Change change, Where where = Where::here()) {
  return record({name, where}, x.value(), wrt(x, change));
}

}  // namespace

TEST_CASE("an error begins with the path of the module that was called", "[diagnostics]") {
  Rng rng(1);
  const Model model(rng);
  const Variable wrong(zeros({4, 5}));
  CHECK(names_module(error_of([&] { model(wrong); }), "in Model.layers.0.first: linear"));
  CHECK(names_module(error_of([&] { model.layers[1](wrong); }), "in Block.first: linear"));
  CHECK(names_module(error_of([&] { model.head(wrong); }), "in Linear: linear"));
  // No module is left open by what was thrown.
  CHECK(module_path().empty());
  CHECK(names_module(error_of([&] { matmul(wrong, wrong); }), "matmul"));
}

TEST_CASE("an error names the innermost op's place, its module and what is being differentiated",
          "[diagnostics]") {
  Rng rng(1);
  const Model model(rng);
  const auto failing = [] { fail<ArgumentError>("wrong"); };
  CHECK(error_of(failing) == "wrong");
  CHECK(error_of([&] {
          const InOp op("op", {"source/model.cpp", 3});
          failing();
        }) == "at model.cpp:3: wrong");
  CHECK(error_of([&] {
          const InModule in_model(model);
          const InOp outer("outer", {"model.cpp", 3}), inner("inner", {"model.cpp", 4});
          failing();
        }) == "at model.cpp:4: in Model: wrong");
  // The place of an op that calls a module is not that of what goes wrong in the module.
  CHECK(error_of([&] {
          const InOp outer("outer", {"model.cpp", 3});
          const InModule in_model(model);
          failing();
        }) == "in Model: wrong");
  Tape tape;
  const Variable x = tape.watch(vector({1}));
  Variable y;
  {
    const InModule in_model(model);
    y = record({"square", {"model.cpp", 7}}, x.value(), wrt(x, [&](const Variable& g) {
                 const InOp rule("rule", {"rule.cpp", 8});
                 failing();
                 return g;
               }));
  }
  const InModule around(model.head);
  const std::string text =
      "while differentiating square, recorded at model.cpp:7 in Model: at rule.cpp:8: wrong";
  CHECK(error_of([&] { grad(y, x); }) == text);
  CHECK(error_of([&] { tape.backward(y); }) == text);
  CHECK(error_of(failing) == "in Linear: wrong");  // what was thrown left nothing open
}

TEST_CASE("the path skips modules that do not say they are called, and marks those that are nobody's part",
          "[diagnostics]") {
  Rng rng(1);
  Outer outer{{Silent{Model(rng)}, Silent{Model(rng)}}};
  const Variable wrong(zeros({4, 5}));
  CHECK(names_module(error_of([&] { outer(wrong); }),
                     "in Outer.a_part_with_a_long_name_0.inner.layers.0.first: linear"));
  // The linear layer is found in the model around the helper, which owns it.
  const UsesHelper user{nn::Linear(rng, 3, 3)};
  CHECK(names_module(error_of([&] { user(wrong); }), "in UsesHelper.linear: linear"));
  const InModule around(outer);
  CHECK(names_module(error_of([&] { Helper{}(user.linear, wrong); }), "in Outer.<Helper>.<Linear>: linear"));
}

TEST_CASE("a module's type is named without its namespaces", "[diagnostics]") {
  struct Local {};
  CHECK(Templated<int>{}.path() == "Templated<int>");
  CHECK(Templated<nn::Lstm>{}.path() == "Templated<Lstm>");
  CHECK(Templated<Templated<Model>>{}.path() == "Templated<Templated<Model>>");
  CHECK(Templated<Local>{}.path() == "Templated<Local>");
}

TEST_CASE("all layers say that they are called", "[diagnostics]") {
  Rng rng(1);
  const Variable wrong(zeros({2, 2}));
  const nn::Lstm lstm(rng, 3, 4);
  const nn::Rnn rnn(rng, 3, 4);
  const nn::Embedding embedding(rng, 5, 2);
  CHECK(names_module(error_of([&] { lstm(wrong, lstm.start(2)); }), "in Lstm: "));
  CHECK(names_module(error_of([&] { rnn(wrong, rnn.start(2)); }), "in Rnn: "));
  CHECK(names_module(error_of([&] { embedding(Indices({7})); }), "in Embedding: "));
  CHECK(names_module(error_of([&] { nn::Dropout{1.5}(wrong, &rng); }), "in Dropout: "));
}

TEST_CASE(
    "an error while differentiating names the module that recorded the op, not the one that is open now",
    "[diagnostics]") {
  Rng rng(1);
  Variable loss;
  Tape tape;
  {
    // The model is gone when the error comes: its path was kept.
    const Model model(rng);
    const InModule in_model(model), in_block(model.layers[1]);
    loss = sum(with_gradient("odd", tape.watch(zeros({2})), [](const Tensor&) { return zeros({3}); }));
  }
  const Model other(rng);
  const InModule open(other.head);
  const std::string text = error_of([&] { tape.backward(loss); });
  CHECK_THAT(text, Contains("while differentiating odd, recorded at diagnostics_test.cpp:") &&
                       Contains(" in Model.layers.1: "));
  CHECK_THAT(text, !Contains("Linear"));
  CHECK(module_path() == "Linear");
}

TEST_CASE("what grad records stands in the module of the op it differentiates", "[diagnostics]") {
  Rng rng(1);
  const Model model(rng);
  Tape tape;
  const Variable x = tape.watch(ones({1, 3}));
  Variable y;
  {
    const InModule here(model);
    y = sum(square(square(model.layers[0](x))));
  }
  const Variable slope = grad(y, x);
  const std::string text = tape.print();
  // tanh's derivative has a tanh_slope, which nothing else in the module records.
  const std::size_t at = text.find("tanh_slope", text.find("sum("));
  CHECK(at != text.npos);
  CHECK_THAT(text.substr(at), Contains("in Model.layers.0"));
}

TEST_CASE("a summary of values counts what is not finite and says where", "[diagnostics]") {
  CHECK(value_summary(vector({1, -2, 3})) == "(3,) f64, values from -2 to 3");
  CHECK(value_summary(Tensor::scalar(2)) == "() f32, values from 2 to 2");
  CHECK(value_summary(zeros({0, 2})) == "(0, 2) f32, empty");
  CHECK(value_summary(Tensor()) == "undefined");
  CHECK(value_summary(vector({1, infinity, NAN, -2, -infinity, NAN}).reshape({2, 3})) ==
        "(2, 3) f64, 2 NaN and 2 infinite of 6 elements, first inf at (0, 1), nan at (0, 2), -inf at (1, 1), "
        "...; the others from -2 to 1");
  CHECK(value_summary(full({2}, NAN)) ==
        "(2,) f32, 2 NaN and 0 infinite of 2 elements, first nan at (0,), nan at (1,)");
}

TEST_CASE("anomalies of the forward pass: op, module, place, elements and the ranges of the inputs",
          "[diagnostics][anomaly]") {
  Rng rng(1);
  const Model model(rng);
  Tape tape({.check_finite = true});
  const Variable x = tape.watch(vector({1, 0, -1}));
  const Variable number(vector({2, 0, 5}));
  const std::string text = error_of([&] {
    const InModule here(model);
    x / number;
  });
  CHECK_THAT(text, Contains("at diagnostics_test.cpp:") &&
                       Contains(": in Model: div: the result is not finite: ") &&
                       Contains("(3,) f64, 1 NaN and 0 infinite of 3 elements, first") &&
                       Contains("at (1,)") && Contains("\n  input 0: (3,) f64, values from -1 to 1") &&
                       Contains("\n  input 1: (3,) f64, values from 0 to 5"));
  // A bad input is seen at the first op on it.
  const Variable bad = tape.watch(vector({infinity}));
  CHECK_THAT(error_of([&] { exp(bad); }),
             Contains(": exp: the result is not finite") && Contains("input 0: (1,) f64, 0 NaN and 1"));
  // Joint forms: all operands.
  const auto joint = [&] {
    return record("joint", vector({NAN}),
                  jointly({x, number}, [](const Tensor&, std::span<const bool>, std::span<Tensor>) {}));
  };
  CHECK_THAT(error_of(joint), Contains(": joint: the result is not finite") &&
                                  Contains("input 1: (3,) f64, values from 0 to 5"));
  // Nothing of it was recorded, and the tape goes on.
  CHECK(tape.backward(sum(x * number))[x].text() == "[2, 0, 5]");
}

TEST_CASE("anomalies of the backward pass, in every form of a gradient", "[diagnostics][anomaly]") {
  const auto text_of = [](auto gradient) {
    Tape tape({.check_finite = true});
    const Variable x = tape.watch(vector({1, 2, 3}));
    const Variable y = with_gradient("planted", tanh(x), gradient);
    return error_of([&] { tape.backward(sum(y * 2)); });
  };
  const Tensor bad = vector({0, NAN, 0});
  const auto check = [](const std::string& text) {
    CHECK_THAT(text, Contains("backward: the gradient of planted, recorded at diagnostics_test.cpp:") &&
                         Contains("with respect to its input, tanh of shape (3,), recorded at") &&
                         Contains("1 NaN and 0 infinite of 3 elements, first nan at (1,)") &&
                         Contains("the gradient of its result: (3,) f64, values from 2 to 2") &&
                         Contains("values from 0.761594 to 0.995055"));
  };
  check(text_of([=](const Variable& g) { return g * Variable(bad); }));
  check(text_of([=](const Tensor& g) { return g * bad; }));
  check(text_of([=](const Tensor& g, Tensor& into) { add_to(into, g * bad); }));
  check(text_of([=](const Tensor& g) { return Rows{Indices({0, 1, 2}), g * bad, 3}; }));
  // Without the option nothing is looked at.
  Tape tape;
  const Variable x = tape.watch(vector({1, 2, 3}));
  CHECK(tape.backward(sum(with_gradient("planted", x, [=](const Tensor& g) { return g * bad; })))[x].at(0) ==
        0);
}

TEST_CASE("anomalies of joint gradients, of rows that a leaf is given, and of sums",
          "[diagnostics][anomaly]") {
  Tape tape({.check_finite = true});
  const Variable x = tape.watch(vector({1, 2})), y = tape.watch(vector({3}));
  const Variable both = record(
      "both", vector({0}), jointly({x, y}, [](const Tensor& g, std::span<const bool>, std::span<Tensor> out) {
        out[0] = zeros({2}, Dtype::f64);
        out[1] = g * infinity;
      }));
  CHECK_THAT(error_of([&] { tape.backward(sum(both)); }),
             Contains("the gradient of both") && Contains("a watched of shape (1,), first used at"));
  const Parameter table(ones({4, 2}, Dtype::f64));
  CHECK_THAT(error_of([&] {
               const Variable rows = gather_rows(table, Indices({3, 1}));
               tape.backward(sum(rows * (Variable(full({2, 2}, 1e300, Dtype::f64)) * 1e300)));
             }),
             Contains(": mul: the result is not finite"));  // the constant is not finite, seen at the first
                                                            // op recorded with it
  CHECK_THAT(error_of([&] {
               const Variable rows = gather_rows(table, Indices({3, 1}));
               const Variable large(full({2, 2}, 1e200, Dtype::f64));
               tape.backward(sum(rows * large * 1e-200 * 1e-200) * 1e250 * 1e250);
             }),
             Contains("backward: the gradient of"));
  // Rows that are not finite; those of an earlier op are.
  CHECK_THAT(error_of([&] {
               const Variable rows = gather_rows(table, Indices({3, 1}));
               const Variable y_of_rows =
                   record("planted_rows", rows.value(), wrt(table, [](const Tensor& g) {
                            return Rows{Indices({2, 0}), g * vector({1, infinity}), 4};
                          }));
               tape.backward(sum(rows) + sum(y_of_rows));
             }),
             Contains("the gradient of planted_rows, recorded at diagnostics_test.cpp:") &&
                 Contains("with respect to its input, a parameter of shape (4, 2)") &&
                 Contains("0 NaN and 2 infinite of 4 elements, first inf at (0, 1)"));
  CHECK(tape.backward(sum(gather_rows(table, Indices({3, 1}))))[table].text() ==
        "[[0, 0], [1, 1], [0, 0], [1, 1]]");
  // Two finite parts may have no finite sum.
  CHECK_THAT(error_of([&] {
               const Variable a = tape.watch(vector({1e-300}));
               tape.backward(sum(a * 1.5e308) + sum(a * 1.5e308));
             }),
             Contains("the gradient of mul") && Contains("1 infinite of 1 elements"));
}

TEST_CASE("anomalies in the sweep of grad, and of the second derivative", "[diagnostics][anomaly]") {
  Tape tape({.check_finite = true});
  const Variable x = tape.watch(vector({0, 4}));
  const Variable y = sum(sqrt(x));
  CHECK_THAT(error_of([&] { grad(y, x); }), Contains("sqrt") &&
                                                Contains("recorded at diagnostics_test.cpp:") &&
                                                Contains("1 infinite of 2 elements"));
  // Fine once, infinite twice: d2/dx2 of x^1.5 written by hand.
  const Variable z = tape.watch(vector({0}));
  const Variable slope =
      grad(sum(with_gradient("power", z, [z](const Variable& g) { return g * (sqrt(z) * 1.5); })), z);
  CHECK(slope.value().at(0) == 0);
  CHECK_THAT(error_of([&] { tape.backward(sum(slope)); }), Contains("the gradient of sqrt"));
}

TEST_CASE("parameters that no gradient reaches are named by path", "[diagnostics]") {
  Rng rng(1);
  Model model(rng);
  Tape tape;
  const Gradients gradients = tape.backward(sum(model.layers[1](Variable(ones({1, 3})))));
  const std::vector<std::string> expected{
      "layers.0.first.weight", "layers.0.first.bias", "layers.0.second.weight",
      "layers.0.second.bias",  "head.weight",         "head.bias"};
  CHECK(unreached(model, gradients) == expected);
  std::ostringstream out;
  CHECK(warn_unreached(model, gradients, out));
  CHECK_THAT(out.str(),
             Contains("warning: no gradient reaches 6 parameters") && Contains("head.weight, head.bias\n"));
  Tape whole;
  std::ostringstream silent;
  CHECK_FALSE(warn_unreached(model, whole.backward(sum(model(Variable(ones({1, 3}))))), silent));
  CHECK(silent.str().empty());
}

TEST_CASE("an optimizer's step names a parameter that the model forgot to list by its first use",
          "[diagnostics]") {
  Forgetful model;
  Tape tape;
  const int line = __LINE__ + 1;
  const Gradients gradients = tape.backward(sum(model.listed * model.forgotten));
  optim::Sgd sgd({.lr = 1});
  CHECK_THROWS_WITH(sgd.step(model, gradients),
                    Contains("(2,)") && Contains("members") &&
                        Contains("first used by mul at diagnostics_test.cpp:" + std::to_string(line)));
  CHECK(identical(model.listed.value(), ones({2})));
}

TEST_CASE("an optimizer's step refuses a parameter listed twice, even where another is forgotten",
          "[diagnostics]") {
  Doubled model;
  Tape tape;
  const Gradients gradients = tape.backward(sum(model.a * model.b));
  CHECK_THROWS_WITH(optim::Sgd({.lr = 1}).step(model, gradients), Contains("twice, as a and as again"));
  CHECK(identical(model.a.value(), ones({2})));
}

TEST_CASE("an optimizer's step refuses gradients that are not finite and changes nothing", "[diagnostics]") {
  Rng rng(1);
  Model model(rng);
  Tape tape;
  Gradients gradients = tape.backward(sum(model(Variable(ones({1, 3})))));
  for (Gradient& entry : gradients.entries()) {
    if (entry.of == model.head.bias.place()) entry.dense = Tensor::of({1, NAN});
  }
  const Tensor before = model.layers[0].first.weight.value();
  CHECK_THROWS_WITH(optim::Sgd({.lr = 1}).step(model, gradients),
                    Contains("head.bias") && Contains("nan at (1,)") && Contains("check_finite"));
  CHECK(identical(model.layers[0].first.weight.value(), before));
  CHECK_THROWS_AS(optim::Sgd({.lr = 1}).step(model, gradients), NumericError);
}

TEST_CASE("operands of two dtypes, and undefined ones, have their own messages", "[diagnostics]") {
  const Variable a(zeros({2})), b(zeros({3}, Dtype::f64)), none;
  CHECK_THROWS_WITH(a + b, Contains("f32 of shape (2,)") && Contains("f64 of shape (3,)") && Contains("add"));
  CHECK_THROWS_AS(a + b, DtypeError);
  CHECK_THROWS_WITH(none + a, Contains("undefined"));
  CHECK_THROWS_WITH(a * none, Contains("undefined"));
  CHECK_THROWS_WITH(exp(none), Contains("undefined"));
  CHECK_THROWS_WITH(matmul(a, none), Contains("undefined"));
}
