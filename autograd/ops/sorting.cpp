#include "autograd/ops/sorting.hpp"

#include "autograd/op.hpp"
#include "autograd/ops/indexing.hpp"

namespace gradus {

Sorted<Variable> sort(const Variable& x, SortOptions options, Where where) {
  const InOp op("sort", where);
  Indices ids = argsort(x.value(), options);
  return {x.rank() == 0 ? x : gather(x, options.axis, ids, where), std::move(ids)};
}

Sorted<Variable> topk(const Variable& x, std::int64_t k, TopkOptions options, Where where) {
  const InOp op("topk", where);
  Indices ids = argtopk(x.value(), k, options);
  return {gather(x, options.axis, ids, where), std::move(ids)};
}

}  // namespace gradus
