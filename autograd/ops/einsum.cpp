#include "autograd/ops/einsum.hpp"

#include "autograd/record.hpp"
#include "tensor/ops/einsum_plan.hpp"

namespace gradus {

namespace {

using detail::Labels;

Variable spread(const Variable& x, const Labels& from, const Labels& to, const Shape& shape, Where where);

/// Diagonals and sums over one operand; the gradient puts them back.
Variable reduce(const Variable& x, const Labels& from, const Labels& to, Where where) {
  const InOp op("einsum_reduce", where);
  if (from == to) return x;
  return record(op, detail::einsum_reduce(x.value(), from, to),
                wrt(x, [from, to, shape = x.shape()](const Variable& g) {
                  return spread(g, to, from, shape, Where::here());
                }));
}

Variable spread(const Variable& x, const Labels& from, const Labels& to, const Shape& shape, Where where) {
  const InOp op("einsum_spread", where);
  return record(op, detail::einsum_spread(x.value(), from, to, shape),
                wrt(x, [from, to](const Variable& g) { return reduce(g, to, from, Where::here()); }));
}

/// The sum of products a[a_labels] b[b_labels] over what `out` lacks. With respect to a it is the sum of
/// g[out] b[b_labels] over what a_labels lacks: a pair of the same kind.
Variable pair(const Variable& a, const Labels& a_labels, const Variable& b, const Labels& b_labels,
              const Labels& out, Where where) {
  const InOp op("einsum", where);
  return record(op, detail::einsum_pair(a.value(), a_labels, b.value(), b_labels, out),
                wrt(a, [b, a_labels, b_labels, out](
                           const Variable& g) { return pair(g, out, b, b_labels, a_labels, Where::here()); }),
                wrt(b, [a, a_labels, b_labels, out](const Variable& g) {
                  return pair(a, a_labels, g, out, b_labels, Where::here());
                }));
}

}  // namespace

Variable einsum(std::string_view subscripts, List<Variable> operands, Where where) {
  const InOp op("einsum", where);
  return detail::run_einsum(
      detail::plan_einsum(subscripts, detail::einsum_shapes(operands)), operands,
      [where](const Variable& x, const Labels& from, const Labels& to) { return reduce(x, from, to, where); },
      [where](const Variable& a, const Labels& a_labels, const Variable& b, const Labels& b_labels,
              const Labels& out) { return pair(a, a_labels, b, b_labels, out, where); });
}

}  // namespace gradus
