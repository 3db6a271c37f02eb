#include "autograd/tape.hpp"

#include <limits>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "nn/lstm.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/sanitizers.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

Tensor number(double x) {
  return Tensor::scalar(x, Dtype::f64);
}

}  // namespace

TEST_CASE("a gradient is the sum over all paths", "[tape]") {
  Tape tape;
  const Variable x = tape.watch(number(3));
  const Variable y = x * x;              // used three times
  const Variable z = y + y * x + 2 * y;  // 3 x^2 + x^3
  CHECK(tape.backward(z)[x].item() == Approx(6 * 3 + 3 * 9));
}

TEST_CASE("a gradient is summed over the axes that were broadcast", "[tape]") {
  Tape tape;
  const Variable row = tape.watch(Tensor::of({1, 2, 3}, Dtype::f64));
  const Variable column = tape.watch(Tensor::of({10, 20}, Dtype::f64).reshape({2, 1}));
  const Gradients grads = tape.backward(sum(row * column));
  CHECK(grads[row].text() == "[30, 30, 30]");
  CHECK(grads[column].text() == "[[6], [6]]");
}

TEST_CASE("gradients are found by parameter, and only of what the loss depends on", "[tape]") {
  const Parameter used(number(2)), unused(number(5));
  Tape tape;
  const Gradients grads = tape.backward(used * used);
  CHECK(grads[used].item() == 4);
  CHECK_FALSE(grads.contains(unused));
  CHECK_THROWS_WITH(grads[unused], Contains("does not depend"));
  CHECK(grads.entries().size() == 1);
}

TEST_CASE("a tape finds each of many parameters, and of those whose ids lie a power of two apart", "[tape]") {
  std::vector<Parameter> all;
  for (int i = 0; i < 1000; ++i) all.emplace_back(number(i));
  for (const std::size_t step : {1u, 64u, 128u}) {
    std::int64_t nodes = 0, wrong = 0;
    // On a thread of its own, whose tape has no table of an earlier, larger one.
    std::thread([&] {
      Tape tape;
      Variable loss(number(0));
      for (int round = 0; round < 2; ++round) {
        for (std::size_t i = 0; i < all.size(); i += step) loss = loss + all[i] * static_cast<double>(i + 1);
      }
      nodes = tape.size();
      const Gradients gradients = tape.backward(loss);
      for (std::size_t i = 0; i < all.size(); ++i) {
        const bool used = i % step == 0;
        wrong += gradients.contains(all[i]) != used;
        if (used) wrong += gradients[all[i]].item() != 2 * static_cast<double>(i + 1);
      }
    }).join();
    const auto leaves = static_cast<std::int64_t>((all.size() + step - 1) / step);
    CHECK(nodes == leaves + 4 * leaves);  // a leaf for each, and two ops for each use
    CHECK(wrong == 0);
  }
}

TEST_CASE("a moved parameter keeps its identity, so does one that is assigned to, and a copy is another",
          "[tape]") {
  Parameter a(number(2));
  const std::uint32_t id = a.id();
  const Parameter copy = a;
  const Parameter moved = std::move(a);
  CHECK(moved.id() == id);
  CHECK(copy.id() != id);
  Parameter assigned(number(5));
  const std::uint32_t own = assigned.id();
  assigned = moved;
  CHECK(assigned.id() == own);
  CHECK(assigned.item() == 2);
  Parameter other(number(7));
  assigned = std::move(other);
  CHECK(assigned.id() == own);
  CHECK(assigned.item() == 7);
}

TEST_CASE("no two parameters have one id, however they were moved and assigned", "[tape]") {
  Parameter model(number(1)), fresh(number(2));
  const Parameter old = std::exchange(model, fresh);
  CHECK(old.id() != model.id());
  CHECK(old.item() == 1);
  CHECK(model.item() == 2);
  std::vector<Parameter> all;
  for (int i = 0; i < 4; ++i) all.emplace_back(number(i));
  const std::vector<Parameter> more{Parameter(number(8)), Parameter(number(9))};
  all.reserve(8);
  all.insert(all.begin(), more.begin(), more.end());
  all.push_back(std::move(all[1]));
  all[1] = all[0];
  std::set<std::uint32_t> ids;
  for (const Parameter& p : all) ids.insert(p.id());
  CHECK(ids.size() == all.size());
}

TEST_CASE("constants are not recorded, nor is anything without a tape", "[tape]") {
  const Parameter p(number(2));
  const Variable alone = p * p;
  CHECK(alone.is_constant());
  Tape tape;
  const Variable c(number(4));
  CHECK((c * c + 1).is_constant());
  CHECK(tape.size() == 0);
  CHECK_FALSE((c * p).is_constant());
  const Variable stopped = detach(p * p) * p;
  CHECK(tape.backward(stopped)[p].item() == 4);  // 4 p, not 3 p^2
}

