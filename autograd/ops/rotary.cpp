#include "autograd/ops/rotary.hpp"

#include "autograd/record.hpp"

namespace gradus {

namespace {

void check(const Variable& x, const RotaryAngles& angles, const RotaryLayout& layout) {
  const Tensor &cos = angles.cos, &sin = angles.sin;
  if (!x.value().defined() || !cos.defined() || !sin.defined())
    fail<ArgumentError>("rotary: x or its angles are undefined; rotary_angles makes them");
  if (x.rank() != 4)
    fail<ShapeError>("rotary: x of shape {}; it must be {}", x.shape(),
                     layout.time_first ? "(batch, time, heads, width)" : "(batch, heads, time, width)");
  const std::int64_t time = x.dim(layout.time_first ? 1 : 2);
  const bool by_entry = cos.rank() == 3 && cos.dim(0) == x.dim(0) && cos.dim(1) == time;
  if (cos.shape() != sin.shape() || !(by_entry || (cos.rank() == 2 && cos.dim(0) == time)) ||
      2 * cos.dim(-1) > x.dim(3))
    fail<ShapeError>(
        "rotary: x of shape {}, angles of shapes {} and {}; they must be (time, pairs) or (batch, time, "
        "pairs), of "
        "a time of {} and at most {} pairs",
        x.shape(), cos.shape(), sin.shape(), time, x.dim(3) / 2);
  if (cos.dtype() != x.dtype() || sin.dtype() != x.dtype())
    fail<DtypeError>("rotary: x is {}, its angles {}; rotary_angles takes a dtype", name_of(x.dtype()),
                     name_of(cos.dtype()));
}

Variable turned(const Variable& x, const RotaryAngles& angles, const RotaryLayout& layout, bool backwards,
                Where where) {
  const InOp op("rotary", where);
  check(x, angles, layout);
  Tensor value = detail::rotate(x.value(), angles, layout.pairs, layout.time_first, backwards);
  return record(op, std::move(value), wrt(x, [angles, layout, backwards](const Variable& g) {
                  return turned(g, angles, layout, !backwards, {});
                }));
}

}  // namespace

Variable rotary(const Variable& x, const RotaryAngles& angles, const RotaryLayout& layout, Where where) {
  return turned(x, angles, layout, false, where);
}

}  // namespace gradus
