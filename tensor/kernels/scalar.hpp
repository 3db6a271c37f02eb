#pragma once

#include <cstdint>

#include "tensor/kernels/elementwise.hpp"

/// Elementwise functions as plain loops over those of the standard library, where SIMD would be no faster or
/// less exact: most of them in f64, and single elements that a kernel leaves to them. Compiled for the
/// baseline, and called by the kernels of all instruction sets.
namespace gradus::kernels::scalar {

/// y[i] = op(x[i]), serial. y may be x.
template <class T>
void unary(Unary op, const T* x, T* y, std::int64_t n);
/// y[i] = op(a[i], b[i]), serial. y may be a or b.
template <class T>
void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n);

/// The n-th derivative of digamma, the logarithmic derivative of the gamma function; n = 0, 1, 2, ...; NaN
/// for other n. Poles (0, -1, -2, ...) give infinities where both sides agree on the sign, else NaN; digamma
/// at -0 and 0 tells the sides apart.
double polygamma(double n, double x);

}  // namespace gradus::kernels::scalar
