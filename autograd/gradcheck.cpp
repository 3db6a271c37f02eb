#include "autograd/gradcheck.hpp"

#include <algorithm>
#include <cmath>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"

namespace gradus {

namespace {

using Inputs = std::vector<Variable>;
/// A function of the inputs to one number.
using Scalar = std::function<Variable(std::span<const Variable>)>;

/// The sum of y's elements, each with its own weight, so that no derivative can hide.
Variable weighted_sum(const Variable& y, std::uint64_t seed) {
  Rng rng(seed);
  return sum(y * Variable(rng.uniform(y.shape(), 0.5, 1.5, Dtype::f64)));
}

Inputs constants(const std::vector<Tensor>& inputs) {
  Inputs out;
  for (const Tensor& x : inputs) out.emplace_back(x);
  return out;
}

Tensor moved(const Tensor& x, std::int64_t element, double value) {
  Tensor out = x;
  out.mutable_data<double>()[element] = value;
  return out;
}

/// The derivative of f with respect to one element: central differences of fourth order.
double numeric_derivative(const Scalar& f, const std::vector<Tensor>& inputs, std::size_t input,
                          std::int64_t element, double relative_step) {
  const double x = inputs[input].at(element);
  const double step = relative_step * std::max(1.0, std::abs(x));
  const auto at = [&](double offset) {
    Inputs values = constants(inputs);
    values[input] = Variable(moved(inputs[input], element, x + offset));
    return f(values).item();
  };
  return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
}

void compare(const Scalar& f, const std::vector<Tensor>& inputs, std::size_t input, const Tensor& analytic,
             const char* which, const GradcheckOptions& options, GradcheckResult& result) {
  if (analytic.shape() != inputs[input].shape()) {
    result.passed = false;
    result.message = fmt::format("{} derivative of input {}: shape {} instead of {}", which, input,
                                 analytic.shape(), inputs[input].shape());
    return;
  }
  std::vector<double> numeric;
  double largest = 0;
  for (std::int64_t i = 0; i < analytic.size(); ++i) {
    numeric.push_back(numeric_derivative(f, inputs, input, i, options.step));
    largest = std::max(largest, std::abs(numeric.back()));
  }
  const double floor = std::max(1e-3 * largest, 1e-6);
  for (std::int64_t i = 0; i < analytic.size(); ++i) {
    const double a = analytic.at(i), n = numeric[static_cast<std::size_t>(i)];
    const double error = std::abs(a - n) / (std::max(std::abs(a), std::abs(n)) + floor);
    ++result.checked;
    if (!(error <= result.largest_error)) result.largest_error = error;
    if (!(error <= options.tolerance) && result.passed) {
      result.passed = false;
      result.message =
          fmt::format("{} derivative of input {} (shape {}), element {}: {:.12g}, by differences {:.12g}",
                      which, input, inputs[input].shape(), i, a, n);
    }
  }
}

std::vector<Tensor> first_gradients(const Scalar& f, const std::vector<Tensor>& inputs) {
  Tape tape;
  Inputs watched;
  for (const Tensor& x : inputs) watched.push_back(tape.watch(x));
  const Variable y = f(watched);
  std::vector<Tensor> out;
  if (y.is_constant()) {
    for (const Tensor& x : inputs) out.push_back(zeros_like(x));
    return out;
  }
  const Gradients gradients = tape.backward(y);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    out.push_back(gradients.contains(watched[i]) ? gradients[watched[i]] : zeros_like(inputs[i]));
  }
  return out;
}

}  // namespace

GradcheckResult gradcheck(const std::function<Variable(std::span<const Variable>)>& f,
                          const std::vector<Tensor>& inputs, GradcheckOptions options) {
  for (const Tensor& x : inputs) {
    if (x.dtype() != Dtype::f64)
      fail<DtypeError>("gradcheck: an input of {}; all must be f64", name_of(x.dtype()));
  }
  GradcheckResult result;
  const Scalar first = [&](std::span<const Variable> xs) { return weighted_sum(f(xs), options.seed); };
  const std::vector<Tensor> gradients = first_gradients(first, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    compare(first, inputs, i, gradients[i], "first", options, result);
  if (!options.second_order) return result;

  // The gradient as a function, made one number by other weights.
  const Scalar second = [&](std::span<const Variable> xs) {
    const auto weighted_gradient = [&](std::span<const Variable> at) {
      const std::vector<Variable> gs = grad(first(at), at);
      Variable total(Tensor::scalar(0, Dtype::f64));
      for (std::size_t i = 0; i < gs.size(); ++i) total = total + weighted_sum(gs[i], options.seed + 1 + i);
      return total;
    };
    if (!xs.empty() && !xs.front().is_constant()) return weighted_gradient(xs);
    Tape tape;  // differences: each value from a tape of its own
    Inputs watched;
    for (const Variable& x : xs) watched.push_back(tape.watch(x.value()));
    return detach(weighted_gradient(watched));
  };
  const std::vector<Tensor> seconds = first_gradients(second, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    compare(second, inputs, i, seconds[i], "second", options, result);
  return result;
}

}  // namespace gradus
