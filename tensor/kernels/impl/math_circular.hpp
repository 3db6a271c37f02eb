// Circular and hyperbolic functions and their inverses: xsimd's, which are within 4 ulp, with their edges
// corrected. Part of impl.hpp.

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

}  // namespace math
