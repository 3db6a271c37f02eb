#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autograd/variable.hpp"

namespace gradus {

struct GradcheckOptions {
  /// The step of the central differences, relative to max(1, |x|). With the fourth-order formula used here
  /// its error is about step^4, and that of rounding 1e-16 / step.
  double step = 1e-3;
  /// The largest allowed |analytic - numeric| / (max(|analytic|, |numeric|) + floor), where the floor is a
  /// thousandth of the largest derivative of that input, so that zeros are compared too.
  double tolerance = 1e-6;
  /// Check the second derivative as well.
  bool second_order = true;
  std::uint64_t seed = 1;
};

struct GradcheckResult {
  bool passed = true;
  std::int64_t checked = 0;  // derivatives compared
  double largest_error = 0;  // relative, as above
  std::string message;       // what failed first: the input, the element, both values; empty when passed
};

/// Compares the gradient of f with central differences in f64, for every element of every input, and then
/// the gradient of the gradient in the same way. f may return any shape: a fixed random weighting makes it
/// one number. Keep the inputs further than three steps from kinks. Throws DtypeError unless all inputs are
/// f64, and whatever f throws.
GradcheckResult gradcheck(const std::function<Variable(std::span<const Variable>)>& f,
                          const std::vector<Tensor>& inputs, GradcheckOptions options = {});

}  // namespace gradus
