// Functions of the two coordinates of a point, and the remainder of a division. Part of impl.hpp.

namespace math {

/// y with the results of the scalar function in the lanes of `hard`.
template <class T>
[[gnu::noinline]] Batch<T> scalar_where(Binary op, const xsimd::batch_bool<T, Arch>& hard, const Batch<T>& a,
                                        const Batch<T>& b, const Batch<T>& y) {
  alignas(64) T left[lanes<T>], right[lanes<T>], result[lanes<T>];
  a.store_aligned(left);
  b.store_aligned(right);
  scalar::binary(op, left, false, right, false, result, lanes<T>);
  return xsimd::select(hard, Batch<T>::load_aligned(result), y);
}

template <class T>
[[gnu::noinline]] Batch<T> scalar_where(Unary op, const xsimd::batch_bool<T, Arch>& hard, const Batch<T>& x,
                                        const Batch<T>& y) {
  alignas(64) T from[lanes<T>], result[lanes<T>];
  xsimd::select(hard, x, Batch<T>(1)).store_aligned(from);
  scalar::unary(op, from, result, lanes<T>);
  return xsimd::select(hard, Batch<T>::load_aligned(result), y);
}

/// The angle of the point (x, y): that of the smaller coordinate over the larger one, m / M, is turned into
/// its octant. Above tan(pi / 8) it is pi / 4 and the angle of (m - M) / (m + M).
[[gnu::always_inline]] inline Batch<float> atan2(const Batch<float>& y, const Batch<float>& x) {
  using B = Batch<float>;
  const B up = xsimd::abs(y), along = xsimd::abs(x);
  // NaN, as the second operand, passes; so one of the two is NaN where a coordinate is.
  B larger = xsimd::max(along, up), smaller = xsimd::min(up, along);
  const auto large = larger > B(0x1p126F), small = larger < B(0x1p-100F);
  if (xsimd::any(large | small)) {  // m + M would overflow; subnormal numbers are slow
    const auto diagonal = (smaller == B(infinity<float>)) & (larger == B(infinity<float>));
    const B scale = xsimd::select(large, B(0.25F), xsimd::select(small, B(0x1p100F), B(1)));
    larger = xsimd::select(diagonal, B(1), larger * scale);
    smaller = xsimd::select(diagonal, B(1), smaller * scale);
  }
  const auto middle = smaller > B(0x1.a827ap-2F) * larger;
  const B over = xsimd::select(middle, smaller - larger, smaller);
  const B under = xsimd::select(middle, smaller + larger, larger);
  const B t = over / xsimd::select(larger == B(0), B(1), under), s = t * t;
  // atan(t) = t + t s p(s), to 0.001 ulp
  const B p = polynomial<float>(
      s, {-0x1.555554p-2F, 0x1.99989p-3F, -0x1.246fc2p-3F, 0x1.c2f31ep-4F, -0x1.5341f2p-4F, 0x1.645996p-5F});
  B angle = mul_add(t * s, p, t), eighths = xsimd::select(middle, B(1), B(0));  // of a turn
  const auto steep = up > along;
  angle = xsimd::select(steep, -angle, angle);
  eighths = xsimd::select(steep, B(2) - eighths, eighths);
  const B backward = x & B(sign_bit<float>);
  angle = angle ^ backward;
  eighths = xsimd::select((backward | B(1)) < B(0), B(4) - eighths, eighths);
  // pi / 4 in two parts, the first of few bits
  const B turned = mul_add(eighths, B(0x1.921f8p-1F), mul_add(eighths, B(0x1.aa2216p-20F), angle));
  return turned | (y & B(sign_bit<float>));
}

/// sqrt(a^2 + b^2), its last places corrected by what the squares lost: Borges 2019, "An improved algorithm
/// for hypot(a, b)".
template <class T>
[[gnu::always_inline]] inline Batch<T> hypot(const Batch<T>& a, const Batch<T>& b) {
  using B = Batch<T>;
  constexpr T least = sizeof(T) == 4 ? T(0x1p-50F) : T(0x1p-450),
              most = sizeof(T) == 4 ? T(0x1p60F) : T(0x1p500);
  constexpr T up = sizeof(T) == 4 ? T(0x1p80F) : T(0x1p600),
              down = sizeof(T) == 4 ? T(0x1p-80F) : T(0x1p-600);
  const B left = xsimd::abs(a), right = xsimd::abs(b);
  // NaN, as the second operand, passes; so one of the two is NaN where a or b is.
  B larger = xsimd::max(left, right), smaller = xsimd::min(right, left), back(1);
  const bool usual = xsimd::all((larger > B(least)) & (larger < B(most)));
  if (!usual) {  // the squares would overflow, or lose digits
    const auto high = larger >= B(most), low = larger <= B(least);
    const B scale = xsimd::select(high, B(down), xsimd::select(low, B(up), B(1)));
    back = xsimd::select(high, B(up), xsimd::select(low, B(down), B(1)));
    const auto infinite = (left == B(infinity<T>)) | (right == B(infinity<T>));
    const auto wild = infinite | ((left == B(0)) & (right == B(0)));  // corrected below
    larger = xsimd::select(wild, B(1), larger * scale);
    smaller = xsimd::select(wild, B(1), smaller * scale);
  }
  const auto [wide, wide_low] = exact_product<T>(larger, larger);
  const auto [thin, thin_low] = exact_product<T>(smaller, smaller);
  const B y = xsimd::sqrt(wide + thin);
  const auto [square, square_low] = exact_product<T>(y, y);
  const B off = ((square - wide) - thin) + ((square_low - wide_low) - thin_low);
  B corrected = y - off / (y + y);
  if (usual) return corrected;
  corrected = corrected * back;
  corrected = xsimd::select((left == B(0)) & (right == B(0)), B(0), corrected);
  return xsimd::select((left == B(infinity<T>)) | (right == B(infinity<T>)), B(infinity<T>), corrected);
}

/// a - n b for the whole number n next to a / b towards 0. Rounding the quotient may make n one too large,
/// and then the remainder, which is exact, is negative.
template <class T>
[[gnu::always_inline]] inline Batch<T> fmod(const Batch<T>& a, const Batch<T>& b) {
  using B = Batch<T>;
  constexpr T whole = static_cast<T>(std::uint64_t{1} << Format<T>::fraction_bits);
  constexpr T most = std::numeric_limits<T>::max();  // for infinity, whose product with 0 is NaN
  const B left = xsimd::abs(a), right = xsimd::abs(b), n = xsimd::trunc(left / right);
  const B rest = sub_product(n, xsimd::min(B(most), right), left);
  const B y = xsimd::select(rest < B(0), rest + right, rest) | (a & B(sign_bit<T>));
  const auto plain = n < B(whole);
  if (xsimd::all(plain)) return y;
  const B known = xsimd::select(plain, y, B(not_a_number<T>));
  const auto hard = (n >= B(whole)) & (left < B(infinity<T>)) & (right > B(0));
  return xsimd::any(hard) ? scalar_where<T>(Binary::fmod, hard, a, b, known) : known;
}

}  // namespace math