TEST_CASE("a paused thread records nothing", "[tape]") {
  const Parameter p(number(2));
  Tape tape;
  {
    const PauseRecording pause;
    CHECK((p * p).is_constant());
  }
  CHECK_FALSE((p * p).is_constant());
}

TEST_CASE("a second backward throws and names keep", "[tape]") {
  Tape tape;
  const Variable x = tape.watch(number(3));
  const Variable y = x * x;
  CHECK(tape.backward(y, {.keep = true})[x].item() == 6);
  CHECK(tape.backward(y)[x].item() == 6);
  CHECK_THROWS_WITH(tape.backward(y), Contains(".keep = true") && Contains("tape_test.cpp"));
  CHECK(tape.size() == 0);
}

TEST_CASE("a loss must be one number on this tape", "[tape]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({1, 2}, Dtype::f64));
  CHECK_THROWS_WITH(tape.backward(x * x), Contains("(2,)") && Contains("sum"));
  CHECK_THROWS_WITH(tape.backward(Variable(number(1))), Contains("no parameter"));
  CHECK_THROWS_WITH(grad(x * x, x), Contains("at tape_test.cpp:") && Contains(": grad: y has shape (2,)") &&
                                        Contains("sum or mean"));
  CHECK(grad(sum(x * x), x).value().text() == "[2, 4]");
}

TEST_CASE("a Variable of a finished tape throws under a new one, and says detach", "[tape]") {
  Variable old;
  {
    Tape tape;
    old = tape.watch(number(3)) * 2;
  }
  CHECK(exp(old).item() == Approx(std::exp(6.0)));  // with no tape active it simply computes
  Tape tape;
  const Variable x = tape.watch(number(1));
  CHECK_THROWS_WITH(x * old, Contains("at tape_test.cpp:") && Contains("mul: ") && Contains("detach"));
  CHECK((x * detach(old)).item() == 6);
  // Consumed by backward is the same as finished.
  const Variable y = x * x;
  tape.backward(y);
  CHECK_THROWS_AS(y * 2, TapeError);
}

TEST_CASE("a tape inside another is independent of it", "[tape]") {
  const Parameter p(number(3));
  Tape outer;
  const Variable a = p * p;
  {
    Tape inner;
    const Variable b = p * 5;
    CHECK(inner.backward(b)[p].item() == 5);
    CHECK_THROWS_AS(a * 2, TapeError);
  }
  CHECK(outer.backward(a * a)[p].item() == Approx(4 * 27));
}

TEST_CASE("tapes may end in any order", "[tape]") {
  const Parameter p(number(3));
  std::optional<Tape> first(std::in_place), second(std::in_place);
  first.reset();
  CHECK(second->backward(p * p)[p].item() == 6);
  second.reset();
  CHECK((p * p).is_constant());
}

TEST_CASE("an error while differentiating names the op and where it was recorded", "[tape]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({1, 2, 3}, Dtype::f64));
  const Variable wrong_shape =
      record("badly_shaped", x.value(), wrt(x, [](const Tensor&) { return zeros({2}, Dtype::f64); }));
  CHECK_THROWS_WITH(tape.backward(sum(wrong_shape)),
                    Contains("while differentiating badly_shaped, recorded at tape_test.cpp:") &&
                        Contains("the gradient has the shape (2,), the input (3,)"));
  const Variable y = tape.watch(Tensor::of({1, 2, 3}, Dtype::f64));
  const Variable wrong_dtype =
      record("badly_typed", y.value(), wrt(y, [](const Tensor& g) { return g.to(Dtype::f32); }));
  CHECK_THROWS_WITH(tape.backward(sum(wrong_dtype)), Contains("badly_typed") && Contains("f32"));
}

TEST_CASE("backward within a gradient of the same tape is an error", "[tape]") {
  for (const bool keep : {false, true}) {
    Tape tape;
    const Variable x = tape.watch(Tensor::of({1, 2}));
    const Variable other = sum(x * x);
    const Variable y = record("greedy", x.value(), wrt(x, [&](const Variable& g) {
                                tape.backward(other, {.keep = keep});
                                return g;
                              }));
    const Variable loss = sum(y * y);
    if (!keep) CHECK_THROWS_WITH(grad(loss, x), Contains("greedy") && Contains("closure"));
    CHECK_THROWS_WITH(tape.backward(loss), Contains("greedy") && Contains("closure"));
    const Variable z = tape.watch(Tensor::of({3}));
    CHECK(tape.backward(sum(z * z))[z].item() == 6);
  }
}

