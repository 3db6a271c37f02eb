#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/gradcheck.hpp"
#include "autograd/variable.hpp"

namespace gradus::test {

/// What to draw a gradient check's inputs from: uniform in [low, high), no closer than `gap` to 0, so that
/// kinks and poles there are avoided on purpose.
struct Range {
  double low = -2, high = 2;
  double gap = 0;
};

/// One row of the table of gradient checks: an op, how to call it, and the shapes to try it on.
struct GradientRow {
  std::string op;  // the name given to record
  std::function<Variable(std::span<const Variable>)> call;
  std::vector<std::vector<Shape>> shapes;  // each: one shape an input
  Range range = {};
  bool distinct = false;  // all values of an input well apart, for maxima
};

/// The rows for a folder's ops; an op in the sources without a row fails a test.
std::vector<GradientRow> gradient_table();
std::vector<GradientRow> layer_gradient_table();

}  // namespace gradus::test
