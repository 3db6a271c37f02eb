#pragma once

#include "autograd/variable.hpp"

/// Elementwise functions of one argument. Values and derivatives at NaN, infinities and the edges of domains
/// are PyTorch's, unless said.
namespace gradus {

/// |x|; the derivative at 0 is 0.
Variable abs(const Variable& x, Where where = Where::here());
/// 1, -1 or 0; the derivative is 0 everywhere.
Variable sign(const Variable& x, Where where = Where::here());
Variable square(const Variable& x, Where where = Where::here());
/// The derivative at 0 is infinite.
Variable sqrt(const Variable& x, Where where = Where::here());
/// 1 / sqrt(x)
Variable rsqrt(const Variable& x, Where where = Where::here());
Variable reciprocal(const Variable& x, Where where = Where::here());
Variable exp(const Variable& x, Where where = Where::here());
/// exp(x) - 1, accurate near 0.
Variable expm1(const Variable& x, Where where = Where::here());
Variable log(const Variable& x, Where where = Where::here());
/// log(1 + x), accurate near 0.
Variable log1p(const Variable& x, Where where = Where::here());
Variable log2(const Variable& x, Where where = Where::here());
Variable sin(const Variable& x, Where where = Where::here());
Variable cos(const Variable& x, Where where = Where::here());
Variable tan(const Variable& x, Where where = Where::here());
Variable asin(const Variable& x, Where where = Where::here());
Variable acos(const Variable& x, Where where = Where::here());
Variable atan(const Variable& x, Where where = Where::here());
Variable sinh(const Variable& x, Where where = Where::here());
Variable cosh(const Variable& x, Where where = Where::here());
Variable tanh(const Variable& x, Where where = Where::here());
Variable asinh(const Variable& x, Where where = Where::here());
Variable acosh(const Variable& x, Where where = Where::here());
Variable atanh(const Variable& x, Where where = Where::here());
/// 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
Variable erf(const Variable& x, Where where = Where::here());
/// 1 - erf(x), accurate where erf is near 1.
Variable erfc(const Variable& x, Where where = Where::here());
/// log |Gamma(x)|
Variable lgamma(const Variable& x, Where where = Where::here());
/// The derivative of lgamma.
Variable digamma(const Variable& x, Where where = Where::here());
/// The n-th derivative of digamma. Throws ArgumentError for n < 0.
Variable polygamma(int n, const Variable& x, Where where = Where::here());
/// 1 / (1 + exp(-x))
Variable sigmoid(const Variable& x, Where where = Where::here());
/// max(x, 0); the derivative at 0 is 0.
Variable relu(const Variable& x, Where where = Where::here());
/// Whole numbers: down, up, and the nearest (halves to the even one); the derivative is 0 everywhere.
Variable floor(const Variable& x, Where where = Where::here());
Variable ceil(const Variable& x, Where where = Where::here());
Variable round(const Variable& x, Where where = Where::here());

}  // namespace gradus
