// lgamma and its derivatives for f32, and sinc. Part of impl.hpp.

namespace math {

/// x less the nearest whole number n, and n.
struct FromWhole {
  Batch<double> r, n;
};
/// For a finite x; from 2^50 on r is 0.
[[gnu::always_inline]] inline FromWhole from_whole(const Batch<double>& x) {
  using B = Batch<double>;
  const B bounded = xsimd::min(B(0x1p50), xsimd::max(B(-0x1p50), x)), n = nearest<double>(bounded);
  return {bounded - n, n};
}
/// sin(pi r) / pi for |r| <= 1/2, to 0.01 ulp.
[[gnu::always_inline]] inline Batch<double> sin_part(const Batch<double>& r) {
  const Batch<double> z = r * r;
  const auto p = polynomial<double>(
      z, {-0x1.a51a6625307d3p+0, 0x1.9f9cb402bc429p-1, -0x1.86a8e4720a1dbp-3, 0x1.ac6805cc8997ap-6,
          -0x1.33816997b8078p-9, 0x1.3746a18339b99p-13, -0x1.d3e6a30987df5p-18, 0x1.074365434d8a5p-22});
  return mul_add(r * z, p, r);
}
/// cos(pi r) / pi
[[gnu::always_inline]] inline Batch<double> cos_part(const Batch<double>& r) {
  return sin_part(Batch<double>(0.5) - xsimd::abs(r));
}
/// The sign bit where a whole number is odd.
[[gnu::always_inline]] inline Batch<double> sign_of_odd(const Batch<double>& n) {
  return from_bits<double>(whole_bits<double>(n, 0) << 63);
}

constexpr double pi = 3.14159265358979323846;

/// sin(pi x) / (pi x) and its derivative, for |x| up to 2^50.
[[gnu::always_inline]] inline Batch<double> sinc_value(const Batch<double>& x) {
  using B = Batch<double>;
  const auto [r, n] = from_whole(x);
  const auto small = xsimd::abs(x) < B(0x1p-30);
  const B y = sin_part(r) / xsimd::select(small, B(1), x);
  return xsimd::select(small, B(1), y ^ sign_of_odd(n));
}
[[gnu::always_inline]] inline Batch<double> sinc_slope(const Batch<double>& x) {
  using B = Batch<double>;
  const auto [r, n] = from_whole(x);
  const B z = x * x;
  const auto near = xsimd::abs(x) < B(0.5);
  const B divisor = xsimd::select(near, B(1), x);
  const B y = (B(pi) * cos_part(r) - sin_part(r) / divisor) / divisor;
  const B inner = xsimd::select(near, z, B(0));  // 1 ulp
  const B p = polynomial<double>(
      inner, {-0x1.a51a6625307d3p+1, 0x1.9f9cb402bc423p+1, -0x1.24feab55874c4p+0, 0x1.ac6805cc40c52p-3,
              -0x1.8061c3dde86d1p-6, 0x1.d2e9e4a452bf8p-10, -0x1.9966fb9635391p-14, 0x1.07099a72db2c5p-18});
  return xsimd::select(near, x * p, y ^ sign_of_odd(n));
}

/// sinc and its derivative for any x: f64 knows whole numbers that are odd beyond 2^50, of which the scalar
/// function takes care.
template <class T, int order>
[[gnu::always_inline]] inline Batch<T> sinc(const Batch<T>& x) {
  using B = Batch<T>;
  const auto f = [](const Batch<double>& v) { return order == 0 ? sinc_value(v) : sinc_slope(v); };
  if constexpr (sizeof(T) == 4) {
    return xsimd::select(xsimd::abs(x) == B(infinity<T>), B(0), in_f64(f, x));
  } else {
    const auto far = xsimd::abs(x) > B(0x1p50);
    return xsimd::any(far) ? scalar_where<T>(Binary::sinc, far, B(order), x, f(x)) : f(x);
  }
}

/// What lgamma and its derivatives have in common: x > 0, or 1 - x, for which reflection serves. Below 8
/// they are those at y + 8 and a sum over y, y + 1, ..., y + 7, that is a function of the product of those,
/// q (q + 6) (q + 10) (q + 12) with q = y (y + 7).
struct GammaArgument {
  xsimd::batch_bool<double, Arch> negative, near, pole;
  Batch<double> y, t;            // t >= 8
  Batch<double> r;               // from the nearest whole number, where x < 0 is not one; else 1/2
  Batch<double> q, left, right;  // left * right is the product
};
[[gnu::always_inline]] inline GammaArgument gamma_argument(const Batch<double>& x) {
  using B = Batch<double>;
  GammaArgument a;
  a.negative = x < B(0);
  const B y = xsimd::select(a.negative, B(1) - x, x);
  a.near = y < B(8);
  a.y = xsimd::select(a.near, y, B(1));
  a.t = xsimd::select(a.near, y + B(8), xsimd::min(B(0x1p300), y));  // NaN, as the second operand, passes
  const B r = from_whole(xsimd::select(a.negative, x, B(0.5))).r;
  a.pole = (x == B(0)) | (a.negative & (r == B(0)));
  a.r = xsimd::select(r == B(0), B(0.5), r);
  a.q = a.y * (a.y + B(7));
  a.left = a.q * (a.q + B(6));
  a.right = (a.q + B(10)) * (a.q + B(12));
  return a;
}

/// log |Gamma(x)|, to some 2^-50 of the largest term: (t - 1/2) log t - t + log(2 pi) / 2 + p(1 / t^2) / t
/// less the logarithm of the product; log(pi / |sin(pi x)|) - lgamma(1 - x) for x < 0.
[[gnu::always_inline]] inline Batch<double> lgamma_wide(const Batch<double>& x) {
  using B = Batch<double>;
  const GammaArgument a = gamma_argument(x);
  const B inverse = B(1) / a.t;
  const B p =
      polynomial<double>(inverse * inverse, {0x1.5555555555555p-4, -0x1.6c16c16c09dp-9, 0x1.a01a00fc58431p-11,
                                             -0x1.3812c0682b451p-11, 0x1.b8e72e06e2c76p-11,
                                             -0x1.e7c8c1dfdcacap-10, 0x1.2220817d7013dp-8});  // 2^-60
  const B log_t = log_of<double>(decompose<double>(a.t), B(0));
  const B far = mul_add(a.t - B(0.5), log_t, mul_add(p, inverse, B(0.91893853320467274178) - a.t));
  B product = xsimd::select(a.near, a.left * a.right, B(1));
  if (xsimd::any(a.negative))
    product = xsimd::select(a.negative, product / xsimd::abs(sin_part(a.r)), product);
  product = xsimd::select(a.pole, B(1), product);
  const B apart = far - log_of<double>(decompose<double>(product), B(0));
  const B y = xsimd::select(a.negative, -apart, apart);
  return xsimd::select(a.pole | (xsimd::abs(x) == B(infinity<double>)), B(infinity<double>), y);
}

/// The derivative of lgamma: log t - 1/(2t) - z p(z), z = 1 / t^2, less the sum of the reciprocals of y, ...,
/// y + 7; psi(1 - x) - pi / tan(pi x) for x < 0.
[[gnu::always_inline]] inline Batch<double> digamma_wide(const Batch<double>& x) {
  using B = Batch<double>;
  const GammaArgument a = gamma_argument(x);
  const B inverse = B(1) / a.t, z = inverse * inverse;
  const B p = polynomial<double>(
      z, {0x1.5555555555555p-4, -0x1.111111110a962p-7, 0x1.041040cb8e11dp-8, -0x1.1110b8360ce8dp-8,
          0x1.f03a0cf6092b8p-8, -0x1.533aae8533ffbp-6, 0x1.052b9180d6cadp-4});  // 2^-62
  const B log_t = log_of<double>(decompose<double>(a.t), B(0));
  B y = log_t - mul_add(z, p, B(0.5) * inverse);
  const B by_q = B(2) * ((a.q + B(3)) * a.right + (a.q + B(11)) * a.left);
  const B product = xsimd::select(a.pole, B(1), a.left * a.right);
  y = y - xsimd::select(a.near, (B(2) * a.y + B(7)) * by_q / product, B(0));
  if (xsimd::any(a.negative)) y = xsimd::select(a.negative, y - B(pi) * (cos_part(a.r) / sin_part(a.r)), y);
  const B at_zero = xsimd::copysign(B(infinity<double>), negated<double>(x));
  const B pole = xsimd::select(x == B(0), at_zero, B(not_a_number<double>));
  y = xsimd::select(x == B(infinity<double>), x, y);
  return xsimd::select(a.pole, pole, y);
}

/// The derivative of digamma: 1/t + z/2 + z p(z) / t and the sum of the squares of those reciprocals;
/// pi^2 / sin^2(pi x) - psi'(1 - x) for x < 0.
[[gnu::always_inline]] inline Batch<double> trigamma_wide(const Batch<double>& x) {
  using B = Batch<double>;
  const GammaArgument a = gamma_argument(x);
  const B inverse = B(1) / a.t, z = inverse * inverse;
  const B p = polynomial<double>(
      z, {0x1.5555555555551p-3, -0x1.11111110f502dp-5, 0x1.861860a02bb1dp-6, -0x1.1110609e0201bp-5,
          0x1.360cb90a47b91p-4, -0x1.f9f493b29b6d7p-3, 0x1.b8333b65189afp-1});  // 2^-58
  B y = mul_add(z, mul_add(p, inverse, B(0.5)), inverse);
  // Of the product P, (P'^2 - P P'') / P^2.
  const B left_slope = B(2) * (a.q + B(3)), right_slope = B(2) * (a.q + B(11)), by_y = B(2) * a.y + B(7);
  const B first = left_slope * a.right + right_slope * a.left;
  const B second = B(2) * (a.left + a.right + left_slope * right_slope);
  const B product = xsimd::select(a.pole, B(1), a.left * a.right);
  const B over = by_y * by_y * (first * first - product * second) - B(2) * product * first;
  y = y + xsimd::select(a.near, over / (product * product), B(0));
  if (xsimd::any(a.negative)) {
    const B s = sin_part(a.r);
    y = xsimd::select(a.negative, B(1) / (s * s) - y, y);
  }
  y = xsimd::select(x == B(-infinity<double>), B(not_a_number<double>), y);
  y = xsimd::select(x == B(infinity<double>), B(0), y);
  return xsimd::select(a.pole & (x == x) & (x > B(-infinity<double>)), B(infinity<double>), y);
}

}  // namespace math
