#include <array>
#include <cmath>
#include <thread>

#include "autograd/checkpoint.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/transforms.hpp"
#include "nn/dropout.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/sanitizers.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

Tensor vector(std::initializer_list<double> values) {
  return Tensor::of(values, Dtype::f64);
}

/// h = tanh(W h + b) of parameters that the step captures.
struct Recurrence {
  Parameter weight, bias;
  explicit Recurrence(std::int64_t width) {
    Rng rng(1);
    weight = Parameter(rng.normal({width, width}, 0, 0.5, Dtype::f64));
    bias = Parameter(rng.normal({width}, 0, 0.5, Dtype::f64));
  }
  Variable operator()(const Variable& h) const { return tanh(matmul(weight, h) + bias); }
};

}  // namespace

TEST_CASE("a checkpoint has the value and the gradients of its function, to the bit", "[checkpoint]") {
  const Recurrence step(3);
  const auto twice = [&](const Variable& h) { return step(step(h)); };
  const Tensor start = vector({0.5, -1, 2});
  const auto gradients = [&](auto f) {
    Tape tape;
    const Variable x = tape.watch(start), y = f(x * 2);
    const Gradients found = tape.backward(sum(square(y)));
    return std::array{y.value(), found[x], found[step.weight], found[step.bias]};
  };
  const auto plain = gradients(twice);
  const auto again = gradients([&](const Variable& x) { return checkpoint(twice, x); });
  const auto nested = gradients([&](const Variable& x) {
    return checkpoint(
        [&](const Variable& in) { return checkpoint([&](const Variable& h) { return step(h); }, step(in)); },
        x);
  });
  for (std::size_t i = 0; i < plain.size(); ++i) {
    CHECK(identical(plain[i], again[i]));
    CHECK(identical(plain[i], nested[i]));
  }
}

TEST_CASE("a checkpoint records one node, and calls its function again in backward", "[checkpoint]") {
  int calls = 0;
  const auto f = [&](const Variable& x) {
    ++calls;
    return exp(sin(x) * x);
  };
  CHECK(checkpoint(f, Variable(vector({1}))).is_constant());  // nothing to record
  CHECK(calls == 1);
  Tape tape;
  const Variable x = tape.watch(vector({1, 2}));
  const Variable y = checkpoint(f, x);
  CHECK(tape.size() == 2);
  CHECK(calls == 2);
  tape.backward(sum(y));
  CHECK(calls == 3);
}

TEST_CASE("recorded Variables that a checkpoint captures get their gradients", "[checkpoint]") {
  Tape tape;
  const Variable x = tape.watch(vector({3})), y = x * x;
  const Variable z = checkpoint([y](const Variable& in) { return in * y * y; }, x);
  CHECK(tape.backward(z, {.keep = true})[x].item() == 5 * 81);  // x^5
  // Of the second order too; the input depends on the captured one and the other way round.
  const Variable slope = grad(z, x);
  CHECK(slope.item() == 5 * 81);
  CHECK(tape.backward(slope)[x].item() == 20 * 27);
}

TEST_CASE("a checkpoint passes derivatives of higher order and jvp", "[checkpoint]") {
  const Recurrence step(3);
  const auto plain = [&](const Variable& h) { return sum(square(step(step(h)))); };
  const auto saving = [&](const Variable& h) {
    return sum(square(checkpoint([&](const Variable& x) { return step(step(x)); }, h)));
  };
  const Variable x(vector({0.5, -1, 2})), v(vector({1, 2, -0.5}));
  const auto close = [](const Variable& a, const Variable& b) {
    for (std::int64_t i = 0; i < b.size(); ++i)
      CHECK(a.value().at(i) == Approx(b.value().at(i)).epsilon(1e-13));
  };
  close(hvp(saving, x, v), hvp(plain, x, v));
  close(hessian(saving, x), hessian(plain, x));
  close(jvp(saving, x, v).second, jvp(plain, x, v).second);
  const auto curvature = [&](auto f) {
    return [f, &v](const Variable& at) { return sum(hvp(f, at, v) * v); };
  };
  close(grad(curvature(saving), x), grad(curvature(plain), x));
  // A gradient's gradient with respect to a captured parameter.
  const auto second = [&](auto f) {
    Tape tape;
    return Variable(tape.backward(sum(square(grad(f, x))))[step.weight]);
  };
  close(second(saving), second(plain));
}

TEST_CASE("several inputs and results pass a checkpoint, of any shapes", "[checkpoint]") {
  const auto f = [](std::span<const Variable> in) {
    return std::vector<Variable>{in[0] * in[1], sum(in[1]), in[0]};
  };
  Tape tape;
  const Variable a = tape.watch(Tensor::of({1, 2, 3, 4}, Dtype::f64).reshape({2, 2})),
                 b = tape.watch(vector({5, 6}));
  const std::array in{a, b};
  const std::vector<Variable> out = checkpoint(f, in);
  CHECK(out[0].shape() == Shape{2, 2});
  CHECK(out[1].shape() == Shape{});
  CHECK(out[2].value().text() == a.value().text());
  const Gradients grads = tape.backward(sum(out[0]) + 10 * out[1]);
  CHECK(grads[a].text() == "[[5, 6], [5, 6]]");
  CHECK(grads[b].text() == "[14, 16]");
}

