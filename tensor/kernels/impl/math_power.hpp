// Powers with whole exponents, and which of two numbers. Part of impl.hpp.

namespace math {

/// x^3 rounded once, but for a few values close to the middle of two numbers or near the subnormal ones: x *
/// x and its product with x, each less what rounding added to it, which a fused multiply-add tells.
template <class T>
[[gnu::always_inline]] inline Batch<T> cube(const Batch<T>& x) {
  const Batch<T> square = x * x, y = square * x;
  const Batch<T> added = mul_add(sub_product(x, x, square), x, sub_product(square, x, y));
  // Where a product overflows this is infinite or NaN; a zero keeps its sign.
  return xsimd::select((xsimd::abs(added) < Batch<T>(infinity<T>)) & (y != Batch<T>(0)), y - added, y);
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
