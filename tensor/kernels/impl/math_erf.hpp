// exp(-x^2 / 2) and the error functions. Part of impl.hpp, after exp.

namespace math {

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

/// The inverse of erf in f32, and its derivative, as x p(w) and g(w) / (1 - x^2) with w = -log(1 - x^2); p
/// and g are polynomials of w below 6 and of sqrt(w) above, as in Giles 2010, "Approximating the erfinv
/// function".
template <bool slope>
[[gnu::always_inline]] inline Batch<double> inverse_erf_wide(const Batch<double>& x) {
  using B = Batch<double>;
  const B rest = (B(1) - x) * (B(1) + x);
  const B w = -log_of<double>(decompose<double>(rest), B(0)), u = w - B(3);
  B y(0);
  if constexpr (slope) {
    y = polynomial<double>(
        u, {0x1.147f154027d27p-1, -0x1.1097c547023b9p-4, 0x1.4cead3b8248bep-7, -0x1.6e9567df4a0a6p-10,
            0x1.5013f8e55c021p-13, -0x1.e6f9983fd46ecp-17, 0x1.05e6d35279eddp-20, -0x1.8e4d930a165cp-25,
            0x1.6454d98eb537p-29, -0x1.a2b3a06ba1699p-32, 0x1.2f5b3a5090d92p-35});  // 2^-32
  } else {
    y = polynomial<double>(
        u, {0x1.9fa072ed35fb4p+0, 0x1.eedbeb95909a7p-3, -0x1.780dee27cd7fp-8, -0x1.b665840834782p-11,
            0x1.9912cc9a35cc3p-13, -0x1.aae7030c230b5p-17, -0x1.d54e45375b13ep-20, 0x1.e5e36e7f6e5d2p-22,
            -0x1.946a4c42b0c56p-26, -0x1.9affa404cf2a8p-28, 0x1.2941533838372p-30, 0x1.8713e91c4e9eap-36,
            -0x1.08a73b9e706b6p-36});  // 2^-31
  }
  const auto tail = w > B(6);
  if (xsimd::any(tail)) {
    const B v = xsimd::sqrt(xsimd::max(B(6), w)) - B(3.25);
    if constexpr (slope) {
      y = xsimd::select(
          tail,
          polynomial<double>(
              v, {0x1.3cceb1a3fb405p-2, -0x1.7a153e1f4645bp-4, 0x1.ab06d9d512096p-6, -0x1.be48667dbafe5p-8,
                  0x1.93ed3b9aa8683p-10, -0x1.c67a89d7db961p-13, -0x1.d6183942a4297p-15,
                  0x1.2940d3363cb72p-14, -0x1.3038951838db5p-15, 0x1.2008877831c63p-17}),
          y);  // 2^-30
    } else {
      y = xsimd::select(
          tail,
          polynomial<double>(
              v, {0x1.8abcc36ad11a4p+1, 0x1.0158a711cb7cap+0, 0x1.600a0bdf88839p-8, -0x1.ebb5c8db3b9e1p-9,
                  0x1.4552359223e14p-9, -0x1.ba2dd86ad02eep-10, 0x1.047911a73f46dp-10, -0x1.7a1327840cf6dp-12,
                  -0x1.8f660ec4ce8e9p-15, 0x1.5129f88b5932cp-14}),
          y);  // 2^-28
    }
  }
  if constexpr (slope) return y / rest;
  return y * x;
}
template <bool slope>
[[gnu::always_inline]] inline Batch<float> inverse_erf(const Batch<float>& x) {
  using B = Batch<float>;
  const B size = xsimd::abs(x), infinite(infinity<float>);
  const B edge = slope ? infinite : xsimd::copysign(infinite, x);
  const auto inside = size < B(1);
  const B beyond = xsimd::select(size == B(1), edge, B(not_a_number<float>));
  if (!xsimd::any(inside)) return beyond;
  const B y = in_f64([](auto v) { return inverse_erf_wide<slope>(v); }, xsimd::select(inside, x, B(0)));
  return xsimd::select(inside, y, beyond);
}

/// The argument u of the sigmoid in gelu's tanh form, 2 sqrt(2/pi) (x + 0.044715 x^3), in two parts, as its
/// error counts as much as it is large; and its derivative. Beyond where the sigmoid is 0 or 1, x counts as
/// lying there.
template <class T>
struct GeluArgument {
  Batch<T> high, low, slope;
};
template <class T>
[[gnu::always_inline]] inline GeluArgument<T> gelu_argument(const Batch<T>& x) {
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
  return {high, mul_add(v, (sum_low + term_low) + rest, low),
          mul_add(B(static_cast<T>(3 * three)), s, B(one_high))};
}
template <class T>
[[gnu::always_inline]] inline Batch<T> gelu_gate(const Batch<T>& x) {
  const auto [high, low, slope] = gelu_argument<T>(x);
  return sigmoid<T, true>(high, low);
}
/// The derivative of gelu_gate.
template <class T>
[[gnu::always_inline]] inline Batch<T> gelu_gate_slope(const Batch<T>& x) {
  const auto [high, low, slope] = gelu_argument<T>(x);
  return sigmoid_slope_times<T>(high, low, slope);
}

}  // namespace math
