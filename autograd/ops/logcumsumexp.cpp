#include "autograd/ops/logcumsumexp.hpp"

#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

Variable logcumsumexp(const Variable& x, int axis, Where where) {
  const InOp op("logcumsumexp", where);
  if (x.rank() == 0) return reshape(logcumsumexp(reshape(x, {1}, where), axis, where), Shape{}, where);
  const double most =
      x.dtype() == Dtype::f32 ? std::numeric_limits<float>::max() : std::numeric_limits<double>::max();
  return record(op, logcumsumexp(x.value(), axis),
                // The gradient of x[j] is the sum of g[i] exp(x[j] - y[i]) over i >= j, which is exp(x[j] -
                // y[j]) times r[j] = g[j] + exp(y[j] - y[j+1]) r[j+1].
                wrt(x, [x, axis, most](const Variable& g, const Variable& y) {
                  const Variable bound = clamp(y, -most, most);  // no difference of infinities
                  const Variable before = shift(bound, axis, -most);
                  const Variable r = recurrence(exp(before - bound), g, axis, Direction::backward);
                  return exp(minimum(x, most) - bound) * r;
                }));
}

}  // namespace gradus