TEST_CASE("a generator captured by value gives a checkpoint the same numbers again", "[checkpoint]") {
  const auto f = [rng = Rng(5)](const Variable& x) mutable { return nn::dropout(x * x, 0.5, &rng); };
  Tape tape;
  const Variable x = tape.watch(ones({100}, Dtype::f64));
  const Variable y = checkpoint(f, x);
  // y = m x^2 with a mask m, so the gradient at 1 is 2 y.
  CHECK(identical(tape.backward(sum(y))[x], y.value() * 2));
}

TEST_CASE("a layer with a fused sequence and a sparse gradient inside a checkpoint", "[checkpoint]") {
  Rng rng(2);
  const nn::Lstm lstm(rng, 3, 4);
  const Parameter table(rng.normal({5, 3}));
  const Indices ids({0, 3, 3, 1}, {2, 2});
  const auto f = [&](const Variable& scale) {
    return lstm(gather_rows(table, ids) * scale, lstm.start(2)).first;
  };
  const auto gradients = [&](bool saving) {
    Tape tape;
    const Variable scale = tape.watch(Tensor::scalar(0.7));
    const Gradients found = tape.backward(sum(square(saving ? checkpoint(f, scale) : f(scale))));
    return std::array{found[scale], found[table], found[lstm.layers[0].weight_hh]};
  };
  const auto plain = gradients(false), again = gradients(true);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(identical(plain[i], again[i]));
}

TEST_CASE("a module is used as it is, and an f that copies its parameters is named", "[checkpoint]") {
  Rng rng(1);
  const nn::Linear layer(rng, 3, 2);
  const Recurrence copied(3);  // a callable without members
  Tape tape;
  const Variable x = tape.watch(ones({3}));
  CHECK(tape.backward(sum(checkpoint(layer, x)))[layer.weight].text() == "[[1, 1, 1], [1, 1, 1]]");
  const Variable h = tape.watch(ones({3}, Dtype::f64)), y = sum(checkpoint(copied, h));
  CHECK_THROWS_WITH(grad(y, h), Contains("by reference") && Contains("recompute_test.cpp"));
  CHECK_THROWS_WITH(tape.backward(y), Contains("by reference") && Contains("recompute_test.cpp"));
}

TEST_CASE("a function that is not the same when computed again is named", "[checkpoint]") {
  int calls = 0;
  const auto f = [&](const Variable& x) { return ++calls == 1 ? x * 1 : sum(x); };
  Tape tape;
  const Variable x = tape.watch(vector({1, 2}));
  const Variable y = sum(checkpoint(f, x));
  CHECK_THROWS_WITH(
      tape.backward(y),
      Contains("differentiating checkpoint, recorded at recompute_test.cpp:") && Contains("same"));
  // Another number of results.
  int rounds = 0;
  const auto fewer = [&](std::span<const Variable> in) {
    return ++rounds == 1 ? std::vector<Variable>{in[0] * 2, in[0]} : std::vector<Variable>{in[0] * 2};
  };
  const Variable again = tape.watch(vector({1, 2}));
  const Variable z = sum(checkpoint(fewer, std::array{again}).front());
  CHECK_THROWS_WITH(tape.backward(z),
                    Contains("differentiating checkpoint, recorded at recompute_test.cpp:") &&
                        Contains("gave 2 results when it was first called, and 1 when") && Contains("same"));
  CHECK_THROWS_AS(checkpoint_sequence([](const Variable& h, std::int64_t) { return h; }, x, -1),
                  ArgumentError);
}

TEST_CASE("a checkpointed recurrence equals the plain one, for any segment", "[checkpoint]") {
  const Recurrence step(3);
  const std::int64_t steps = 37;
  const auto with_time = [&](const Variable& h, std::int64_t t) {
    return step(h) + 0.01 * static_cast<double>(t);
  };
  const auto gradients = [&](std::int64_t segment) {
    Tape tape;
    const Variable x = tape.watch(vector({0.5, -1, 2}));
    Variable h = x;
    if (segment < 0) {
      for (std::int64_t t = 0; t < steps; ++t) h = with_time(h, t);
    } else {
      h = checkpoint_sequence(with_time, x, steps, {.segment = segment});
    }
    const Gradients found = tape.backward(sum(h));
    return std::array{h.value(), found[x], found[step.weight]};
  };
  const auto plain = gradients(-1);
  for (const std::int64_t segment : {0, 1, 6, 37, 100}) {
    const auto again = gradients(segment);
    CHECK(identical(again[0], plain[0]));
    for (std::size_t i = 1; i < 3; ++i) {
      for (std::int64_t e = 0; e < plain[i].size(); ++e)
        CHECK(again[i].at(e) == Approx(plain[i].at(e)).epsilon(1e-12));
    }
  }
}

