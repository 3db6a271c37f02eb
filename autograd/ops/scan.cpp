#include "autograd/ops/scan.hpp"

#include <utility>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"

namespace gradus {

namespace {

struct ScanGradient {
  Variable a, b, start;
  Tensor h;

  void operator()(const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) const {
    detail::linear_scan_gradients(a.value(), start.value(), h, g, wanted, out);
  }
  std::vector<Variable> operator()(const Variable& g) const {
    if (a.dim(0) == 0) return {g, g, {}};
    const Variable s = recurrence(a, g, 0, Direction::backward);
    const Variable states = linear_scan(a, b, start);
    if (!start.value().defined()) return {s * shift(states, 0), s, {}};
    const Variable before = concat({unsqueeze(start, 0), slice(states, 0, 0, a.dim(0) - 1)}, 0);
    return {s * before, s, select(a, 0) * select(s, 0)};
  }
};

}  // namespace

Variable linear_scan(const Variable& a, const Variable& b, const Variable& start, Where where) {
  const InOp op("linear_scan", where);
  Tensor h = linear_scan(a.value(), b.value(), start.value());
  if (!recording()) return Variable(std::move(h));
  return record(op, h, jointly({a, b, start}, ScanGradient{a, b, start, h}));
}

}  // namespace gradus
