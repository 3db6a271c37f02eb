#include "tensor/kernels/scalar.hpp"

#include <math.h>  // lgamma_r, which unlike std::lgamma writes no global

#include <cmath>
#include <limits>
#include <numbers>

namespace gradus::kernels::scalar {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

template <class T>
T log_gamma(T x) {
  int sign = 0;
  if constexpr (sizeof(T) == 4) {
    return ::lgammaf_r(x, &sign);
  } else {
    return ::lgamma_r(x, &sign);
  }
}

/// x^3 rounded once, but for a few values close to the middle of two numbers or near the subnormal ones: x *
/// x and its product with x, each less what rounding added to it. The same steps as the SIMD kernel's.
template <class T>
T cube(T x) {
  const T square = x * x, y = square * x;
  const T added = std::fma(std::fma(-x, x, square), x, std::fma(-square, x, y));
  return std::isfinite(added) && y != 0 ? y - added : y;
}

constexpr double slope = 1.12837916709551257390;  // 2 / sqrt(pi), of erf at 0

/// How far y is above the inverse of erf at a size between 0 and 1, over the derivative of that inverse.
double above_inverse(double y, double size) {
  return size < 0.5 ? std::erf(y) - size : (1 - size) - std::erfc(y);
}
/// The inverse of erf: Winitzki's approximation (2008, "A handy approximation for the error function and its
/// inverse"), good to 2e-3, and Halley's steps, each of which triples the digits: one gives those of f32, two
/// those of f64, and near 1, where the approximation is worse, one more. There they look at erfc, as 1 - |x|
/// is exact.
template <class T>
double erfinv(double x) {
  const double size = std::abs(x);
  if (!(size < 1)) return size == 1 ? std::copysign(infinity, x) : not_a_number;
  if (size < 1e-8) return x / slope;
  const double l = std::log((1 - size) * (1 + size)), a = 0.147, half = 2 / (std::numbers::pi * a) + l / 2;
  double y = size < 0.01 ? size / slope : std::sqrt(std::sqrt(half * half - l / a) - half);
  const int steps = (sizeof(T) == 4 ? 1 : 2) + (size > 0.9 ? 1 : 0);
  for (int step = 0; step < steps; ++step) {
    const double newton = above_inverse(y, size) / (slope * std::exp(-y * y));
    y -= newton / (1 + y * newton);
  }
  return std::copysign(y, x);
}

/// The derivative of erfinv, exp(y^2) / slope at y = erfinv(x). What rounding took from y and from its square
/// counts y^2 times as much here, so both are put back.
double erfinv_slope(double x) {
  const double size = std::abs(x);
  if (!(size < 1)) return size == 1 ? infinity : not_a_number;
  const double y = erfinv<double>(size), square = y * y, lost = std::fma(y, y, -square);
  const double power = std::exp(square), off = above_inverse(y, size) * power / slope;
  return power / slope * (1 + (lost - 2 * y * off));
}

/// sin(pi (x + n / 2)) for a whole n up to some hundreds: x less whole turns and quarters of one, which is
/// exact.
double sin_pi(double x, double n) {
  x -= 2 * std::nearbyint(x / 2);
  const double quarter_turns = std::nearbyint(2 * x);
  const double angle = std::numbers::pi * (x - quarter_turns / 2);
  switch ((static_cast<int>(quarter_turns) + static_cast<int>(n) + 4) % 4) {
    case 0:
      return std::sin(angle);
    case 1:
      return std::cos(angle);
    case 2:
      return -std::sin(angle);
    default:
      return -std::cos(angle);
  }
}

/// The n-th derivative of sin(pi x) / (pi x), n = 0, 1, 2, ..., 170; NaN for other n. With u = pi x it is
/// pi^n f_n(u), where f_n is the n-th derivative of f = sin(u) / u. Differentiating u f(u) = sin(u) n times
/// gives u f_n = sin(u + n pi / 2) - n f_(n-1), which loses no digits for u beyond n / e; below stands the
/// power series.
double sinc(double n, double x) {
  if (!(n >= 0 && n <= 170) || n != std::floor(n) || std::isnan(x)) return not_a_number;
  if (std::isinf(x)) return 0;
  const double u = std::numbers::pi * x;
  double f = 0;
  if (n == 0) {
    f = u == 0 ? 1 : sin_pi(x, 0) / u;
  } else if (std::abs(u) < 1 + n / std::numbers::e) {
    // The terms (-1)^k u^(2k - n) / ((2k - n)! (2k + 1)), from the first 2k >= n.
    double k = std::ceil(n / 2);
    double power = std::fmod(n, 2) == 0 ? 1 : u, sign = std::fmod(k, 2) == 0 ? 1 : -1;
    for (double last = f + 1; f != last && power != 0; k += 1) {
      last = f;
      f += sign * power / (2 * k + 1);
      power *= u * u / ((2 * k - n + 1) * (2 * k - n + 2));
      sign = -sign;
    }
  } else {
    f = sin_pi(x, 0) / u;
    // u itself may overflow.
    for (double order = 1; order <= n; order += 1) f = (sin_pi(x, order) - order * f) / std::numbers::pi / x;
  }
  return std::pow(std::numbers::pi, n) * f;
}

/// a - n b; of f32 in f64, which holds n b exactly where n is not large.
template <class T>
T fmod(T a, T b) {
  if constexpr (sizeof(T) == 8) return std::fmod(a, b);
  const double x = std::abs(static_cast<double>(a)), y = std::abs(static_cast<double>(b));
  if (!(x < y * 0x1p28) || std::isinf(b)) return std::fmod(a, b);
  const double rest = x - std::trunc(x / y) * y;  // below 0 where the quotient was rounded up to n
  return std::copysign(static_cast<T>(rest < 0 ? rest + y : rest), a);
}

/// As exact as the standard library's, and with the bits of the functions that power_function names.
template <class T>
T power(T a, T b) {
  if (b == 2) return a * a;
  if (b == 3) return cube(a);
  if (b == -1) return 1 / a;
  return std::pow(a, b);
}

}  // namespace

