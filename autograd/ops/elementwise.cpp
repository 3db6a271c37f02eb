#include "autograd/ops/elementwise.hpp"

#include "autograd/elementwise/derivatives.hpp"
#include "autograd/elementwise/pull.hpp"
#include "autograd/located.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/record.hpp"
#include "tensor/ops/elementwise.hpp"

// The derivatives stand in autograd/elementwise/derivatives.hpp.
namespace gradus {

namespace {

using detail::Reads;
using kernels::Unary;

/// The closure's product with g: in one pass when nothing is recorded, else in ops.
template <Unary op>
Variable pull_recorded(const Variable& g, const Variable& v) {
  if (detail::active_head == nullptr) return Variable(detail::pull_values(op, g.value(), v.value()));
  return detail::pull(op, g, v);
}

template <Unary op>
Variable record_unary(const char* name, const Variable& x, Where where,
                      Tensor (*compute)(const TensorArgument&)) {
  static_assert(detail::has_derivative(op));
  Tensor value = located(where, [&] { return compute(x.value()); });
  if constexpr (detail::reads(op) == Reads::result) {
    return record({name, where}, std::move(value), wrt(x, pull_recorded<op>));
  } else {
    return record({name, where}, std::move(value),
                  wrt(x, [x](const Variable& g) { return pull_recorded<op>(g, x); }));
  }
}

}  // namespace

Variable abs(const Variable& x, Where where) {
  return record_unary<Unary::abs>("abs", x, where, abs);
}
Variable square(const Variable& x, Where where) {
  return record_unary<Unary::square>("square", x, where, square);
}
Variable sqrt(const Variable& x, Where where) {
  return record_unary<Unary::sqrt>("sqrt", x, where, sqrt);
}
Variable rsqrt(const Variable& x, Where where) {
  return record_unary<Unary::rsqrt>("rsqrt", x, where, rsqrt);
}
Variable reciprocal(const Variable& x, Where where) {
  return record_unary<Unary::reciprocal>("reciprocal", x, where, reciprocal);
}
Variable exp(const Variable& x, Where where) {
  return record_unary<Unary::exp>("exp", x, where, exp);
}
Variable expm1(const Variable& x, Where where) {
  return record_unary<Unary::expm1>("expm1", x, where, expm1);
}
Variable log(const Variable& x, Where where) {
  return record_unary<Unary::log>("log", x, where, log);
}
Variable log1p(const Variable& x, Where where) {
  return record_unary<Unary::log1p>("log1p", x, where, log1p);
}
Variable log2(const Variable& x, Where where) {
  return record_unary<Unary::log2>("log2", x, where, log2);
}
Variable sin(const Variable& x, Where where) {
  return record_unary<Unary::sin>("sin", x, where, sin);
}
Variable cos(const Variable& x, Where where) {
  return record_unary<Unary::cos>("cos", x, where, cos);
}
Variable tan(const Variable& x, Where where) {
  return record_unary<Unary::tan>("tan", x, where, tan);
}
Variable asin(const Variable& x, Where where) {
  return record_unary<Unary::asin>("asin", x, where, asin);
}
Variable acos(const Variable& x, Where where) {
  return record_unary<Unary::acos>("acos", x, where, acos);
}
Variable atan(const Variable& x, Where where) {
  return record_unary<Unary::atan>("atan", x, where, atan);
}
Variable sinh(const Variable& x, Where where) {
  return record_unary<Unary::sinh>("sinh", x, where, sinh);
}
Variable cosh(const Variable& x, Where where) {
  return record_unary<Unary::cosh>("cosh", x, where, cosh);
}
Variable tanh(const Variable& x, Where where) {
  return record_unary<Unary::tanh>("tanh", x, where, tanh);
}
Variable asinh(const Variable& x, Where where) {
  return record_unary<Unary::asinh>("asinh", x, where, asinh);
}
Variable acosh(const Variable& x, Where where) {
  return record_unary<Unary::acosh>("acosh", x, where, acosh);
}
Variable atanh(const Variable& x, Where where) {
  return record_unary<Unary::atanh>("atanh", x, where, atanh);
}
Variable erf(const Variable& x, Where where) {
  return record_unary<Unary::erf>("erf", x, where, erf);
}
Variable erfc(const Variable& x, Where where) {
  return record_unary<Unary::erfc>("erfc", x, where, erfc);
}
Variable lgamma(const Variable& x, Where where) {
  return record_unary<Unary::lgamma>("lgamma", x, where, lgamma);
}
Variable sigmoid(const Variable& x, Where where) {
  return record_unary<Unary::sigmoid>("sigmoid", x, where, sigmoid);
}
Variable relu(const Variable& x, Where where) {
  return record_unary<Unary::relu>("relu", x, where, relu);
}

Variable polygamma(int n, const Variable& x, Where where) {
  return record({"polygamma", where}, located(where, [&] { return polygamma(n, x.value()); }),
                wrt(x, [n, x](const Variable& g) {
                  return detail::pull_second(kernels::Binary::polygamma, g, n, x, x);
                }));
}
Variable digamma(const Variable& x, Where where) {
  return polygamma(0, x, where);
}

// Steps: constants to the tape.
Variable sign(const Variable& x, Where where) {
  return Variable(located(where, [&] { return sign(x.value()); }));
}
Variable floor(const Variable& x, Where where) {
  return Variable(located(where, [&] { return floor(x.value()); }));
}
Variable ceil(const Variable& x, Where where) {
  return Variable(located(where, [&] { return ceil(x.value()); }));
}
Variable round(const Variable& x, Where where) {
  return Variable(located(where, [&] { return round(x.value()); }));
}

}  // namespace gradus
