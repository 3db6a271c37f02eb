#include "autograd/ops/elementwise.hpp"

#include "autograd/elementwise/derivatives.hpp"
#include "autograd/elementwise/fused_vjp.hpp"
#include "autograd/record.hpp"

namespace gradus {

namespace {

using detail::Reads;
using kernels::Unary;

/// The closure's product with g: in one pass when nothing is recorded, else in ops.
template <Unary op>
Variable recorded_vjp(const Variable& g, const Variable& v) {
  if (recording()) return detail::local_vjp(op, g, v);
  return Variable(detail::fused_vjp(op, g.value(), v.value()));
}

template <Unary op>
Variable record_unary(const char* name, const Variable& x, Where where) {
  const InOp at(name, where);
  Tensor value = apply(op, x.value());
  if constexpr (!detail::has_derivative(op)) {
    return Variable(std::move(value));
  } else if constexpr (detail::reads(op) == Reads::nothing) {
    return record(at, std::move(value),
                  wrt(x, [](const Variable& g) { return detail::local_vjp(op, g, g); }));
  } else if constexpr (detail::reads(op) == Reads::y) {
    return record(at, std::move(value), wrt(x, recorded_vjp<op>));
  } else {
    return record(at, std::move(value), wrt(x, [x](const Variable& g) { return recorded_vjp<op>(g, x); }));
  }
}

}  // namespace

Variable apply(Unary op, const Variable& x, Where where) {
  switch (op) {
#define GRADUS_UNARY(name, ...) \
  case Unary::name:             \
    return record_unary<Unary::name>(#name, x, where);
#include "tensor/kernels/function_rows.hpp"
  }
  return {};
}

}  // namespace gradus
