// Circular and hyperbolic functions and their inverses: sine, cosine and tangent, and xsimd's others, which
// are within 4 ulp, with their edges corrected. Part of impl.hpp, after exp.

namespace math {

/// NaN below 1, where xsimd's gives numbers.
template <class T>
[[gnu::always_inline]] inline Batch<T> acosh(const Batch<T>& x) {
  return xsimd::select(x >= Batch<T>(1), xsimd::acosh(x), Batch<T>(not_a_number<T>));
}
/// Functions that are x to the nearest number near 0, where xsimd's divide by x or are slow, are computed of
/// away_from_zero(x), and replaced by x there.
template <class T>
constexpr T near_zero = sizeof(T) == 4 ? T(0x1p-12) : T(0x1p-27);
template <class T>
[[gnu::always_inline]] inline Batch<T> away_from_zero(const Batch<T>& x) {
  const auto small = xsimd::abs(x) < Batch<T>(near_zero<T>);
  return xsimd::any(small) ? xsimd::select(small, Batch<T>(near_zero<T>), x) : x;
}
template <class T>
[[gnu::always_inline]] inline Batch<T> or_argument(const Batch<T>& y, const Batch<T>& x) {
  return xsimd::select(xsimd::abs(x) < Batch<T>(near_zero<T>), x, y);
}
/// Rounds to an integer by f, which may lose the sign of zero.
template <class T, class F>
[[gnu::always_inline]] inline Batch<T> rounded(const Batch<T>& x, F f) {
  return xsimd::copysign(f(x), x);
}

/// x = n pi / 2 + r with a whole n and |r| <= pi / 4, for 0 <= x < most_reduced, with pi / 2 in three parts.
template <class T>
constexpr T most_reduced = sizeof(T) == 4 ? T(0x1p16) : T(0x1p21);
template <class T>
[[gnu::always_inline]] inline Reduced<T> quarter_turns(const Batch<T>& x) {
  using B = Batch<T>;
  const B n = nearest<T>(x * B(T(0.63661977236758134308L)));
  if constexpr (sizeof(T) == 4) {
    const B r = sub_exactly<T>(n, B(-0x1.777a5cp-25F), sub_exactly<T>(n, B(0x1.921fb6p+0F), x));
    return {sub_product(n, B(-0x1.ee59dap-50F), r), n};
  } else {
    const B r = sub_exactly<T>(n, B(0x1.1a62633145c07p-54), sub_exactly<T>(n, B(0x1.921fb54442d18p+0), x));
    return {sub_product(n, B(-0x1.f1976b8p-110), r), n};
  }
}
/// The sine and the cosine of a reduced r, to 0.01 ulp before rounding.
template <class T>
struct SineCosine {
  Batch<T> sine, cosine;
};
template <class T>
[[gnu::always_inline]] inline SineCosine<T> sine_cosine(const Batch<T>& r) {
  using B = Batch<T>;
  const B z = r * r, half = mul_add(B(T(-0.5)), z, B(1));
  if constexpr (sizeof(T) == 4) {
    const B p = polynomial<T>(z, {-0x1.555556p-3F, 0x1.111176p-7F, -0x1.a05ba8p-13F, 0x1.7ccf1p-19F});
    const B q = polynomial<T>(z, {0x1.55554ap-5F, -0x1.6c0c1ap-10F, 0x1.99e0e4p-16F});
    return {mul_add(r * z, p, r), mul_add(z * z, q, half)};
  } else {
    const B p = polynomial<T>(z, {-0x1.5555555555549p-3, 0x1.111111110f8a5p-7, -0x1.a01a019c15e4cp-13,
                                  0x1.71de357ae04eap-19, -0x1.ae5e6867d5998p-26, 0x1.5d939261154dep-33});
    const B q = polynomial<T>(z, {0x1.555555555554cp-5, -0x1.6c16c16c1521ep-10, 0x1.a01a019cbf386p-16,
                                  -0x1.27e4f8128e78fp-22, 0x1.1ee9f1322b68p-29, -0x1.8fb11de634e2ap-37});
    return {mul_add(r * z, p, r), mul_add(z * z, q, half)};
  }
}
/// near(|x|), and the scalar function where |x| is beyond most_reduced, NaN at the infinities.
template <class T, class Near>
[[gnu::always_inline]] inline Batch<T> circular(Unary op, const Batch<T>& x, Near near) {
  using B = Batch<T>;
  const B size = xsimd::abs(x);
  const auto usual = size < B(most_reduced<T>);
  if (xsimd::all(usual)) return near(size);
  const auto far = (size >= B(most_reduced<T>)) & (size < B(infinity<T>));
  B y(not_a_number<T>);
  if (xsimd::any(usual)) y = xsimd::select(usual, near(xsimd::select(usual, size, B(0))), y);
  return xsimd::any(far) ? scalar_where<T>(op, far, x, y) : y;
}
/// sin(x), or cos(x) = sin(x + pi / 2) as `turns` is 0 or 1.
template <class T, int turns>
[[gnu::always_inline]] inline Batch<T> sine(const Batch<T>& x) {
  using B = Batch<T>;
  constexpr int top = 8 * sizeof(T) - 1;
  const auto near = [&](const B& size) {
    const auto [r, n] = quarter_turns<T>(size);
    const auto [s, c] = sine_cosine<T>(r);
    const Bits<T> quadrant = whole_bits<T>(n, turns);
    const B swapped = from_bits<T>(quadrant << top) | B(1);
    const B turned = from_bits<T>((quadrant >> 1) << top);
    const B y = xsimd::select(swapped < B(0), c, s) ^ turned;
    return turns == 0 ? y ^ (x & B(sign_bit<T>)) : y;
  };
  return circular<T>(turns == 0 ? Unary::sin : Unary::cos, x, near);
}
template <class T>
[[gnu::always_inline]] inline Batch<T> tan(const Batch<T>& x) {
  using B = Batch<T>;
  const auto near = [&](const B& size) {
    const auto [r, n] = quarter_turns<T>(size);
    const auto [s, c] = sine_cosine<T>(r);
    const B swapped = from_bits<T>(whole_bits<T>(n, 0) << (8 * sizeof(T) - 1)) | B(1);
    const B y = xsimd::select(swapped < B(0), -c, s) / xsimd::select(swapped < B(0), s, c);
    return y ^ (x & B(sign_bit<T>));
  };
  return circular<T>(Unary::tan, x, near);
}

}  // namespace math
