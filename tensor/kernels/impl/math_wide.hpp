// f32 functions computed in f64, where that is the shortest way to exact results. Part of impl.hpp.

namespace math {

/// The elements of a batch of f32 as two of f64.
struct Wide {
  Batch<double> low, high;
};
[[gnu::always_inline]] inline Wide widen(const Batch<float>& x) {
#if defined(__AVX512F__)
  const __m512 v = x;
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))};
#elif defined(__AVX2__)
  const __m256 v = x;
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(v)), _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))};
#elif defined(__SSE2__)
  const __m128 v = x;
  return {_mm_cvtps_pd(v), _mm_cvtps_pd(_mm_movehl_ps(v, v))};
#else
  alignas(64) float from[lanes<float>];
  alignas(64) double to[lanes<float>];
  x.store_aligned(from);
  for (std::int64_t i = 0; i < lanes<float>; ++i) to[i] = static_cast<double>(from[i]);
  return {Batch<double>::load_aligned(to), Batch<double>::load_aligned(to + lanes<double>)};
#endif
}
[[gnu::always_inline]] inline Batch<float> narrow(const Wide& x) {
#if defined(__AVX512F__)
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(x.low)), _mm512_cvtpd_ps(x.high), 1);
#elif defined(__AVX2__)
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(x.low)), _mm256_cvtpd_ps(x.high), 1);
#elif defined(__SSE2__)
  return _mm_movelh_ps(_mm_cvtpd_ps(x.low), _mm_cvtpd_ps(x.high));
#else
  alignas(64) double from[lanes<float>];
  alignas(64) float to[lanes<float>];
  x.low.store_aligned(from);
  x.high.store_aligned(from + lanes<double>);
  for (std::int64_t i = 0; i < lanes<float>; ++i) to[i] = static_cast<float>(from[i]);
  return Batch<float>::load_aligned(to);
#endif
}
/// f, a function of batches of f64, of batches of either type.
template <class F, class... Xs>
[[gnu::always_inline]] inline Batch<float> in_f64(F f, const Batch<float>& x, const Xs&... more) {
  const Wide first = widen(x);
  if constexpr (sizeof...(more) == 0) {
    return narrow({f(first.low), f(first.high)});
  } else {
    const Wide second = widen(more...);
    return narrow({f(first.low, second.low), f(first.high, second.high)});
  }
}

}  // namespace math
