// exp and what follows from it. Part of impl.hpp.

namespace math {

/// x = n ln 2 + r with a whole n and |r| <= ln 2 / 2; the lowest bits of n_bits hold n + offset.
template <class T>
struct Reduced {
  Batch<T> r;
  Bits<T> n_bits;
};
template <class T>
[[gnu::always_inline]] inline Reduced<T> reduce(const Batch<T>& x, int offset) {
  const Batch<T> shift(rounder<T> + static_cast<T>(offset));
  const Batch<T> rounded = mul_add(x, Batch<T>(log2_e<T>), shift);
  const Batch<T> n = rounded - shift;
  const Batch<T> r = sub_product(n, Batch<T>(ln2_high<T>), x);
  return {sub_product(n, Batch<T>(ln2_low<T>), r), bits_of<T>(rounded)};
}
/// The power of two whose biased exponent is in the lowest bits.
template <class T>
[[gnu::always_inline]] inline Batch<T> power_of_two(const Bits<T>& biased) {
  return from_bits<T>(biased << Format<T>::fraction_bits);
}

/// e^r - 1 for a reduced r; to 0.01 ulp of e^r in f32, 0.16 in f64.
template <class T>
[[gnu::always_inline]] inline Batch<T> expm1_reduced(const Batch<T>& r) {
  if constexpr (sizeof(T) == 4) {
    const auto q = polynomial<T>(
        r, {0x1p-1F, 0x1.555556p-3F, 0x1.5555p-5F, 0x1.110fc4p-7F, 0x1.6d30b6p-10F, 0x1.a2d472p-13F});
    return mul_add(r * r, q, r);
  } else {
    const auto q = polynomial<T>(
        r, {0x1.0000000000001p-1, 0x1.5555555555558p-3, 0x1.5555555553c97p-5, 0x1.111111110f8bbp-7,
            0x1.6c16c178ca27p-10, 0x1.a01a01afcd23bp-13, 0x1.a019b83817715p-16, 0x1.71ddf73e37075p-19,
            0x1.28926f70d3b7fp-22, 0x1.af62580942d13p-26});
    return mul_add(r * r, q, r);
  }
}

/// e^x in f32, to 1.2 ulp, for an x whose result is a normal number: for small terms of a sum.
[[gnu::always_inline]] inline Batch<float> exp_rough(const Batch<float>& x) {
  const auto [r, n] = reduce<float>(x, Format<float>::bias);
  const auto q =
      polynomial<float>(r, {0x1p-1F, 0x1.5554dcp-3F, 0x1.5554e8p-5F, 0x1.120c6cp-7F, 0x1.6d4e94p-10F});
  return (Batch<float>(1) + mul_add(r * r, q, r)) * power_of_two<float>(n);
}

/// total + e^x in f32 for a sum whose largest term is 1, so for x <= 0. A term is right to 2e-7 of itself
/// and, as x log2 e is not exact, |x| times 1.4e-8 more (7e-8 where a multiply-add rounds twice); those below
/// e^-87 count as that. 2^(x log2 e) takes fewer steps than exp.
[[gnu::always_inline]] inline Batch<float> add_exp(const Batch<float>& total, const Batch<float>& x) {
  // NaN, as the second operand, passes the bound.
  const Batch<float> bounded = xsimd::max(Batch<float>(-87), x);
  const Batch<float> shift(rounder<float> + static_cast<float>(Format<float>::bias)),
      log2_of_e(log2_e<float>);
  const Batch<float> rounded = mul_add(bounded, log2_of_e, shift);
  const Batch<float> r = mul_add(bounded, log2_of_e, shift - rounded);
  const auto q = polynomial<float>(
      r, {1, 0x1.62e42ap-1F, 0x1.ebf9bep-3F, 0x1.c6b722p-5F, 0x1.3cea88p-7F, 0x1.5bba14p-10F});  // 2^r
  return mul_add(q, power_of_two<float>(bits_of<float>(rounded)), total);
}

/// Where exp is 0 and infinity to the nearest number of T.
template <class T>
constexpr T exp_least = sizeof(T) == 4 ? T(-104) : T(-746);
template <class T>
constexpr T exp_most = sizeof(T) == 4 ? T(89) : T(710);

/// exp for x up to exp_most.
template <class T>
[[gnu::always_inline]] inline Batch<T> exp_below(const Batch<T>& x) {
  // NaN, as the second operand, passes such bounds.
  const Batch<T> bounded = xsimd::max(Batch<T>(exp_least<T>), x);
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const Batch<T> shift(rounder<T>);
    const Batch<T> n = mul_add(bounded, Batch<T>(log2_e<T>), shift) - shift;
    const Batch<T> r = sub_product(n, Batch<T>(ln2_low<T>), sub_product(n, Batch<T>(ln2_high<T>), bounded));
    return _mm512_scalef_ps(Batch<T>(1) + expm1_reduced<T>(r), n);
  }
#endif
  const auto [r, n] = reduce<T>(bounded, 2 * Format<T>::bias);
  // 2^n as two factors: a single one reaches neither infinity nor the subnormal numbers.
  const Bits<T> half = n >> 1;
  return (Batch<T>(1) + expm1_reduced<T>(r)) * power_of_two<T>(half) * power_of_two<T>(n - half);
}
template <class T>
[[gnu::always_inline]] inline Batch<T> exp(const Batch<T>& x) {
  return exp_below<T>(xsimd::min(Batch<T>(exp_most<T>), x));
}

