#include "tensor/kernels/scalar.hpp"

#include <math.h>  // lgamma_r, which unlike std::lgamma writes no global

#include <cmath>

namespace gradus::kernels::scalar {

namespace {

template <class T>
T log_gamma(T x) {
  int sign = 0;
  if constexpr (sizeof(T) == 4) {
    return ::lgammaf_r(x, &sign);
  } else {
    return ::lgamma_r(x, &sign);
  }
}

}  // namespace

template <class T>
void unary(Unary op, const T* x, T* y, std::int64_t n) {
  const auto run = [&](auto f) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(x[i]);
  };
  switch (op) {
    case Unary::rsqrt:
      return run([](T v) { return 1 / std::sqrt(v); });
    case Unary::expm1:
      return run([](T v) { return std::expm1(v); });
    case Unary::log2:
      return run([](T v) { return std::log2(v); });
    case Unary::tan:
      return run([](T v) { return std::tan(v); });
    case Unary::asin:
      return run([](T v) { return std::asin(v); });
    case Unary::acos:
      return run([](T v) { return std::acos(v); });
    case Unary::atan:
      return run([](T v) { return std::atan(v); });
    case Unary::sinh:
      return run([](T v) { return std::sinh(v); });
    case Unary::cosh:
      return run([](T v) { return std::cosh(v); });
    case Unary::asinh:
      return run([](T v) { return std::asinh(v); });
    case Unary::acosh:
      return run([](T v) { return std::acosh(v); });
    case Unary::atanh:
      return run([](T v) { return std::atanh(v); });
    case Unary::erf:
      return run([](T v) { return std::erf(v); });
    case Unary::erfc:
      return run([](T v) { return std::erfc(v); });
    case Unary::lgamma:
      return run([](T v) { return log_gamma(v); });
    case Unary::floor:
      return run([](T v) { return std::floor(v); });
    case Unary::ceil:
      return run([](T v) { return std::ceil(v); });
    case Unary::round:
      return run([](T v) { return std::nearbyint(v); });
    default:
      return;  // in the tables
  }
}

template <class T>
void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n) {
  if (n <= 0) return;
  const T left = *a, right = *b;  // y may stand where a scalar does
  const auto run = [&](auto f) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(a_scalar ? left : a[i], b_scalar ? right : b[i]);
  };
  switch (op) {
    case Binary::pow:
      return run([](T l, T r) { return std::pow(l, r); });
    case Binary::atan2:
      return run([](T l, T r) { return std::atan2(l, r); });
    case Binary::fmod:
      return run([](T l, T r) { return std::fmod(l, r); });
    case Binary::polygamma:
      return run(
          [](T l, T r) { return static_cast<T>(polygamma(static_cast<double>(l), static_cast<double>(r))); });
    default:
      return;  // in the tables
  }
}

template void unary(Unary, const float*, float*, std::int64_t);
template void unary(Unary, const double*, double*, std::int64_t);
template void binary(Binary, const float*, bool, const float*, bool, float*, std::int64_t);
template void binary(Binary, const double*, bool, const double*, bool, double*, std::int64_t);

}  // namespace gradus::kernels::scalar
