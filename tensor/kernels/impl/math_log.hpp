// log and its relatives. Part of impl.hpp.

namespace math {

/// x = 2^e (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), for a normal x > 0.
template <class T>
struct Decomposed {
  Batch<T> e, f;
};
template <class T>
[[gnu::always_inline]] inline Decomposed<T> decompose(const Batch<T>& x) {
  using Number = typename Format<T>::Bits;
  constexpr int fraction_bits = Format<T>::fraction_bits;
  constexpr Number root = sizeof(T) == 4 ? Number(0x3f3504f3) : Number(0x3fe6a09e667f3bcd);  // sqrt(1/2)
  constexpr Number one = Number(Format<T>::bias) << fraction_bits;
  constexpr T whole = static_cast<T>(Number(1) << fraction_bits);
  const Bits<T> shifted = bits_of<T>(x) + Bits<T>(one - root);
  const Bits<T> fraction = shifted & Bits<T>((Number(1) << fraction_bits) - 1);
  // The biased exponent becomes a floating-point number in the lowest bits of a large one.
  const Bits<T> exponent = (shifted >> fraction_bits) | bits_of<T>(Batch<T>(whole));
  return {from_bits<T>(exponent) - Batch<T>(whole + static_cast<T>(Format<T>::bias)),
          from_bits<T>(fraction + Bits<T>(root)) - Batch<T>(1)};
}

/// log(1 + f) - f + correction
template <class T>
[[gnu::always_inline]] inline Batch<T> log1p_rest(const Batch<T>& f, const Batch<T>& correction) {
  const Batch<T> half_square = Batch<T>(T(0.5)) * f * f;
  if constexpr (sizeof(T) == 4) {
    const auto p =
        polynomial<T>(f, {0x1.555554p-2F, -0x1.ffffe6p-3F, 0x1.999d2ap-3F, -0x1.556288p-3F, 0x1.23de4p-3F,
                          -0x1.fbbf2ep-4F, 0x1.dc75e8p-4F, -0x1.ddb2cep-4F, 0x1.2cb40ep-4F});  // 0.08 ulp
    return mul_add(f * f * f, p, correction) - half_square;
  } else {
    // With s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - f^2/2 + s (f^2/2 + s^2 q(s^2)).
    const Batch<T> s = f / (Batch<T>(2) + f), z = s * s;
    const auto q = polynomial<T>(
        z, {0x1.5555555555558p-1, 0x1.9999999995137p-2, 0x1.2492492e2e9c6p-2, 0x1.c71c6290f394dp-3,
            0x1.7462cd8470009p-3, 0x1.39fb1a4ee2483p-3, 0x1.2b81043383238p-3});  // below 0.01 ulp
    return mul_add(s, mul_add(z, q, half_square), correction) - half_square;
  }
}

/// e ln 2 + log(1 + f) + correction
template <class T>
[[gnu::always_inline]] inline Batch<T> log_of(const Decomposed<T>& x, const Batch<T>& correction) {
  const Batch<T> low = mul_add(x.e, Batch<T>(ln2_low<T>), correction);
  return mul_add(x.e, Batch<T>(ln2_high<T>), x.f + log1p_rest<T>(x.f, low));
}
template <class T>
[[gnu::always_inline]] inline Batch<T> log2_of(const Decomposed<T>& x) {
  return mul_add(x.f + log1p_rest<T>(x.f, Batch<T>(0)), Batch<T>(log2_e<T>), x.e);
}

/// log10(2) in two parts, the first of few bits, and log10(e).
template <class T>
[[gnu::always_inline]] inline Batch<T> log10_of(const Decomposed<T>& x) {
  constexpr T high = sizeof(T) == 4 ? T(0x1.344p-2) : T(0x1.34413509f7p-2);
  constexpr T low = static_cast<T>(0.301029995663981195213738894724493L - static_cast<long double>(high));
  constexpr T log10_e = T(0.434294481903251827651L);
  const Batch<T> y = (x.f + log1p_rest<T>(x.f, Batch<T>(0))) * Batch<T>(log10_e);
  return mul_add(x.e, Batch<T>(high), mul_add(x.e, Batch<T>(low), y));
}

/// f(decomposed x) where x > 0, with the values of a logarithm elsewhere.
template <class T, class F>
[[gnu::always_inline]] inline Batch<T> logarithm(const Batch<T>& x, F f) {
  using B = Batch<T>;
  const bool plain = xsimd::all((x >= B(smallest_normal<T>)) & (x < B(infinity<T>)));
  B normal = x, raised(0);
  if (!plain) {
    constexpr int up = Format<T>::fraction_bits;
    const auto subnormal = x < B(smallest_normal<T>);
    normal = xsimd::select(subnormal, x * B(static_cast<T>(std::uint64_t{1} << up)), x);
    raised = xsimd::select(subnormal, B(T(up)), B(0));
  }
  Decomposed<T> parts = decompose<T>(normal);
  parts.e = parts.e - raised;
  const B y = f(parts);
  if (plain) return y;
  const B below = xsimd::select(x == B(0), B(-infinity<T>), B(not_a_number<T>));
  return xsimd::select(x > B(0), xsimd::select(x < B(infinity<T>), y, x), below);
}
template <class T>
[[gnu::always_inline]] inline Batch<T> log(const Batch<T>& x) {
  return logarithm<T>(x, [](const Decomposed<T>& parts) { return log_of<T>(parts, Batch<T>(0)); });
}
template <class T>
[[gnu::always_inline]] inline Batch<T> log2(const Batch<T>& x) {
  return logarithm<T>(x, [](const Decomposed<T>& parts) { return log2_of<T>(parts); });
}

template <class T>
[[gnu::always_inline]] inline Batch<T> log10(const Batch<T>& x) {
  return logarithm<T>(x, [](const Decomposed<T>& parts) { return log10_of<T>(parts); });
}

template <class T>
[[gnu::always_inline]] inline Batch<T> log1p(const Batch<T>& x) {
  using B = Batch<T>;
  const auto small = xsimd::abs(x) < B(std::numeric_limits<T>::epsilon() / 4);
  B added = x;  // in the division below, which would be slow of subnormal numbers
  if (xsimd::any(small)) added = xsimd::select(small, B(0), x);
  const B one(1), u = one + added;
  // What u lost of x (Knuth's exact sum of two).
  const B taken = u - one, lost = (one - (u - taken)) + (added - taken);
  const B inside = xsimd::select(small, x, log_of<T>(decompose<T>(u), lost / u));
  if (xsimd::all((x > -one) & (x < B(infinity<T>)))) return inside;
  const B below = xsimd::select(x == -one, B(-infinity<T>), B(not_a_number<T>));
  return xsimd::select(x > -one, xsimd::select(x < B(infinity<T>), inside, x), below);
}

/// log(x / (1 - x)), with what rounding took from the quotient u and from 1 - x.
template <class T>
[[gnu::always_inline]] inline Batch<T> logit(const Batch<T>& x) {
  using B = Batch<T>;
  const B below = B(1) - x, u = x / below;
  const B lost = sub_exactly<T>(u, below, x) - u * ((B(1) - below) - x);
  const B known = xsimd::select((x > B(smallest_normal<T>)) & (x < B(1)), lost, B(0));
  const B correction = known / xsimd::select(x > B(smallest_normal<T>), x, B(1));
  return logarithm<T>(u, [&](const Decomposed<T>& parts) { return log_of<T>(parts, correction); });
}

/// log(1 + e^x) for x <= 0; NaN gives any number.
template <class T>
[[gnu::always_inline]] inline Batch<T> log1p_exp_below(const Batch<T>& x) {
  using B = Batch<T>;
  const B one(1), e = exp_unscaled<T>(xsimd::max(B(exp_floor<T>), x)), u = one + e;
  const B y = log_of<T>(decompose<T>(u), (e - (u - one)) / u);  // and what u lost of e
  return exp_where_tiny<T>(x, B(0), xsimd::select(e < B(std::numeric_limits<T>::epsilon() / 4), e, y));
}
template <class T>
[[gnu::always_inline]] inline Batch<T> log1p_exp(const Batch<T>& x) {
  const Batch<T> zero(0), y = xsimd::select(x > zero, x, zero) + log1p_exp_below<T>(-xsimd::abs(x));
  return xsimd::select(x == x, y, x);
}

}  // namespace math
