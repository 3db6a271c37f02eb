#pragma once

#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autograd/elementwise.hpp"
#include "autograd/ops/activations.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"

namespace gradus::test {

/// What to draw a gradient check's inputs from: uniform in [low, high), no closer than `gap` to 0, so that
/// kinks and poles there are avoided on purpose.
struct Range {
  double low = -2, high = 2;
  double gap = 0;
  double apart = 0;  // added to the second operand of a function, so that the operands are never equal
};

using Real = long double;

/// How far a value may be from the exact one in units of the last place, in f32 and in f64. `absolute`: in
/// those of 1 where the value is smaller.
struct Accuracy {
  double f32, f64;
  bool absolute = false;
};

/// A row of the table of elementwise functions: what is called, its exact value, and where its derivatives
/// are compared with differences. The tests of values (tests/tensor/elementwise_values_test.cpp) and of
/// gradients (tests/autograd/gradient_table/) are made of these rows, and fail for a function that has none.
struct FunctionRow {
  std::string name;
  int operands = 1;
  std::function<Tensor(std::span<const Tensor>)> on_tensors;
  std::function<Variable(std::span<const Variable>)> on_variables;
  std::function<Variable(std::span<const Variable>)> traced;  // the same through `elementwise`
  bool is_composed = false;                                   // of other functions
  std::function<Real(Real, Real)> exact;
  Accuracy accuracy;
  Range range;
  bool flat = false;  // the derivative is zero wherever there is one

  /// Of the kernels' function of this name, or of f, a formula of others.
  FunctionRow(const char* of, Real (*value)(Real), Accuracy bounds, Range from = {});
  FunctionRow(const char* of, Real (*value)(Real, Real), Accuracy bounds, Range from = {});
  template <class F>
  FunctionRow(const char* of, F f, Real (*value)(Real), Accuracy bounds, Range from = {})
      : name(of),
        on_tensors([f](auto x) { return f(x[0]); }),
        on_variables([f](auto x) { return f(x[0]); }),
        traced([f](auto x) { return elementwise(f, x[0]); }),
        is_composed(true),
        exact([value](Real x, Real) { return value(x); }),
        accuracy(bounds),
        range(from) {}
};

/// All rows.
const std::vector<FunctionRow>& function_rows();

}  // namespace gradus::test
