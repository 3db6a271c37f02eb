// exp and what follows from it. Part of impl.hpp.

namespace math {

/// The nearest whole number of a number below 2^22, whatever way results are rounded where the processor can.
template <class T>
[[gnu::always_inline]] inline Batch<T> nearest(const Batch<T>& x) {
#if defined(__AVX2__) || defined(__aarch64__)
  return xsimd::nearbyint(x);
#else
  const Batch<T> shift(rounder<T>);
  return (x + shift) - shift;
#endif
}

/// x = n ln 2 + r with a whole n and |r| <= ln 2 / 2
template <class T>
struct Reduced {
  Batch<T> r, n;
};
template <class T>
[[gnu::always_inline]] inline Reduced<T> reduce(const Batch<T>& x) {
  const Batch<T> n = nearest<T>(x * Batch<T>(log2_e<T>));
  const Batch<T> r = sub_product(n, Batch<T>(ln2_high<T>), x);
  return {sub_product(n, Batch<T>(ln2_low<T>), r), n};
}
/// n + offset in the lowest bits, for a whole number n.
template <class T>
[[gnu::always_inline]] inline Bits<T> whole_bits(const Batch<T>& n, int offset) {
  return bits_of<T>(n + Batch<T>(rounder<T> + static_cast<T>(offset)));
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
  const auto [r, n] = reduce<float>(x);
  const auto q =
      polynomial<float>(r, {0x1p-1F, 0x1.5554dcp-3F, 0x1.5554e8p-5F, 0x1.120c6cp-7F, 0x1.6d4e94p-10F});
  return (Batch<float>(1) + mul_add(r * r, q, r)) *
         power_of_two<float>(whole_bits<float>(n, Format<float>::bias));
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

/// Where exp is 0 and infinity to the nearest number of T, and from where on it surely is a normal number.
template <class T>
constexpr T exp_least = sizeof(T) == 4 ? T(-104) : T(-746);
template <class T>
constexpr T exp_most = sizeof(T) == 4 ? T(89) : T(710);
template <class T>
constexpr T exp_floor = sizeof(T) == 4 ? T(-87) : T(-708);

/// y 2^n for y between 1/2 and 2 and a whole n that reaches beyond the numbers of T on either side.
template <class T>
[[gnu::always_inline]] inline Batch<T> scaled_normal(const Batch<T>& y, const Batch<T>& n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_scalef_ps(y, n);
#endif
  // 2^n as two factors: a single one does not reach infinity.
  const Bits<T> bits = whole_bits<T>(n, 2 * Format<T>::bias), half = bits >> 1;
  return y * power_of_two<T>(half) * power_of_two<T>(bits - half);
}
/// The same, where the lanes with x < normal may be subnormal numbers or 0, and those with x <= least are 0.
/// Arithmetic on such numbers takes a processor tens of times longer, so these are made as whole multiples of
/// the smallest one: the lowest bits of a sum.
template <class T>
[[gnu::always_inline]] inline Batch<T> scaled(const Batch<T>& y, const Batch<T>& n, const Batch<T>& x,
                                              T normal, T least) {
  using B = Batch<T>;
  const auto low = x < B(normal);
  if (!xsimd::any(low)) return scaled_normal<T>(y, n);
  if (!xsimd::any(low & (x > B(least))))
    return xsimd::select(low, B(0), scaled_normal<T>(y, xsimd::select(low, B(0), n)));
  constexpr int up = Format<T>::bias - 1 + Format<T>::fraction_bits;
  const Bits<T> biased = whole_bits<T>(xsimd::select(low, n, B(T(-up))), Format<T>::bias + up);
  const B multiple = y * power_of_two<T>(biased);
  const B whole(static_cast<T>(std::uint64_t{1} << Format<T>::fraction_bits));
  const B small = from_bits<T>(bits_of<T>(multiple + whole) - bits_of<T>(whole));
  const auto subnormal = low & (multiple < whole);
  return xsimd::select(subnormal, small, scaled_normal<T>(y, xsimd::select(subnormal, B(0), n)));
}

/// exp for x up to exp_most.
template <class T>
[[gnu::always_inline]] inline Batch<T> exp_below(const Batch<T>& x) {
  // NaN, as the second operand, passes such bounds.
  const Batch<T> bounded = xsimd::max(Batch<T>(exp_least<T>), x);
  const auto [r, n] = reduce<T>(bounded);
  return scaled<T>(Batch<T>(1) + expm1_reduced<T>(r), n, bounded, exp_floor<T>, exp_least<T>);
}
template <class T>
[[gnu::always_inline]] inline Batch<T> exp(const Batch<T>& x) {
  return exp_below<T>(xsimd::min(Batch<T>(exp_most<T>), x));
}
/// factor * e^(x + low) for x from `least` to 0 and a low that is small beside 1, where e^least times the
/// factor is 0 to the nearest number: with exp_least, for factors up to 1.
template <class T>
[[gnu::always_inline]] inline Batch<T> exp_times(const Batch<T>& x, const Batch<T>& low,
                                                 const Batch<T>& factor, T least = exp_least<T>) {
  const auto [r, n] = reduce<T>(x);
  return scaled<T>((Batch<T>(1) + expm1_reduced<T>(r + low)) * factor, n, x, exp_floor<T>, least);
}
/// e^x for x from exp_floor to 0.
template <class T>
[[gnu::always_inline]] inline Batch<T> exp_unscaled(const Batch<T>& x) {
  const auto [r, n] = reduce<T>(x);
  const Batch<T> y = Batch<T>(1) + expm1_reduced<T>(r);
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_scalef_ps(y, n);
#endif
  return y * power_of_two<T>(whole_bits<T>(n, Format<T>::bias));
}

/// 2^x = 2^n e^((x - n) ln 2) for the whole number n next to x.
template <class T>
[[gnu::always_inline]] inline Batch<T> exp2(const Batch<T>& x) {
  constexpr T least = sizeof(T) == 4 ? T(-151) : T(-1076), most = sizeof(T) == 4 ? T(129) : T(1025);
  constexpr T normal = sizeof(T) == 4 ? T(-126) : T(-1022);
  // NaN, as the second operand, passes the bounds.
  const Batch<T> bounded = xsimd::min(Batch<T>(most), xsimd::max(Batch<T>(least), x));
  const Batch<T> n = nearest<T>(bounded);
  // What is added to x near 0 does not count, and keeps subnormal numbers, which are slow, out of the
  // products.
  const Batch<T> r = bounded - (n - Batch<T>(T(0x1p-60)));
  const Batch<T> y = Batch<T>(1) + expm1_reduced<T>(r * Batch<T>(ln2_high<T> + ln2_low<T>));
  return scaled<T>(y, n, bounded, normal, least);
}

/// expm1 for x >= exp_least / 4, but without the sign of zero and the last bit of subnormal numbers.
template <class T>
[[gnu::always_inline]] inline Batch<T> expm1_above(const Batch<T>& x) {
  const auto [r, n] = reduce<T>(xsimd::min(Batch<T>(exp_most<T>), x));
  const Batch<T> half_scale = power_of_two<T>(whole_bits<T>(n, Format<T>::bias - 1));
  const Batch<T> half = mul_add(half_scale, expm1_reduced<T>(r), half_scale - Batch<T>(T(0.5)));
  return half + half;
}
template <class T>
[[gnu::always_inline]] inline Batch<T> expm1(const Batch<T>& x) {
  constexpr T tiny = std::numeric_limits<T>::epsilon() / 8;
  const Batch<T> y = expm1_above<T>(xsimd::max(Batch<T>(exp_least<T> / 4), x));
  return xsimd::select(xsimd::abs(x) < Batch<T>(tiny), x, y);
}

/// y, and factor * e^(x + low) below exp_floor: for a function of e^x that is that far below 0. The factor
/// and `least` are as for exp_times.
template <class T>
[[gnu::always_inline]] inline Batch<T> exp_where_tiny(const Batch<T>& x, const Batch<T>& low,
                                                      const Batch<T>& y, const Batch<T>& factor = Batch<T>(1),
                                                      T least = exp_least<T>) {
  const auto tiny = x < Batch<T>(exp_floor<T>);
  if (!xsimd::any(tiny)) return y;
  Batch<T> e(0);
  if (xsimd::any(tiny & (x > Batch<T>(least)))) {
    const Batch<T> bounded = xsimd::min(Batch<T>(0), xsimd::max(Batch<T>(least), x));
    e = exp_times<T>(bounded, low, factor, least);
  }
  return xsimd::select(tiny, e, y);
}

/// sigmoid(x + low) for a low that is small beside 1.
template <class T, bool with_low = false>
[[gnu::always_inline]] inline Batch<T> sigmoid(const Batch<T>& x, const Batch<T>& low = Batch<T>(0)) {
  // e^-|x| does not overflow, and keeps the small results exact.
  const Batch<T> one(1), down = xsimd::max(Batch<T>(exp_floor<T>), -xsimd::abs(x));
  Batch<T> e = exp_unscaled<T>(down);
  if constexpr (with_low) e = mul_add(e, xsimd::select(x < Batch<T>(0), low, -low), e);
  const Batch<T> y = xsimd::select(x < Batch<T>(0), e, one) / (one + e);
  // Far below 0, the rounding of 1 + e counts less in e - e y than in e / (1 + e).
  return exp_where_tiny<T>(x, low, xsimd::select(x < Batch<T>(T(-0.7)), sub_product(e, y, e), y));
}
/// The derivative of sigmoid, e / (1 + e)^2 with e = e^-|x|: through the result it would be 0 where that is 1
/// to the nearest number.
template <class T>
[[gnu::always_inline]] inline Batch<T> sigmoid_slope(const Batch<T>& x) {
  const Batch<T> down = -xsimd::abs(x), e = exp_unscaled<T>(xsimd::max(Batch<T>(exp_floor<T>), down));
  const Batch<T> above = Batch<T>(1) + e;
  return exp_where_tiny<T>(down, Batch<T>(0), e / (above * above));
}
/// The same at x + low, for a low that is small beside 1, times a factor from 1 to 128.
template <class T>
[[gnu::always_inline]] inline Batch<T> sigmoid_slope_times(const Batch<T>& x, const Batch<T>& low,
                                                           const Batch<T>& factor) {
  constexpr T least = exp_least<T> - 5;  // e^-5 < 1 / 128
  const Batch<T> down = -xsimd::abs(x), down_low = xsimd::select(x < Batch<T>(0), low, -low);
  Batch<T> e = exp_unscaled<T>(xsimd::max(Batch<T>(exp_floor<T>), down));
  e = mul_add(e, down_low, e);
  const Batch<T> above = Batch<T>(1) + e;
  return exp_where_tiny<T>(down, down_low, factor * e / (above * above), factor, least);
}

/// tanh(log(1 + e^x)) = (w^2 + 2w) / (w^2 + 2w + 2) with w = e^x, for x > 0 written of 1/w; and its
/// derivative, 4 w (1 + w) / (w^2 + 2w + 2)^2. Far below 0 both are e^x.
template <class T>
struct MishParts {
  Batch<T> w, over, under;  // e^-|x|, and the two sums, for x > 0 over w^2
};
template <class T>
[[gnu::always_inline]] inline MishParts<T> mish_parts(const Batch<T>& x) {
  const Batch<T> w = exp_unscaled<T>(xsimd::max(Batch<T>(exp_floor<T>), -xsimd::abs(x))), twice = w + w;
  const auto below = x < Batch<T>(0);
  const Batch<T> over = xsimd::select(below, mul_add(w, w, twice), Batch<T>(1) + twice);
  return {w, over, over + xsimd::select(below, Batch<T>(2), twice * w)};
}
template <class T>
[[gnu::always_inline]] inline Batch<T> mish_gate(const Batch<T>& x) {
  const auto [w, over, under] = mish_parts<T>(x);
  return exp_where_tiny<T>(x, Batch<T>(0), over / under);
}
template <class T>
[[gnu::always_inline]] inline Batch<T> mish_gate_slope(const Batch<T>& x) {
  const auto [w, over, under] = mish_parts<T>(x);
  // The last factor at the end: the product may be a subnormal number.
  const Batch<T> y = Batch<T>(4) * (w * (Batch<T>(1) + w)) / (under * under);
  return exp_where_tiny<T>(x, Batch<T>(0), y * xsimd::select(x < Batch<T>(0), Batch<T>(1), w));
}

/// tanh in f32 of x up to 0.625.
[[gnu::always_inline]] inline Batch<float> small_tanh(const Batch<float>& x) {
  const Batch<float> s = x * x;
  const auto p = polynomial<float>(
      s, {-0x1.555532p-2F, 0x1.110722p-3F, -0x1.b83bd4p-5F, 0x1.52238cp-6F, -0x1.75d636p-8F});  // 0.07 ulp
  return mul_add(x * s, p, x);
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
    return xsimd::copysign(xsimd::select(magnitude < Batch<T>(T(0.625)), small_tanh(a), large), x);
  }
}

/// What a function between two bounds gives, and how far that is from the bound next to it: exact also where
/// the value is the bound to the nearest number.
template <class T>
struct Bounded {
  Batch<T> value, rest;
};

/// sigmoid, with the bits of the function above, and the smaller of it and 1 minus it.
template <class T>
[[gnu::always_inline]] inline Bounded<T> bounded_sigmoid(const Batch<T>& x) {
  const Batch<T> one(1), none(0), down = -xsimd::abs(x);
  const auto negative = x < none;
  const Batch<T> e = exp_unscaled<T>(xsimd::max(Batch<T>(exp_floor<T>), down));
  const Batch<T> y = xsimd::select(negative, e, one) / (one + e);
  const Batch<T> low = xsimd::select(x < Batch<T>(T(-0.7)), sub_product(e, y, e), y);
  const Batch<T> rest = exp_where_tiny<T>(down, none, xsimd::select(negative, low, e * y));
  return {xsimd::select(negative, rest, y), rest};
}
/// tanh, with the bits of the function above, and 1 minus |tanh|, which is exact from 0.5 on.
template <class T>
[[gnu::always_inline]] inline Bounded<T> bounded_tanh(const Batch<T>& x) {
  const Batch<T> one(1), two(2), none(0), magnitude = xsimd::abs(x), down = -(magnitude + magnitude);
  const Batch<T> a = xsimd::min(Batch<T>(exp_floor<T> / T(-2)), magnitude);  // NaN passes
  if constexpr (sizeof(T) == 8) {
    const Batch<T> t = expm1_above<T>(two * a), half = exp_where_tiny<T>(down, none, one / (t + two));
    return {xsimd::copysign(t / (t + two), x), half + half};
  } else {
    const Batch<T> half = exp_where_tiny<T>(down, none, one / (exp_rough(two * a) + one)), rest = half + half;
    return {xsimd::copysign(xsimd::select(magnitude < Batch<T>(T(0.625)), small_tanh(a), one - rest), x),
            rest};
  }
}

/// The derivative of tanh, 4 e / (1 + e)^2 with e = e^-2|x|.
template <class T>
[[gnu::always_inline]] inline Batch<T> tanh_slope(const Batch<T>& x) {
  return Batch<T>(4) * sigmoid_slope<T>(x + x);
}

}  // namespace math
