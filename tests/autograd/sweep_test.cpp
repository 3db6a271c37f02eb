#include <map>
#include <set>

#include "autograd/gradcheck.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using namespace gradus::test;

namespace {

/// Calls f(row, inputs, result) for all rows and shapes of the table whose results have elements.
template <class F>
void for_each_row(const F& f) {
  for (const GradientRow& row : gradient_table()) {
    Rng rng(7);
    for (const std::vector<Shape>& shapes : row.shapes) {
      Variables xs;
      for (const Tensor& x : draw(rng, shapes, row)) xs.emplace_back(x);
      const Variable y = row.call(xs);
      if (y.size() == 0 || y.rank() == Shape::max_rank) continue;
      INFO(text_of(row, shapes));
      f(row, xs, y.value());
    }
  }
}

}  // namespace

TEST_CASE("many gradients at once are those of one after another, for every op, recorded or not",
          "[autograd][transforms]") {
  for_each_row([](const GradientRow& row, const Variables& xs, const Tensor& y) {
    Rng rng(11);
    const Variable seeds(rng.normal(y.shape().inserted(0, 3), 0, 1, Dtype::f64));
    Variables tangents;
    for (const Variable& x : xs)
      tangents.emplace_back(rng.normal(x.shape().inserted(0, 3), 0, 1, Dtype::f64));
    const auto check = [&] {
      const Variables all = vjps(row.call, xs, seeds);
      const Variable forward = jvps(row.call, xs, tangents);
      for (std::int64_t t = 0; t < 3; ++t) {
        const Variables each = vjp(row.call, xs, select(seeds, t)).second;
        Variables direction;
        for (const Variable& tangent : tangents) direction.push_back(select(tangent, t));
        for (std::size_t i = 0; i < xs.size(); ++i)
          CHECK(relative_difference(all[i].value()[t], each[i].value()) < 1e-10);
        CHECK(relative_difference(forward.value()[t], jvp(row.call, xs, direction).second.value()) < 1e-10);
      }
    };
    check();
    const Tape tape;  // so that the derivatives are recorded, by the closures in differentiable ops
    check();
  });
}

TEST_CASE("a gradient that is the same along axes is as one that is written out, for every op",
          "[autograd]") {
  for_each_row([](const GradientRow& row, const Variables& xs, const Tensor& y) {
    const auto same = [&](const Variables& found, const Tensor& seed) {
      const Variables expected = vjp(row.call, xs, Variable(seed)).second;
      for (std::size_t i = 0; i < xs.size(); ++i)
        CHECK(relative_difference(found[i].value(), expected[i].value()) < 1e-10);
    };
    same(grad([&](Inputs at) { return sum(row.call(at)); }, xs), ones_like(y));
    if (y.rank() == 0) return;
    Rng rng(13);
    const Tensor weights = rng.normal(sum(y, -1).shape(), 0, 1, Dtype::f64);
    const Tensor along = broadcast_to(weights.reshape(y.shape().with(-1, 1)), y.shape());
    same(grad([&](Inputs at) { return sum(sum(row.call(at), -1) * Variable(weights)); }, xs), along);
    // Beside a gradient that is not the same along them, before and after it.
    const Tensor other = rng.normal(y.shape(), 0, 1, Dtype::f64);
    const auto both = [&](bool first) {
      return grad(
          [&](Inputs at) {
            const Variable z = row.call(at);
            const Variable one = sum(sum(z, -1) * Variable(weights)), two = sum(z * Variable(other));
            const Variable three = sum(z, {0});
            return (first ? one + two : two + one) + sum(three);
          },
          xs);
    };
    same(both(true), along + other + 1);
    same(both(false), along + other + 1);
  });
}

TEST_CASE("sums are spread over memory only where their gradient ends", "[autograd]") {
  const Parameter x(Rng(1).normal({3, 2}, 0, 1, Dtype::f64));
  Shape seen;
  const auto probe = [&seen](const Variable& v, bool takes) {
    const auto closure = [&seen](const Variable& g) {
      seen = g.shape();
      return g;
    };
    return takes ? record("probe", v.value(), wrt(v, broadcasting(closure)))
                 : record("probe", v.value(), wrt(v, closure));
  };
  const auto gradient = [&](const auto& f) {
    Tape tape;
    return tape.backward(f())[x];
  };
  const Tensor slope = gradient([&] { return mean(square(probe(-square(x), true))); });
  CHECK(relative_difference(slope, 2.0 / 3 * x.value() * x.value() * x.value()) < 1e-14);
  CHECK(seen == Shape{3, 2});  // the square's gradient has all elements
  gradient([&] { return mean(probe(x, true)); });
  CHECK(seen.size() == 1);
  gradient([&] { return sum(sum(probe(x, true), 1) * Tensor::of({1, 2, 3}, Dtype::f64)); });
  CHECK(seen == Shape{3, 1});
  gradient([&] { return sum(probe(x, false)); });
  CHECK(seen == Shape{3, 2});
  // What a sum's gradient ends at gets one of its own shape, that can be written to.
  Tensor own = gradient([&] { return sum(x); });
  REQUIRE(own.shape() == x.shape());
  own.mutable_data<double>()[0] = 5;
  CHECK(own.at(1) == 1);
}

