#include <span>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

TEST_CASE("recorded values do not change where the elements of a parameter or a tensor are lent", "[tape]") {
  // w^2 at 2, while its elements are written to.
  for (const bool as_span : {false, true}) {
    Parameter w(Tensor::of({2}));
    Tensor x = Tensor::of({2});
    auto lent = w.mutable_value().mutable_values<float>(), lent_too = x.mutable_values<float>();
    std::span<float> of_w = lent, of_x = lent_too;
    if (as_span) {
      of_w = w.mutable_value().mutable_values<float>();
      of_x = x.mutable_values<float>();
    }
    Tape tape;
    const Variable v = tape.watch(x), loss = sum(square(w)) + sum(square(v)) + sum(v * w);
    of_w[0] = 100;
    of_x[0] = 50;
    CHECK(loss.item() == 12);
    CHECK(v.value().item() == 2);
    const Gradients gradients = tape.backward(loss);
    CHECK(gradients[w].item() == 6);
    CHECK(gradients[v].item() == 6);
  }
}

TEST_CASE("a Variable that took over a lent tensor has recorded what it was", "[tape]") {
  Tensor x = Tensor::of({2});
  auto lent = x.mutable_values<float>();
  Tape tape;
  const Variable v = tape.watch(std::move(x)), y = sum(v * v * v);
  lent[0] = 100;
  CHECK(tape.backward(y)[v].item() == 12);
}

TEST_CASE("a step copies no parameter whose first values were lent", "[tape]") {
  Parameter w(zeros({4}));
  for (float& value : w.mutable_value().mutable_values<float>()) value = 1;
  const float* const before = w.value().data<float>();
  {
    Tape tape;
    const Variable loss = sum(square(w));
    CHECK(Variable(w).value().data<float>() == before);
    const Gradients gradients = tape.backward(loss);
    CHECK(gradients[w].at(0) == 2);
  }
  w.mutable_value() += 1;
  CHECK(w.value().data<float>() == before);
}