TEST_CASE("an op's own error names the op and both shapes", "[tape]") {
  const Variable a(zeros({2, 3})), b(zeros({4}));
  CHECK_THROWS_WITH(a + b, Contains("add") && Contains("(2, 3)") && Contains("(4,)"));
  CHECK_THROWS_WITH(matmul(a, a), Contains("matmul") && Contains("(2, 3)"));
  CHECK_THROWS_AS(a + Variable(zeros({3}, Dtype::f64)), DtypeError);
}

TEST_CASE("every form of wrt gives the same gradient", "[tape]") {
  // y = 3 x, five ways.
  const Tensor value = Tensor::of({1, 2, 3}, Dtype::f64);
  const auto gradient_of = [&](auto op) {
    Tape tape;
    const Variable x = tape.watch(value);
    return tape.backward(sum(square(op(x))))[x];
  };
  const Tensor expected = value * 18;
  const auto tripled = [](const Variable& x) { return x.value() * 3; };
  CHECK(identical(gradient_of([&](const Variable& x) {
                    return record("f", tripled(x), wrt(x, [](const Variable& g) { return g * 3; }));
                  }),
                  expected));
  CHECK(identical(gradient_of([&](const Variable& x) {
                    return record("f", tripled(x),
                                  wrt(x, [x](const Variable& g, const Variable& y) { return g * y / x; }));
                  }),
                  expected));
  CHECK(identical(gradient_of([&](const Variable& x) {
                    return record("f", tripled(x), wrt(x, [](const Tensor& g) { return g * 3; }));
                  }),
                  expected));
  CHECK(identical(gradient_of([&](const Variable& x) {
                    return record("f", tripled(x),
                                  wrt(x, [](const Tensor& g, Tensor& sum) { add_to(sum, g * 3); }));
                  }),
                  expected));
  CHECK(identical(gradient_of([&](const Variable& x) {
                    return record("f", tripled(x), wrt(x, [](const Tensor& g) {
                                    return Rows{Indices({0, 1, 2}), g * 3, 3};
                                  }));
                  }),
                  expected));
  CHECK(identical(gradient_of([&](const Variable& x) {
                    return record("f", tripled(x),
                                  jointly({x}, [](const Tensor& g, std::span<const bool>,
                                                  std::span<Tensor> out) { out[0] = g * 3; }));
                  }),
                  expected));
}

TEST_CASE("a fused form serves the first derivative, the differentiable one the second", "[tape]") {
  int fused = 0, differentiable = 0;
  const auto cube = [&](const Variable& x) {
    return record("cube", x.value() * x.value() * x.value(),
                  wrt(
                      x,
                      [&fused, v = x.value()](const Tensor& g) {
                        ++fused;
                        return g * 3 * v * v;
                      },
                      [&differentiable, x](const Variable& g) {
                        ++differentiable;
                        return g * 3 * x * x;
                      }));
  };
  Tape tape;
  const Variable x = tape.watch(number(2));
  const Variable y = cube(x);
  const Variable slope = grad(y, x);
  CHECK(slope.item() == 12);
  CHECK(fused == 0);
  CHECK(differentiable == 1);
  CHECK(tape.backward(slope)[x].item() == 12);  // 6 x
}

TEST_CASE("an op with a fused form alone throws at the second derivative, naming itself", "[tape]") {
  Tape tape;
  const Variable x = tape.watch(number(2));
  const Variable y = record("only_once", x.value(), wrt(x, [](const Tensor& g) { return g; }));
  CHECK_THROWS_WITH(grad(y, x), Contains("only_once") && Contains("tape_test.cpp"));
  const Variable z =
      record("jointly_once", x.value(),
             jointly({x}, [](const Tensor& g, std::span<const bool>, std::span<Tensor> out) { out[0] = g; }));
  CHECK_THROWS_WITH(grad(z, x), Contains("jointly_once"));
  CHECK(tape.backward(y)[x].item() == 1);
}

TEST_CASE("a third derivative is one more call", "[tape]") {
  Tape tape;
  const Variable x = tape.watch(number(0.7));
  const Variable second = grad(grad(sin(x), x), x);
  CHECK(second.item() == Approx(-std::sin(0.7)));
  CHECK(tape.backward(second)[x].item() == Approx(-std::cos(0.7)));
}

TEST_CASE("the derivative with respect to a fresh identity is a partial one", "[tape]") {
  Tape tape;
  const Variable x = tape.watch(number(3));
  const Variable y = x * 2, partial = identity(y);
  CHECK(grad(partial * partial * x, partial).item() == Approx(2 * 6 * 3));
  CHECK(grad(x * 1, Variable(tape.watch(number(1)))).item() == 0);  // zeros where y does not depend on x
}

