// The normal distribution: exp(-x^2 / 2), its integral and the error functions. Part of impl.hpp, after exp.

namespace math {

/// A number as the sum of two, the second below the last place of the first.
template <class T>
struct TwoParts {
  Batch<T> high, low;
};
/// x in two parts of half as many digits.
template <class T>
[[gnu::always_inline]] inline TwoParts<T> halves(const Batch<T>& x) {
  using Number = typename Format<T>::Bits;
  const Batch<T> high =
      from_bits<T>(bits_of<T>(x) & Bits<T>(~((Number(1) << (Format<T>::fraction_bits / 2 + 1)) - 1)));
  return {high, x - high};
}
/// x y, nearly or quite to twice the digits.
template <class T>
[[gnu::always_inline]] inline TwoParts<T> exact_product(const Batch<T>& x, const Batch<T>& y) {
  const Batch<T> product = x * y;
  if constexpr (fused_multiply_add) return {product, -sub_product(x, y, product)};
  const auto [x_high, x_low] = halves<T>(x);
  const auto [y_high, y_low] = halves<T>(y);
  const Batch<T> left = ((x_high * y_high - product) + x_high * y_low) + x_low * y_high;
  return {product, left + x_low * y_low};
}

/// |x| between bounds outside of which functions of x^2 are constant to the nearest number; NaN passes.
template <class T>
[[gnu::always_inline]] inline Batch<T> bounded_size(const Batch<T>& x, T most) {
  constexpr T tiny = sizeof(T) == 4 ? T(1e-10) : T(1e-20);
  return xsimd::min(Batch<T>(most), xsimd::max(Batch<T>(tiny), xsimd::abs(x)));
}

/// e^(-x^2 / 2). The square has a relative error that the exponential function would enlarge by as much as
/// the square itself, so it is taken in two parts.
template <class T>
[[gnu::always_inline]] inline Batch<T> gaussian(const Batch<T>& x) {
  const Batch<T> a = bounded_size<T>(x, sizeof(T) == 4 ? T(14.5) : T(38.7));
  const auto [high, low] = exact_product<T>(a, a);
  const Batch<T> half(T(-0.5));
  return exp_times<T>(half * high, half * low, Batch<T>(1));
}

/// e^(a^2) erfc(a) for a >= 0, as p(q) / (1 + 2 a) with q = (a - k) / (a + k) and a polynomial p, which has
/// an error of 2^-25 and 2^-53: Schonfelder 1978, "Chebyshev expansions for the error and related functions".
template <class T>
[[gnu::always_inline]] inline Batch<T> scaled_erfc(const Batch<T>& a) {
  const Batch<T> k(sizeof(T) == 4 ? T(2) : T(4)), q = (a - k) / (a + k), below = Batch<T>(1) + a + a;
  if constexpr (sizeof(T) == 4) {
    return polynomial<T>(
               q, {0x1.46e80ep+0F, -0x1.7bf612p-4F, -0x1.5407c4p-3F, 0x1.4ffc3ep-3F, -0x1.bc1e4cp-5F,
                   -0x1.0832a6p-7F, 0x1.1bcc64p-7F, 0x1.5c7256p-10F, -0x1.4a02d2p-10F, -0x1.ba2ffcp-12F}) /
           below;
  } else {
    return polynomial<T>(q, {0x1.3ba5916e9fd7fp+0,   -0x1.1df1ad154a29bp-3,  0x1.f7f5df66fda1bp-7,
                             0x1.16ecefcfa5f6bp-4,   -0x1.9ddb23c3e9eb3p-4,  0x1.7fee004df81b2p-4,
                             -0x1.0fb06dfe3d76bp-4,  0x1.3079edf9ddac4p-5,   -0x1.0962388529349p-6,
                             0x1.49c671934a7d6p-8,   -0x1.8d4a9c34a6822p-11, -0x1.a1de802bc1fefp-13,
                             0x1.3be0993db7d2ep-13,  -0x1.996ac6b89d1b4p-16, -0x1.789ff2a44fd81p-17,
                             0x1.7fbba4a402205p-18,  0x1.42c5c198c77c3p-22,  -0x1.c0a82ad87a1dcp-21,
                             0x1.0fb74e14bdddap-24,  0x1.f21c932821bedp-24,  -0x1.0be03255238bap-27,
                             -0x1.df6a3bbd3284ep-27, -0x1.0626456b70a63p-29}) /
           below;
  }
}
/// erfc of a bounded size.
template <class T>
[[gnu::always_inline]] inline Batch<T> erfc_above(const Batch<T>& a) {
  const auto [high, low] = exact_product<T>(a, a);
  return exp_times<T>(-high, -low, scaled_erfc<T>(a));
}
/// erf(x) = x + x p(x^2) below 0.93 in f32 (0.01 ulp) and 0.75 in f64 (0.3 ulp).
[[gnu::always_inline]] inline Batch<float> erf_below(const Batch<float>& x, const Batch<float>& square) {
  const auto p = polynomial<float>(square, {0x1.06eba8p-3F, -0x1.812742p-2F, 0x1.ce2e08p-4F, -0x1.b80e8cp-6F,
                                            0x1.54c7dep-8F, -0x1.aa3ec6p-11F, 0x1.5cd3f6p-14F});
  return mul_add(x, p, x);
}
[[gnu::always_inline]] inline Batch<double> erf_below(const Batch<double>& x, const Batch<double>& square) {
  const auto p = polynomial<double>(
      square, {0x1.06eba8214db69p-3, -0x1.812746b0379ep-2, 0x1.ce2f21a0424c3p-4, -0x1.b82ce31257412p-6,
               0x1.565bcd03657cp-8, -0x1.c02db1220cfe6p-11, 0x1.f9a2afa3a8f86p-14, -0x1.f4c5debf1228ap-17,
               0x1.b90ecd4aeec12p-20, -0x1.564f71bbc0d35p-23, 0x1.8a312cb07e6ccp-27});
  return mul_add(x, p, x);
}

template <class T>
[[gnu::always_inline]] inline Batch<T> erfc(const Batch<T>& x) {
  const Batch<T> size = bounded_size<T>(x, sizeof(T) == 4 ? T(10.25) : T(27.4)), y = erfc_above<T>(size);
  const Batch<T> far = xsimd::select(x < Batch<T>(0), Batch<T>(2) - y, y);
  // Near 0, where this is about 1, that has a few roundings more than 1 - erf(x).
  const Batch<T> near = Batch<T>(1) - erf_below(x, size * size);
  return xsimd::select(xsimd::abs(x) < Batch<T>(T(0.5)), near, far);
}
/// The normal distribution function, erfc(-x / sqrt(2)) / 2.
template <class T>
[[gnu::always_inline]] inline Batch<T> normal_cdf(const Batch<T>& x) {
  constexpr T sqrt_half = T(0.70710678118654752440);
  const Batch<T> a = bounded_size<T>(x, sizeof(T) == 4 ? T(14.5) : T(38.7)), half(T(0.5));
  const auto [high, low] = exact_product<T>(a, a);
  const Batch<T> y = exp_times<T>(-half * high, -half * low, half * scaled_erfc<T>(a * Batch<T>(sqrt_half)));
  return xsimd::select(x > Batch<T>(0), Batch<T>(1) - y, y);
}

[[gnu::always_inline]] inline Batch<double> erf(const Batch<double>& x) {
  using B = Batch<double>;
  const B size = bounded_size<double>(x, 6.0);
  const B large = xsimd::copysign(B(1) - erfc_above<double>(size), x);
  return xsimd::select(xsimd::abs(x) < B(0.75), erf_below(x, size * size), large);
}
[[gnu::always_inline]] inline Batch<float> erf(const Batch<float>& x) {
  using B = Batch<float>;
  const B magnitude = xsimd::abs(x);
  const B a = xsimd::min(B(4), magnitude);
  // log(erfc(x)) from there to 3.93, where erf is 1 to the nearest number (0.03 ulp of erf)
  const B g = polynomial<float>(a, {-0x1.c181ccp-13F, -0x1.20aa48p+0F, -0x1.464ddcp-1F, -0x1.a93ba6p-4F,
                                    0x1.6b413ep-6F, -0x1.8d0b9cp-9F, 0x1.97e7acp-13F});
  const B small = erf_below(a, a * a), large = B(1) - exp_rough(g);
  return xsimd::copysign(xsimd::select(magnitude < B(0.93F), small, large), x);
}

/// The argument of the sigmoid in gelu's tanh form, 2 sqrt(2/pi) (x + 0.044715 x^3), in two parts, for |x| up
/// to where the sigmoid is 0 or 1: its error counts as much as it is large.
template <class T>
[[gnu::always_inline]] inline TwoParts<T> gelu_argument(const Batch<T>& x) {
  using B = Batch<T>;
  constexpr long double one = 1.595769121605730711760L, three = 0.044715L * one;
  constexpr T one_high = static_cast<T>(one), three_high = static_cast<T>(three);
  const B most(sizeof(T) == 4 ? T(11) : T(22)), v = xsimd::max(-most, xsimd::min(most, x));
  const auto [s, s_low] = exact_product<T>(v, v);
  const auto [term, term_low] = exact_product<T>(B(three_high), s);
  const B sum = B(one_high) + term, taken = sum - B(one_high);
  const B sum_low = (B(one_high) - (sum - taken)) + (term - taken);
  const B rest =
      mul_add(B(three_high), s_low,
              mul_add(B(static_cast<T>(three - three_high)), s, B(static_cast<T>(one - one_high))));
  const auto [high, low] = exact_product<T>(v, sum);
  return {high, mul_add(v, (sum_low + term_low) + rest, low)};
}
template <class T>
[[gnu::always_inline]] inline Batch<T> gelu_gate(const Batch<T>& x) {
  const auto [high, low] = gelu_argument<T>(x);
  return sigmoid<T, true>(high, low);
}
template <class T>
[[gnu::always_inline]] inline Batch<T> gelu_gate_slope(const Batch<T>& x) {
  const auto [high, low] = gelu_argument<T>(x);
  return sigmoid_slope<T, true>(high, low);
}

}  // namespace math
