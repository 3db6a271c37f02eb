#pragma once

#include <cstdint>

/// Elementwise functions of contiguous arrays, split among threads where the work is large enough. T is float
/// or double. An input may be the output itself but must not overlap it otherwise. The results do not depend
/// on the number of threads.
namespace gradus::kernels {

/// At NaN, infinities, zeros of either sign and the edges of their domains the values are PyTorch's (but
/// sign(NaN) is NaN here and 0 there).
enum class Unary {
  neg,
  abs,
  sign,  // 1, -1, or 0; NaN stays
  square,
  sqrt,
  rsqrt,  // 1 / sqrt(x)
  reciprocal,
  exp,
  expm1,
  log,
  log1p,
  log2,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  tanh,
  asinh,
  acosh,
  atanh,
  erf,
  erfc,
  lgamma,   // log |Gamma(x)|
  sigmoid,  // 1 / (1 + exp(-x))
  relu,     // NaN stays
  floor,
  ceil,
  round,  // halves to even
};
/// Comparisons give 1 or 0.
enum class Binary {
  add,
  sub,
  mul,
  div,
  maximum,  // NaN on either side wins
  minimum,
  pow,
  atan2,  // the angle of (x = b, y = a)
  fmod,   // the sign of a
  less,
  less_equal,
  equal,
  not_equal,
  polygamma,  // the a-th derivative of digamma at b; a = 0, 1, 2, ...
};
enum class Ternary {
  fma,      // a * b + c; one rounding where the processor has it, always with AVX2 and AVX-512
  where,    // a != 0 ? b : c; what is not chosen has no influence
  product,  // a * b * c: what traced programs make of two products, so that rows are read and written less
};

/// The work of one element in scalar operations, as parallel::for_range takes it.
std::int64_t cost(Unary op);
std::int64_t cost(Binary op);
std::int64_t cost(Ternary op);

/// y[i] = op(x[i])
template <class T>
void unary(Unary op, const T* x, T* y, std::int64_t n);
/// y[i] = op(a[i], b[i]); a scalar operand is one value used for every i.
template <class T>
void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n);
/// y[i] = op(a[i], b[i], c[i]); a scalar operand is one value used for every i.
template <class T>
void ternary(Ternary op, const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar,
             T* y, std::int64_t n);
/// y[i] += scale * x[i]
template <class T>
void add_scaled(T scale, const T* x, T* y, std::int64_t n);
/// y[i] = value
template <class T>
void fill(T value, T* y, std::int64_t n);

}  // namespace gradus::kernels
