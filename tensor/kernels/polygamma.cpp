#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "tensor/kernels/scalar.hpp"

namespace gradus::kernels::scalar {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The Bernoulli numbers B_2, B_4, ..., B_20.
constexpr std::array bernoulli{1.0 / 6,       -1.0 / 30, 1.0 / 42,      -1.0 / 30,     5.0 / 66,
                               -691.0 / 2730, 7.0 / 6,   -3617.0 / 510, 43867.0 / 798, -174611.0 / 330};
/// From here on the asymptotic series is exact to the last bits.
constexpr double far = 12;

/// digamma at x > 0: psi(x) = psi(x + 1) - 1/x up to `far`, then
/// log x - 1/(2x) - sum B_2k / (2k x^2k) (Abramowitz and Stegun 6.3.18).
double digamma_positive(double x) {
  double below = 0;
  for (; x < far; x += 1) below += 1 / x;
  const double inverse = 1 / (x * x);
  double power = 1, series = 0;
  for (std::size_t k = 0; k < bernoulli.size(); ++k) {
    power *= inverse;
    series += bernoulli[k] / (2 * static_cast<double>(k + 1)) * power;
  }
  return std::log(x) - 0.5 / x - series - below;
}

double digamma(double x) {
  if (x == 0) return std::copysign(infinity, -x);
  if (x > 0 || std::isnan(x)) return digamma_positive(x);
  if (x == std::floor(x)) return not_a_number;  // -infinity too
  // psi(x) = psi(1 - x) - pi / tan(pi x), with x taken to the nearest integer, where tan is exact.
  const double near = x - std::nearbyint(x);
  // Beside the zeros of 1 / tan, tan of the exact distance from them.
  const double from_half = std::copysign(0.5 - std::abs(near), near);
  const double circular = std::numbers::pi * (std::abs(near) > 0.25 ? std::tan(std::numbers::pi * from_half)
                                                                    : 1 / std::tan(std::numbers::pi * near));
  return digamma_positive(1 - x) - circular;
}

/// The Hurwitz zeta function, the sum over k >= 0 of (q + k)^-s, for s > 1 and q > 0, by the Euler-Maclaurin
/// formula (Johansson 2015, "Rigorous high-precision computation of the Hurwitz zeta function", equation 3).
double zeta(double s, double q) {
  double sum = 0;
  double start = far + s;  // the series below shrinks only from about s on
  for (; q < start; q += 1) sum += std::pow(q, -s);
  const double last = std::pow(q, -s);
  // q^-s may be too small where q^(1 - s) is not; for such a q there is nothing else to add. Infinity too.
  if (last < 1e-290 && q > 1e20) return std::pow(q, 1 - s) / (s - 1);
  sum += last * (q / (s - 1) + 0.5);
  double factor = s / q * last;  // s (s + 1) ... (s + 2k) / (2k + 2)! q^-(s + 2k + 1)
  for (std::size_t k = 0; k < bernoulli.size(); ++k) {
    const double order = 2 * static_cast<double>(k);
    factor /= (order + 1) * (order + 2);
    sum += bernoulli[k] * factor;
    factor *= (s + order + 1) * (s + order + 2) / (q * q);
  }
  return sum;
}

/// The same sum at any q but 0, -1, ...: the terms below 0 are those of a sum at their mirror images.
double zeta_anywhere(double s, double q) {
  if (q > 0) return zeta(s, q);
  const double above = q - std::floor(q), below = std::ceil(q) - q;
  const double mirrored = zeta(s, below) - zeta(s, 1 - q);
  return zeta(s, above) + (std::fmod(s, 2) == 0 ? mirrored : -mirrored);
}

}  // namespace

double polygamma(double n, double x) {
  if (!(n >= 0) || n != std::floor(n) || std::isinf(n) || std::isnan(x)) return not_a_number;
  if (n == 0) return digamma(x);
  const bool odd = std::fmod(n, 2) == 1;
  const double sign = odd ? 1 : -1;
  if (x <= 0 && x == std::floor(x)) {
    // A pole; -infinity is a limit point of poles.
    return std::isinf(x) ? not_a_number : sign * infinity;
  }
  // Abramowitz and Stegun 6.4.10
  return sign * std::tgamma(n + 1) * zeta_anywhere(n + 1, x);
}

}  // namespace gradus::kernels::scalar
