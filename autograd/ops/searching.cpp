#include "autograd/ops/searching.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

Variable bincount(const Indices& ids, const Variable& weights, BincountOptions options, Where where) {
  const InOp op("bincount", where);
  return record(op, bincount(ids, weights.value(), options),
                wrt(weights, [ids](const Variable& g) { return index_select(g, 0, ids); }));
}

Variable interp(const Variable& x, const Tensor& xp, const Variable& fp, InterpOptions options, Where where) {
  const InOp op("interp", where);
  const Tensor& v = x.value();
  Tensor value = interp(v, xp, fp.value(), options);
  if (!recording()) return Variable(std::move(value));
  const std::int64_t n = xp.size();
  const Indices low = detail::interp_segments(v, xp);
  const Indices high = n == 1 ? low : detail::next_ids(low);
  // How long the segment of each x is, and 1 or 0 for inside or outside of the table.
  const Tensor x0 = index_select(xp, 0, low), length = n == 1 ? ones_like(v) : index_select(xp, 0, high) - x0;
  const Tensor inside = within(v, xp[0], xp[-1]);
  // Whose value is the table's.
  Tensor read = ones_like(v);
  if (options.left) read = read * greater_equal(v, xp[0]);
  if (options.right) read = read * less_equal(v, xp[-1]);
  return record(op, std::move(value),
                wrt(x,
                    [=](const Variable& g) {
                      const Variable rise = index_select(fp, 0, high) - index_select(fp, 0, low);
                      return g * rise * (inside / length);
                    }),
                wrt(fp, [=](const Variable& g) {
                  const Variable along = clamp((x - x0) / length, 0, 1), read_g = g * read;
                  const Variable none(zeros({n}, g.dtype()));
                  return index_add(index_add(none, 0, low, read_g * (1 - along)), 0, high, read_g * along);
                }));
}

}  // namespace gradus
