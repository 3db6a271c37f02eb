// Functions of one batch. Part of impl.hpp.

template <class T>
Batch<T> fast_tanh(const Batch<T>& x) {
  if constexpr (sizeof(T) == 8) {
    // xsimd's is not exact at infinity in every version.
    return xsimd::select(xsimd::abs(x) > Batch<T>(20), xsimd::copysign(Batch<T>(1), x), xsimd::tanh(x));
  } else {
    const Batch<T> magnitude = xsimd::abs(x);
    const Batch<T> t = xsimd::exp(Batch<T>(-2) * magnitude);
    const Batch<T> large = (Batch<T>(1) - t) / (Batch<T>(1) + t);
    // The Taylor series, where 1 - t would cancel.
    const Batch<T> s = x * x;
    Batch<T> p(static_cast<T>(-1382.0 / 155925));
    for (const double coefficient : {62.0 / 2835, -17.0 / 315, 2.0 / 15, -1.0 / 3}) {
      p = xsimd::fma(p, s, Batch<T>(static_cast<T>(coefficient)));
    }
    const Batch<T> small = xsimd::fma(x * s, p, x);
    return xsimd::select(magnitude < Batch<T>(static_cast<T>(0.3)), small, xsimd::copysign(large, x));
  }
}
template <class T>
Batch<T> fast_sigmoid(const Batch<T>& x) {
  return Batch<T>(1) / (Batch<T>(1) + xsimd::exp(-x));
}
