// Powers, and which of two numbers. Part of impl.hpp.

namespace math {

/// x^3 rounded once, but for a few values close to the middle of two numbers or near the subnormal ones: x *
/// x and its product with x, each less what rounding added to it, which a fused multiply-add tells.
template <class T>
[[gnu::always_inline]] inline Batch<T> cube(const Batch<T>& x) {
  const Batch<T> square = x * x, y = square * x;
  const Batch<T> added = mul_add(sub_product(x, x, square), x, sub_product(square, x, y));
  // Where a product overflows this is infinite or NaN; a zero keeps its sign.
  const Batch<T> corrected = y - added;
  return xsimd::select(corrected == corrected, corrected, y) | (x & Batch<T>(sign_bit<T>));
}

/// a^b = 2^(b log2 a) for 0 < a < infinity, b finite or NaN, and results up to 2^200 and down to 2^-200; to
/// 2^-30. With a = 2^e (1 + f) and s = f / (2 + f), log2 a = e + s p(s^2).
[[gnu::always_inline]] inline Batch<double> power_wide(const Batch<double>& a, const Batch<double>& b) {
  using B = Batch<double>;
  const Decomposed<double> parts = decompose<double>(a);
  const B s = parts.f / (B(2) + parts.f);
  const B p =
      polynomial<double>(s * s, {0x1.71547652b824dp+1, 0x1.ec709dc53facbp-1, 0x1.2776c2907845ep-1,
                                 0x1.a61a30ae036abp-2, 0x1.47950ede205fep-2, 0x1.21b4b33a53fb7p-2});  // 2^-45
  const B exponent = b * mul_add(s, p, parts.e);
  const B bounded = xsimd::min(B(200), xsimd::max(B(-200), exponent));  // NaN passes
  const B n = nearest<double>(bounded);
  const B y = polynomial<double>(
      bounded - n, {1, 0x1.62e4300ba7098p-1, 0x1.ebfbe04588448p-3, 0x1.c6b0550f83902p-5, 0x1.3b2a1bd5f0e03p-7,
                    0x1.5dc0597dbbf7p-10, 0x1.443fb5ad08ecdp-13, 0x1.c0456196b286p-17});  // 2^-32
  return y * power_of_two<double>(whole_bits<double>(n, Format<double>::bias));
}
/// |a|^b with a's sign where b is odd, for any a and b; `inside` are those that power_wide takes.
[[gnu::always_inline]] inline Batch<float> power_of_any(const Batch<float>& a, const Batch<float>& b) {
  using B = Batch<float>;
  const B size = xsimd::abs(a), zero(0), one(1), none(not_a_number<float>), infinite(infinity<float>);
  const auto inside = (size > zero) & (size < infinite) & (xsimd::abs(b) < infinite);
  B y = in_f64([](auto l, auto r) { return power_wide(l, r); }, xsimd::select(inside, size, one),
               xsimd::select(inside, b, one));
  // At 0 and the infinities: it grows without bound, or vanishes, but for 1^b.
  const B grown = xsimd::select((size > one) == (b > zero), infinite, zero);
  y = xsimd::select(inside, y, xsimd::select(size == one, one, grown));
  const B whole = xsimd::trunc(b), half = B(0.5F) * whole;
  const auto is_whole = whole == b;
  const auto odd = is_whole & (xsimd::trunc(half) != half);
  y = xsimd::select(odd, y ^ (a & B(sign_bit<float>)), y);
  y = xsimd::select((a < zero) & inside & !is_whole, none, y);
  y = xsimd::select((a == a) & (b == b), y, none);
  return xsimd::select((b == zero) | (a == one), one, y);
}
/// a^b, with the bits of the functions that power_function names.
[[gnu::always_inline]] inline Batch<float> power(const Batch<float>& a, const Batch<float>& b) {
  using B = Batch<float>;
  B y(0);
  if (xsimd::all((a > B(0)) & (a < B(infinity<float>)) & (xsimd::abs(b) < B(infinity<float>)))) {
    y = in_f64([](auto l, auto r) { return power_wide(l, r); }, a, b);
  } else {
    y = power_of_any(a, b);
  }
  const auto named = (b == B(2)) | (b == B(3)) | (b == B(-1));
  return xsimd::any(named) ? scalar_where<float>(Binary::pow, named, a, b, y) : y;
}

// The larger and the smaller of two numbers; NaN on either side wins.
template <class T>
[[gnu::always_inline]] inline Batch<T> larger(const Batch<T>& l, const Batch<T>& r) {
  return xsimd::select((l > r) | xsimd::isnan(l), l, r);
}
template <class T>
[[gnu::always_inline]] inline Batch<T> smaller(const Batch<T>& l, const Batch<T>& r) {
  return xsimd::select((l < r) | xsimd::isnan(l), l, r);
}

}  // namespace math
