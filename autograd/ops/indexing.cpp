#include "autograd/ops/indexing.hpp"

#include "autograd/compact.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {
/// (ids' shape, width...) as (n, width...), beside ids as (n).
Rows flat_rows(const Tensor& values, const Indices& ids, std::int64_t height) {
  Shape shape = values.shape();
  for (int i = 0; i < ids.rank(); ++i) shape = shape.erased(0);
  return {ids.reshape({ids.size()}), values.reshape(shape.inserted(0, ids.size())), height};
}
void check_rows(const Shape& values, const Indices& ids) {
  bool fits = values.rank() >= ids.rank();
  for (int i = 0; fits && i < ids.rank(); ++i) fits = values[i] == ids.dim(i);
  if (!fits)
    fail<ShapeError>("scatter_rows: values of shape {} do not begin with the ids' shape {}", values,
                     ids.shape());
}

/// An op that reads entries of x. add(sum, g) is its adjoint, of Tensors in place and of Variables.
template <class Add>
Variable record_reading(const Op& op, const Variable& x, Tensor value, Add add) {
  const auto added = [shape = x.shape(), add](const Variable& g) {
    return add(Variable(zeros(shape, g.dtype())), g);
  };
  const auto add_in_place = [add](const Tensor& g, Tensor& sum) { add(sum, g); };
  return record(op, std::move(value), wrt(x, added, add_in_place));
}

}  // namespace

Variable gather_rows(const Variable& table, const Indices& ids, Where where) {
  const InOp op("gather_rows", where);
  detail::refuse_recording(table);
  Tensor value = gather_rows(table.value(), ids);
  const std::int64_t height = table.dim(0);
  const auto scattered = [ids, height](const Variable& g) { return scatter_rows(g, ids, height); };
  const auto rows = [ids, height](const Tensor& g) { return flat_rows(g, ids, height); };
  return record(op, std::move(value), wrt(table, scattered, rows));
}

Variable scatter_rows(const Variable& values, const Indices& ids, std::int64_t height, Where where) {
  const InOp op("scatter_rows", where);
  check_rows(values.shape(), ids);
  const Rows rows = flat_rows(values.value(), ids, height);
  Tensor value = zeros(rows.values.shape().with(0, height), values.dtype());
  scatter_add_rows(value, rows.ids, rows.values);
  return record(op, std::move(value), wrt(values, [ids](const Variable& g) { return gather_rows(g, ids); }));
}

Variable index_select(const Variable& x, int axis, const Indices& ids, Where where) {
  const InOp op("index_select", where);
  return record_reading(op, x, index_select(x.value(), axis, ids),
                        [axis, ids](auto&& sum, const auto& g) { return index_add(sum, axis, ids, g); });
}

Variable index_add(const Variable& x, int axis, const Indices& ids, const Variable& values, Where where) {
  const InOp op("index_add", where);
  Tensor value = x.value();
  index_add(value, axis, ids, values.value());
  return record(op, std::move(value), wrt(x, [](const Variable& g) { return g; }),
                wrt(values, [axis, ids](const Variable& g) { return index_select(g, axis, ids); }));
}

Variable gather(const Variable& x, int axis, const Indices& ids, Where where) {
  const InOp op("gather", where);
  return record_reading(op, x, gather(x.value(), axis, ids),
                        [axis, ids](auto&& sum, const auto& g) { return scatter_add(sum, axis, ids, g); });
}

Variable scatter_add(const Variable& x, int axis, const Indices& ids, const Variable& values, Where where) {
  const InOp op("scatter_add", where);
  Tensor value = x.value();
  scatter_add(value, axis, ids, values.value());
  return record(op, std::move(value), wrt(x, [](const Variable& g) { return g; }),
                wrt(values, [axis, ids](const Variable& g) { return gather(g, axis, ids); }));
}

Variable take_along(const Variable& x, int axis, const Indices& ids, Where where) {
  const InOp op("take_along", where);
  const Shape out = detail::taken_along(x.shape(), axis, ids);
  const Variable wide = broadcast_to(x, out.with(axis, x.dim(axis)), where);
  return gather(wide, axis, broadcast_to(ids, out), where);
}

Variable pick(const Variable& x, int axis, const Indices& ids, Where where) {
  const InOp op("pick", where);
  Tensor value = pick(x.value(), axis, ids);
  const Indices kept = ids.reshape(x.shape().with(axis, 1));
  return record_reading(op, x, std::move(value), [axis, kept](auto&& sum, const auto& g) {
    return scatter_add(sum, axis, kept, reshape(g, kept.shape()));
  });
}

Variable repeat_interleave(const Variable& x, const Indices& counts, int axis, Where where) {
  const InOp op("repeat_interleave", where);
  return index_select(x, axis, detail::interleaved_ids(counts, x.dim(axis)), where);
}

Variable masked_fill(const Variable& x, const Tensor& mask, double value, Where where) {
  const InOp op("masked_fill", where);
  return record(op, masked_fill(x.value(), mask, value),
                wrt(x, [mask](const Variable& g) { return masked_fill(g, mask, 0); }));
}

}  // namespace gradus
