#pragma once

// Internal: numbers for products whose parts may leave the range of double.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace gradus {

/// m 2^e, with an exponent that does not run out: a product of many numbers may overflow and vanish on the
/// way and come back. While m is far from both ends of double's range, e stays as it is and a product costs a
/// comparison more than that of doubles, whose bits it has.
struct Scaled {
  double m = 1;
  std::int64_t e = 0;

  /// Rounded to double; infinite or 0 where it is out of range.
  double value() const {
    constexpr std::int64_t beyond = 5000;
    return e == 0 ? m : std::ldexp(m, static_cast<int>(std::clamp(e, -beyond, beyond)));
  }
  static bool in_range(double m) {
    const double size = std::abs(m);
    return size >= 0x1p-400 && size <= 0x1p400;
  }

  friend Scaled operator*(const Scaled& a, double x) {
    const double product = a.m * x;
    return in_range(product) ? Scaled{product, a.e} : with_own_exponents(a.m, x, a.e);
  }
  friend Scaled operator*(const Scaled& a, const Scaled& b) {
    const double product = a.m * b.m;
    return in_range(product) ? Scaled{product, a.e + b.e} : with_own_exponents(a.m, b.m, a.e + b.e);
  }
  friend Scaled operator+(const Scaled& a, const Scaled& b) {
    return a.e == b.e ? Scaled{a.m + b.m, a.e} : aligned_sum(a, b);
  }

 private:
  static bool ordinary(double m) { return m != 0 && std::isfinite(m); }
  static Scaled with_own_exponents(double a, double b, std::int64_t e) {
    if (!ordinary(a) || !ordinary(b)) return {a * b, 0};
    int of_a = 0, of_b = 0;
    const double product = std::frexp(a, &of_a) * std::frexp(b, &of_b);
    return {product, e + of_a + of_b};
  }
  static Scaled aligned_sum(const Scaled& a, const Scaled& b) {
    if (a.m == 0) return b;
    if (b.m == 0) return a;
    if (!ordinary(a.m) || !ordinary(b.m)) return {a.m + b.m, 0};
    Scaled large = with_own_exponents(a.m, 1, a.e), small = with_own_exponents(b.m, 1, b.e);
    if (large.e < small.e) std::swap(large, small);
    return {large.m + Scaled{small.m, small.e - large.e}.value(), large.e};
  }
};

}  // namespace gradus
