#include "autograd/ops/indexing.hpp"

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
}  // namespace

Variable gather_rows(const Variable& table, const Indices& ids, Where where) {
  Tensor value = gather_rows(table.value(), ids);
  const std::int64_t height = table.dim(0);
  return record({"gather_rows", where}, std::move(value),
                wrt(
                    table, [ids, height](const Variable& g) { return scatter_rows(g, ids, height); },
                    [ids, height](const Tensor& g) -> Rows { return flat_rows(g, ids, height); }));
}

Variable scatter_rows(const Variable& values, const Indices& ids, std::int64_t height, Where where) {
  const Rows rows = flat_rows(values.value(), ids, height);
  Tensor value = zeros(rows.values.shape().with(0, height), values.dtype());
  scatter_add_rows(value, rows.ids, rows.values);
  return record({"scatter_rows", where}, std::move(value),
                wrt(values, [ids](const Variable& g) { return gather_rows(g, ids); }));
}

}  // namespace gradus
