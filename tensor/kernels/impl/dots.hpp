// Dot products with the rows of a matrix. Part of impl.hpp.

/// A batch of a row's elements, widened where they are compact.
template <class T>
[[gnu::always_inline]] inline Batch<T> load_row(const T* w) {
  return Batch<T>::load_unaligned(w);
}
[[gnu::always_inline]] inline Batch<float> load_row(const std::int8_t* w) {
#if defined(__AVX512F__)
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w))));
#elif defined(__AVX2__)
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(w))));
#elif defined(__SSE2__)
  int four = 0;
  std::memcpy(&four, w, sizeof four);
  const __m128i bytes = _mm_cvtsi32_si128(four);
  const __m128i pairs = _mm_unpacklo_epi8(bytes, bytes);
  return _mm_cvtepi32_ps(_mm_srai_epi32(_mm_unpacklo_epi16(pairs, pairs), 24));
#else
  alignas(64) float buffer[lanes<float>];
  for (std::int64_t i = 0; i < lanes<float>; ++i) buffer[i] = static_cast<float>(w[i]);
  return Batch<float>::load_aligned(buffer);
#endif
}
[[gnu::always_inline]] inline Batch<float> load_row(const std::uint16_t* w) {
#if defined(__AVX512F__)
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
#elif defined(__AVX2__)
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
#elif defined(__SSE2__)
  const __m128i halves = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(w));
  return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), halves));
#else
  alignas(64) std::uint32_t bits[lanes<float>];
  for (std::int64_t i = 0; i < lanes<float>; ++i) bits[i] = std::uint32_t{w[i]} << 16;
  alignas(64) float buffer[lanes<float>];
  std::memcpy(buffer, bits, sizeof buffer);
  return Batch<float>::load_aligned(buffer);
#endif
}

/// The sums of the lanes of as many batches.
template <class T>
[[gnu::always_inline]] inline Batch<T> lane_sums(const Batch<T>* rows) {
#if defined(__AVX512F__)
  // That of xsimd 8.1 has the sums in another order for floats.
  if constexpr (sizeof(T) == 4) {
    using Half = xsimd::batch<float, xsimd::avx2>;
    Half halves[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) {
      const __m512 row = rows[r];
      halves[r] = Half(_mm256_add_ps(_mm512_castps512_ps256(row), _mm512_extractf32x8_ps(row, 1)));
    }
    const __m256 low = xsimd::haddp(halves), high = xsimd::haddp(halves + 8);
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
  }
#endif
  return xsimd::haddp(rows);
}

/// Prefetches what lies eight kilobytes further on into the second-level cache.
[[gnu::always_inline]] inline void prefetch_soon(const void* x) {
  const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(x) + 8192;
  __builtin_prefetch(reinterpret_cast<const void*>(at), 0, 2);  // NOLINT(performance-no-int-to-ptr)
}

/// M rows of x with up to a register's lanes of the rows of w. A row of w is read once for all of x, from its
/// beginning to its end, as memory is read fastest; and its lanes are summed at the end, those of all rows at
/// once. The order of a sum depends on k alone.
template <class T, class W, int M>
void dots_of_rows(const T* x, std::int64_t ldx, const W* w, std::int64_t ldw, std::int64_t rows,
                  std::int64_t k, T* out, std::int64_t ldo) {
  using B = Batch<T>;
  B sums[M][lanes<T>];
  for (std::int64_t r = 0; r < rows; ++r, w += ldw) {
    B acc[M][4];
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) acc[m][j] = B(0);
    }
    std::int64_t i = 0;
    for (; i + 4 * lanes<T> <= k; i += 4 * lanes<T>) {
      // Widening leaves the processor fewer bytes to look ahead by itself; bytes of eight kilobytes further
      // on come into the second-level cache meanwhile.
      if constexpr (sizeof(W) == 1) prefetch_soon(w + i);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const B v = load_row(w + i + j * lanes<T>);
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m)
          acc[m][j] = mul_add(B::load_unaligned(x + m * ldx + i + j * lanes<T>), v, acc[m][j]);
      }
    }
    for (; i + lanes<T> <= k; i += lanes<T>) {
      const B v = load_row(w + i);
#pragma GCC unroll 4
      for (int m = 0; m < M; ++m) acc[m][0] = mul_add(B::load_unaligned(x + m * ldx + i), v, acc[m][0]);
    }
    if constexpr (std::is_same_v<T, W>) {
      if (i < k) {
        const B v = load_part<T>(w + i, k - i);
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m) acc[m][1] = mul_add(load_part<T>(x + m * ldx + i, k - i), v, acc[m][1]);
      }
    }
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) sums[m][r] = (acc[m][0] + acc[m][1]) + (acc[m][2] + acc[m][3]);
  }
  for (int m = 0; m < M; ++m) {
    for (std::int64_t r = rows; r < lanes<T>; ++r) sums[m][r] = B(0);
    const B totals = lane_sums<T>(sums[m]);
    if (rows == lanes<T>) {
      totals.store_unaligned(out + m * ldo);
    } else {
      store_part<T>(totals, out + m * ldo, rows);
    }
  }
}
template <class T, class W>
void all_dots(const T* x, std::int64_t ldx, std::int64_t m, const W* w, std::int64_t ldw, std::int64_t rows,
              std::int64_t k, T* out, std::int64_t ldo) {
  constexpr std::int64_t most = register_count >= 32 ? 4 : 2;
  for (std::int64_t r = 0; r < rows; r += lanes<T>, w += lanes<T> * ldw) {
    const std::int64_t some = rows - r < lanes<T> ? rows - r : lanes<T>;
    std::int64_t i = 0;
    for (; i + most <= m; i += most)
      dots_of_rows<T, W, most>(x + i * ldx, ldx, w, ldw, some, k, out + i * ldo + r, ldo);
    for (; i + 2 <= m; i += 2)
      dots_of_rows<T, W, 2>(x + i * ldx, ldx, w, ldw, some, k, out + i * ldo + r, ldo);
    if (i < m) dots_of_rows<T, W, 1>(x + i * ldx, ldx, w, ldw, some, k, out + i * ldo + r, ldo);
  }
}

template <class W>
void widen_row(const W* w, float scale, std::int64_t n, float* out) {
  using B = Batch<float>;
  const B factor(scale);
  std::int64_t i = 0;
  for (; i + lanes<float> <= n; i += lanes<float>) (load_row(w + i) * factor).store_unaligned(out + i);
  // What is beyond n are zeros up to a multiple of compact_unit.
  if (i < n) store_part<float>(load_row(w + i) * factor, out + i, n - i);
}

template <class Rest>
struct WithCompact : Rest {
  void compact_dots(const float* x, std::int64_t ldx, std::int64_t m, const std::int8_t* w, std::int64_t ldw,
                    std::int64_t rows, std::int64_t k, float* out, std::int64_t ldo) const override {
    all_dots(x, ldx, m, w, ldw, rows, k, out, ldo);
  }
  void compact_dots(const float* x, std::int64_t ldx, std::int64_t m, const std::uint16_t* w,
                    std::int64_t ldw, std::int64_t rows, std::int64_t k, float* out,
                    std::int64_t ldo) const override {
    all_dots(x, ldx, m, w, ldw, rows, k, out, ldo);
  }
  void widen(const std::int8_t* w, float scale, std::int64_t n, float* out) const override {
    widen_row(w, scale, n, out);
  }
  void widen(const std::uint16_t* w, float scale, std::int64_t n, float* out) const override {
    widen_row(w, scale, n, out);
  }
};
