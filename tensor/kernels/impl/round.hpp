// Rounds numbers to bfloat16 by AVX512-BF16. Part of what multiplies them.

/// What is packed of a number: the nearest bfloat16, or the nearest to what that lacks.
enum class Half { upper, lower };

template <Half half>
[[gnu::always_inline]] inline __m512 half_of(__m512 x) {
  if constexpr (half == Half::upper) return x;
  const __m512i bits = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)), 16);
  const __m512 upper = _mm512_castsi512_ps(bits);
  const __mmask16 finite =
      _mm512_cmp_ps_mask(_mm512_abs_ps(upper), _mm512_set1_ps(std::numeric_limits<float>::max()), _CMP_LE_OQ);
  return _mm512_maskz_sub_ps(finite, x, upper);
}

/// 32 numbers of bfloat16: those of `first`, then those of `second`.
template <Half half>
[[gnu::always_inline]] inline __m512i rounded(__m512 first, __m512 second) {
  return (__m512i)_mm512_cvtne2ps_pbh(half_of<half>(second), half_of<half>(first));
}

/// The numbers of 0 to 15 beside those of 16 to 31.
[[gnu::always_inline]] inline __m512i beside_each_other() {
  const __m512i pairs = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_or_si512(pairs, _mm512_slli_epi32(_mm512_add_epi32(pairs, _mm512_set1_epi32(16)), 16));
}
