// Circular and hyperbolic functions and their inverses: xsimd's, which are within 4 ulp, with their edges
// corrected. Part of impl.hpp.

namespace math {

/// NaN below 1, where xsimd's gives numbers.
template <class T>
[[gnu::always_inline]] inline Batch<T> acosh(const Batch<T>& x) {
  return xsimd::select(x >= Batch<T>(1), xsimd::acosh(x), Batch<T>(not_a_number<T>));
}
/// Rounds to an integer by f, which may lose the sign of zero.
template <class T, class F>
[[gnu::always_inline]] inline Batch<T> rounded(const Batch<T>& x, F f) {
  return xsimd::copysign(f(x), x);
}

}  // namespace math