TEST_CASE("check_finite names the first op that made NaN or infinity, and its place", "[tape]") {
  Tape tape({.check_finite = true});
  const Variable x = tape.watch(Tensor::of({1, -1}, Dtype::f64));
  const Variable fine = x * 2;
  CHECK_THROWS_WITH(log(fine), Contains("at tape_test.cpp:") && Contains(": log: ") && Contains("NaN"));
  CHECK_THROWS_WITH(fine / 0.0, Contains("at tape_test.cpp:") && Contains(": div: the result is not finite"));
  const Variable infinite = tape.watch(Tensor::of({std::numeric_limits<double>::infinity()}, Dtype::f64));
  CHECK_THROWS_WITH(-infinite, Contains("at tape_test.cpp:") && Contains(": neg: the result is not finite"));
}

TEST_CASE("an embedding's gradient is row-sparse, and dense where something else adds to it", "[tape]") {
  const Parameter table(ones({5, 2}, Dtype::f64));
  const Indices ids({3, 1, 3});
  {
    Tape tape;
    const Gradients grads = tape.backward(sum(gather_rows(table, ids)) + sum(gather_rows(table, ids)));
    const Gradient& entry = grads.entries().front();
    CHECK(entry.is_sparse());
    CHECK(entry.rows.ids.size() == 2);
    CHECK(grads[table].text() == "[[0, 0], [2, 2], [0, 0], [4, 4], [0, 0]]");
  }
  Tape tape;
  const Gradients grads = tape.backward(sum(gather_rows(table, ids)) + sum(table));
  CHECK_FALSE(grads.entries().front().is_sparse());
  CHECK(grads[table].text() == "[[1, 1], [2, 2], [1, 1], [3, 3], [1, 1]]");
}

TEST_CASE("gradients of micro-batches add up, sparse and dense", "[tape]") {
  const Parameter table(ones({3, 1}, Dtype::f64)), other(number(2));
  const auto gradients = [&](const Indices& ids, bool dense) {
    Tape tape;
    Variable loss = sum(gather_rows(table, ids)) * 1;
    if (dense) loss = loss + sum(table) * other;
    return tape.backward(loss);
  };
  Gradients sum_of = gradients(Indices({0, 2}), false);
  sum_of += gradients(Indices({2}), false);
  CHECK(sum_of.entries().front().is_sparse());
  CHECK(sum_of[table].text() == "[[1], [0], [2]]");
  sum_of += gradients(Indices({1}), true);
  CHECK(sum_of[table].text() == "[[3], [3], [4]]");
  CHECK(sum_of[other].item() == 3);
  Gradients dense = gradients(Indices({1}), true);
  dense += gradients(Indices({1}), false);
  CHECK(dense[table].text() == "[[2], [4], [2]]");
  dense *= 0.5;
  CHECK(dense[table].text() == "[[1], [2], [1]]");
  CHECK(norm(dense) == Approx(std::sqrt(1 + 4 + 1 + 1.5 * 1.5)));
}

TEST_CASE("a chain of 100,000 steps needs no recursion", "[tape]") {
  Tape tape;
  const Variable x = tape.watch(number(0));
  Variable y = x;
  for (int i = 0; i < 100'000; ++i) y = y + x;
  CHECK(tape.size() == 100'001);
  CHECK(tape.backward(y)[x].item() == 100'001);
}

#if !defined(GRADUS_ADDRESS_SANITIZER)  // under it the pool is off, so that it sees each lifetime
TEST_CASE("training steps in steady state take nothing from the heap for tensors", "[tape]") {
  Rng rng(1);
  const nn::Lstm lstm(rng, 8, 16, {.layers = 2});
  const Variable x(rng.normal({10, 4, 8}));
  const auto run = [&] {
    Tape tape;
    const auto [h, state] = lstm(x, lstm.start(4));
    tape.backward(sum(square(h)));
  };
  for (int i = 0; i < 3; ++i) run();
  const std::int64_t before = storage::statistics().heap_allocations;
  for (int i = 0; i < 20; ++i) run();
  CHECK(storage::statistics().heap_allocations == before);
}
#endif

TEST_CASE("threads differentiate one model at once", "[tape][threads]") {
  Rng rng(1);
  const nn::Lstm lstm(rng, 3, 5);
  const Tensor x = rng.normal({6, 2, 3});
  const auto gradient = [&](double scale) {
    Tape tape;
    const auto [h, state] = lstm(Variable(x * scale), lstm.start(2));
    return tape.backward(sum(square(h)))[lstm.layers[0].weight_ih];
  };
  std::vector<Tensor> alone, together(4);
  for (int i = 0; i < 4; ++i) alone.push_back(gradient(1 + i));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) together[i] = gradient(1 + static_cast<double>(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < 4; ++i) CHECK(identical(alone[i], together[i]));
}