TEST_CASE("a stretched gradient meets parts that are added in place and rows of a table", "[autograd]") {
  Rng rng(3);
  const Parameter table(rng.normal({4, 3}, 0, 1, Dtype::f64));
  const Indices ids({2, 0, 2});
  const Tensor weights = rng.normal({3, 3}, 0, 1, Dtype::f64), part = rng.normal({2, 3}, 0, 1, Dtype::f64);
  Tensor expected = ones({4, 3}, Dtype::f64);
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t c = 0; c < 3; ++c)
      expected.mutable_data<double>()[ids.data()[i] * 3 + c] += weights.at(i * 3 + c);
  }
  for (std::int64_t i = 0; i < 6; ++i) expected.mutable_data<double>()[3 + i] += part.at(i);
  for (const bool first : {false, true}) {
    Tape tape;
    const Variable all = first ? sum(table) : Variable(zeros({}, Dtype::f64));
    const Variable loss = all + sum(gather_rows(table, ids) * weights) + sum(slice(table, 0, 1, 3) * part);
    CHECK(relative_difference(tape.backward(first ? loss : loss + sum(table))[table], expected) < 1e-14);
  }
}

TEST_CASE("derivatives are swept in parts where a tensor is large, and one by one where it has every axis",
          "[autograd][transforms]") {
  Rng rng(5);
  const Variable x(rng.normal({3}, 0, 1, Dtype::f64)), a(rng.normal({100'000, 3}, 0, 1, Dtype::f64));
  const Variable wide =
      jacobian([&](const Variable& at) { return sin(matmul(a, at)); }, x);  // 2 columns, and 1
  const Tensor expected = a.value() * cos(matmul(a.value(), x.value())).reshape({100'000, 1});
  CHECK(relative_difference(wide.value(), expected) < 1e-12);

  const Shape eight{1, 3, 1, 1, 1, 1, 1, 1};
  const auto f = [&](const Variable& at) { return reshape(square(reshape(at, eight)), {3}); };
  CHECK(relative_difference(jacobian(f, x).value(), diag(2 * x.value())) < 1e-15);
  CHECK(relative_difference(jacobian(f, x, {.by = JacobianBy::columns}).value(), diag(2 * x.value())) <
        1e-15);
  const auto total = [&](const Variable& at) { return sum(f(at)); };
  CHECK(relative_difference(hessian(total, x).value(), diag(full({3}, 2, Dtype::f64))) < 1e-15);
  const auto spread = [&](const Variable& at) { return broadcast_to(at, eight) * 2; };
  CHECK(jacobian(spread, Variable(Tensor::scalar(1, Dtype::f64))).shape() == eight);
}

TEST_CASE("derivatives of many gradients at once are right", "[autograd][transforms][gradient]") {
  const std::set<std::string> ops{"matmul",  "linear", "logsumexp", "slice",  "transpose",
                                  "reshape", "sum",    "mean",      "sum_to", "broadcast_to",
                                  "mul",     "exp",    "max",       "concat"};
  std::map<std::string, int> seen;
  for_each_row([&](const GradientRow& row, const Variables& xs, const Tensor& y) {
    if (ops.count(row.op) == 0 || y.rank() == 0 || seen[row.op]++ > 1) return;
    const Variable seeds(Rng(17).normal(y.shape().inserted(0, 2), 0, 1, Dtype::f64));
    std::vector<Tensor> inputs;
    for (const Variable& x : xs) inputs.push_back(x.value());
    const GradcheckResult result =
        gradcheck([&](Inputs in) { return flatten(vjps(row.call, in, seeds).front()); }, inputs);
    INFO(result.message);
    CHECK(result.passed);
  });
  for (const std::string& op : ops) {
    INFO(op);
    CHECK(seen[op] > 0);
  }
}

TEST_CASE("a closure that gives a gradient before it is stretched is held to the input's shape",
          "[autograd]") {
  const auto with = [](const Shape& given) {
    const Parameter x(ones({3, 4}));
    Tape tape;
    const Variable y =
        record("spread", x.value(), wrt(x, [given](const Tensor&) { return Stretched{ones(given)}; }));
    return tape.backward(sum(y))[x];
  };
  CHECK(identical(with({3, 1}), ones({3, 4})));
  CHECK(identical(with({}), ones({3, 4})));
  CHECK_THROWS_WITH(with({3, 2}), Catch::Contains("the gradient has the shape (3, 2), the input (3, 4)"));
}