template <class T>
void unary(Unary op, const T* x, T* y, std::int64_t n) {
  const auto run = [&](auto f) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(x[i]);
  };
  switch (op) {
    case Unary::sin:
      return run([](T v) { return std::sin(v); });
    case Unary::cos:
      return run([](T v) { return std::cos(v); });
    case Unary::tan:
      return run([](T v) { return std::tan(v); });
    case Unary::cube:
      return run([](T v) { return cube(v); });
    case Unary::erfinv:
      return run([](T v) { return static_cast<T>(erfinv<T>(static_cast<double>(v))); });
    case Unary::erfinv_slope:
      return run([](T v) { return static_cast<T>(erfinv_slope(static_cast<double>(v))); });
    case Unary::lgamma:
      return run([](T v) { return log_gamma(v); });
    default:
      return;  // the others are SIMD kernels
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
      return run([](T l, T r) { return power(l, r); });
    case Binary::atan2:
      return run([](T l, T r) { return std::atan2(l, r); });
    case Binary::fmod:
      return run([](T l, T r) { return fmod(l, r); });
    case Binary::sinc:
      return run(
          [](T l, T r) { return static_cast<T>(sinc(static_cast<double>(l), static_cast<double>(r))); });
    case Binary::polygamma:
      return run(
          [](T l, T r) { return static_cast<T>(polygamma(static_cast<double>(l), static_cast<double>(r))); });
    default:
      return;  // the others are SIMD kernels
  }
}

template void unary(Unary, const float*, float*, std::int64_t);
template void unary(Unary, const double*, double*, std::int64_t);
template void binary(Binary, const float*, bool, const float*, bool, float*, std::int64_t);
template void binary(Binary, const double*, bool, const double*, bool, double*, std::int64_t);

}  // namespace gradus::kernels::scalar