/// 2^x = 2^n e^((x - n) ln 2) for the whole number n next to x.
template <class T>
[[gnu::always_inline]] inline Batch<T> exp2(const Batch<T>& x) {
  constexpr T least = sizeof(T) == 4 ? T(-151) : T(-1076), most = sizeof(T) == 4 ? T(129) : T(1025);
  // NaN, as the second operand, passes the bounds.
  const Batch<T> bounded = xsimd::min(Batch<T>(most), xsimd::max(Batch<T>(least), x));
  const Batch<T> shift(rounder<T> + static_cast<T>(2 * Format<T>::bias));
  const Batch<T> rounded = bounded + shift, r = bounded - (rounded - shift);
  const Bits<T> n = bits_of<T>(rounded), half = n >> 1;
  const Batch<T> y = Batch<T>(1) + expm1_reduced<T>(r * Batch<T>(ln2_high<T> + ln2_low<T>));
  return y * power_of_two<T>(half) * power_of_two<T>(n - half);
}

/// expm1 for x >= exp_least / 4, but without the sign of zero and the last bit of subnormal numbers.
template <class T>
[[gnu::always_inline]] inline Batch<T> expm1_above(const Batch<T>& x) {
  const auto [r, n] = reduce<T>(xsimd::min(Batch<T>(exp_most<T>), x), Format<T>::bias - 1);
  const Batch<T> half_scale = power_of_two<T>(n);
  const Batch<T> half = mul_add(half_scale, expm1_reduced<T>(r), half_scale - Batch<T>(T(0.5)));
  return half + half;
}
template <class T>
[[gnu::always_inline]] inline Batch<T> expm1(const Batch<T>& x) {
  constexpr T tiny = std::numeric_limits<T>::epsilon() / 8;
  const Batch<T> y = expm1_above<T>(xsimd::max(Batch<T>(exp_least<T> / 4), x));
  return xsimd::select(xsimd::abs(x) < Batch<T>(tiny), x, y);
}

template <class T>
[[gnu::always_inline]] inline Batch<T> sigmoid(const Batch<T>& x) {
  // e^-|x| does not overflow, and keeps the small results exact.
  const Batch<T> one(1), e = exp_below<T>(-xsimd::abs(x));
  const Batch<T> y = xsimd::select(x < Batch<T>(0), e, one) / (one + e);
  // Far below 0, the rounding of 1 + e counts less in e - e y than in e / (1 + e).
  return xsimd::select(x < Batch<T>(T(-0.7)), sub_product(e, y, e), y);
}

template <class T>
[[gnu::always_inline]] inline Batch<T> tanh(const Batch<T>& x) {
  const Batch<T> one(1), two(2), magnitude = xsimd::abs(x);
  // Beyond, the result is 1 to the nearest number. NaN passes.
  const Batch<T> a = xsimd::min(Batch<T>(sizeof(T) == 4 ? T(10) : T(20)), magnitude);
  if constexpr (sizeof(T) == 8) {
    const Batch<T> t = expm1_above<T>(two * a);
    return xsimd::copysign(t / (t + two), x);
  } else {
    const Batch<T> large = one - two / (exp_rough(two * a) + one);
    const Batch<T> s = a * a;
    const auto p = polynomial<T>(
        s, {-0x1.555532p-2F, 0x1.110722p-3F, -0x1.b83bd4p-5F, 0x1.52238cp-6F, -0x1.75d636p-8F});  // 0.07 ulp
    const Batch<T> small = mul_add(a * s, p, a);
    return xsimd::copysign(xsimd::select(magnitude < Batch<T>(T(0.625)), small, large), x);
  }
}

}  // namespace math