TEST_CASE("a step that reads inputs is differentiated after all that made it has ended", "[checkpoint]") {
  const Parameter weight(vector({0.5, -0.3, 0.8}));
  const std::int64_t steps = 11;
  const auto step = [](const Variable& h, std::int64_t t, std::span<const Variable> in) {
    return sin(h * in[1]) + select(in[0], t);
  };
  // The sequence, the weights and the step are local to a function that returns before backward.
  const auto checkpointed = [&](const Variable& x, std::int64_t segment) {
    const auto own_step = step;
    const Variable sequence = x * 0.1;  // (time, width)
    const std::vector<Variable> inputs{sequence, weight};
    return checkpoint_sequence(own_step, Variable(vector({1, 2, 3})), inputs, steps, {.segment = segment});
  };
  const auto captured = [&](const Variable& x, std::int64_t segment) {
    const Variable sequence = x * 0.1;
    const auto own_step = [sequence, w = Variable(weight), step](const Variable& h, std::int64_t t) {
      return step(h, t, std::array{sequence, w});
    };
    return checkpoint_sequence(own_step, Variable(vector({1, 2, 3})), steps, {.segment = segment});
  };
  const auto plain = [&](const Variable& x, std::int64_t) {
    Variable h(vector({1, 2, 3}));
    for (std::int64_t t = 0; t < steps; ++t) h = step(h, t, std::array{x * 0.1, Variable(weight)});
    return h;
  };
  const auto gradients = [&](const auto& f, std::int64_t segment) {
    Tape tape;
    const Variable x = tape.watch(ones({steps, 3}, Dtype::f64)), y = f(x, segment);
    const Gradients found = tape.backward(sum(y));
    return std::array{y.value(), found[x], found[weight]};
  };
  const auto expected = gradients(plain, 0);
  for (const std::int64_t segment : {0, 1, 4, 11}) {
    for (const auto& found : {gradients(checkpointed, segment), gradients(captured, segment)}) {
      for (std::size_t i = 0; i < 3; ++i) {
        for (std::int64_t e = 0; e < expected[i].size(); ++e)
          CHECK(found[i].at(e) == Approx(expected[i].at(e)).epsilon(1e-12));
      }
    }
  }
  // Several parts of a state beside inputs.
  const auto pair = [](std::span<const Variable> s, std::int64_t, std::span<const Variable> in) {
    return std::vector<Variable>{s[0] * in[0], s[1] + sum(s[0])};
  };
  const std::array start{Variable(vector({1})), Variable(Tensor::scalar(0, Dtype::f64))};
  CHECK(checkpoint_sequence(pair, start, {Variable(vector({2}))}, 4)[1].item() == 15);
}

TEST_CASE("a recurrence with a sum over time in its state", "[checkpoint]") {
  const auto step = [](std::span<const Variable> s, std::int64_t) {
    const Variable h = sin(s[0]);
    return std::vector<Variable>{h, s[1] + sum(h)};
  };
  const auto loss = [&](const Variable& x) {
    const std::array start{x, Variable(Tensor::scalar(0, Dtype::f64))};
    return checkpoint_sequence(step, start, 10)[1];
  };
  double h = 1, slope = 1, expected = 0;
  for (int t = 0; t < 10; ++t) {
    slope *= std::cos(h);
    h = std::sin(h);
    expected += slope;
  }
  CHECK(grad(loss, Variable(vector({1}))).item() == Approx(expected).epsilon(1e-13));
}

#if !defined(GRADUS_ADDRESS_SANITIZER)  // under it the pool, whose memory is counted, is off
TEST_CASE("a checkpointed recurrence of 10,000 steps takes memory for hundreds of states", "[checkpoint]") {
  // Bytes that the tensors of a backward take from the heap, by a thread with an empty pool and in a size
  // that no other test uses, so that nothing is left over from before.
  const auto bytes_of_backward = [](std::int64_t steps, std::int64_t segment, std::int64_t width) {
    std::int64_t bytes = 0;
    double slope = 0;
    std::thread([&] {
      const std::int64_t before = storage::statistics().heap_bytes_held;
      Tape tape;
      const Variable x = tape.watch(full({width}, 0.9, Dtype::f64));
      const auto step = [](const Variable& h, std::int64_t) { return sin(h) + 0.1; };
      Variable h = x;
      if (segment < 0) {
        for (std::int64_t t = 0; t < steps; ++t) h = step(h, t);
      } else {
        h = checkpoint_sequence(step, x, steps, {.segment = segment});
      }
      slope = sum(tape.backward(sum(h))[x]).item();
      bytes = storage::statistics().heap_bytes_held - before;
    }).join();
    CHECK(std::isfinite(slope));
    return bytes;
  };
  const std::int64_t state = 1500 * 8;
  const std::int64_t saving = bytes_of_backward(10'000, 0, 1500);
  const std::int64_t plain = bytes_of_backward(2'000, -1, 2300);  // another size, a fifth of the steps
  INFO(saving << " bytes with checkpoints, " << plain << " without in a fifth of the steps");
  CHECK(saving < 500 * state);  // 100 kept, 2 or 3 a step of one segment
  CHECK(plain > 2'000 * 2300 * 8);
}
#endif
