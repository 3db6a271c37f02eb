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

/// M rows of x with the rows of w in `Streams` places, `apart` rows from one to the next, of each up to a
/// register's lanes. A row of w is read once for all of x, from its beginning to its end; and its lanes are
/// summed at the end, those of all rows at once. The order of a sum depends on k alone.
///
/// Memory is read faster in several streams than in one, since the processor prefetches each of them.
template <class T, class W, int M, int Streams>
void dots_of_rows(const T* x, std::int64_t ldx, const W* w, std::int64_t ldw, std::int64_t apart,
                  std::int64_t rows, std::int64_t k, T* out, std::int64_t ldo) {
  using B = Batch<T>;
  B sums[Streams][M][lanes<T>];
  for (std::int64_t r = 0; r < rows; ++r, w += ldw) {
    B acc[Streams][M][4];
#pragma GCC unroll 4
    for (int s = 0; s < Streams; ++s) {
#pragma GCC unroll 4
      for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) acc[s][m][j] = B(0);
      }
    }
    // acc[..][j] += x[i..] w[i..], in all streams; inlined, so that acc stays in registers
    const auto add = [&](std::int64_t i, int j, auto load_x, auto load_w) __attribute__((always_inline)) {
      B left[M];
#pragma GCC unroll 4
      for (int m = 0; m < M; ++m) left[m] = load_x(x + m * ldx + i);
#pragma GCC unroll 4
      for (int s = 0; s < Streams; ++s) {
        // Widening leaves the processor fewer bytes to look ahead by itself.
        if constexpr (sizeof(W) == 1) __builtin_prefetch(w + s * apart * ldw + i + 2048, 0, 2);
        const B v = load_w(w + s * apart * ldw + i);
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m) acc[s][m][j] = mul_add(left[m], v, acc[s][m][j]);
      }
    };
    const auto whole = [](const T* from) { return B::load_unaligned(from); };
    const auto row = [](const W* from) { return load_row(from); };
    std::int64_t i = 0;
    for (; i + 4 * lanes<T> <= k; i += 4 * lanes<T>) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) add(i + j * lanes<T>, j, whole, row);
    }
    for (; i + lanes<T> <= k; i += lanes<T>) add(i, 0, whole, row);
    if constexpr (std::is_same_v<T, W>) {
      const auto part = [&](const T* from) { return load_part<T>(from, k - i); };
      if (i < k) add(i, 1, part, part);
    }
#pragma GCC unroll 4
    for (int s = 0; s < Streams; ++s) {
#pragma GCC unroll 4
      for (int m = 0; m < M; ++m)
        sums[s][m][r] = (acc[s][m][0] + acc[s][m][1]) + (acc[s][m][2] + acc[s][m][3]);
    }
  }
  for (int s = 0; s < Streams; ++s) {
    for (int m = 0; m < M; ++m) {
      for (std::int64_t r = rows; r < lanes<T>; ++r) sums[s][m][r] = B(0);
      const B totals = lane_sums<T>(sums[s][m]);
      T* const to = out + m * ldo + s * apart;
      if (rows == lanes<T>) {
        totals.store_unaligned(to);
      } else {
        store_part<T>(totals, to, rows);
      }
    }
  }
}

/// So many rows of x are multiplied together, or by as many streams.
constexpr int rows_of_x = register_count >= 32 ? 4 : 2;

/// m rows of x with `rows` rows of w in each of `Streams` places.
template <class T, class W, int Streams>
void dots_by_streams(const T* x, std::int64_t ldx, std::int64_t m, const W* w, std::int64_t ldw,
                     std::int64_t rows, std::int64_t k, T* out, std::int64_t ldo) {
  constexpr int most = rows_of_x / Streams;
  for (std::int64_t r = 0; r < rows; r += lanes<T>, w += lanes<T> * ldw) {
    const std::int64_t some = rows - r < lanes<T> ? rows - r : lanes<T>;
    std::int64_t i = 0;
    for (; i + most <= m; i += most)
      dots_of_rows<T, W, most, Streams>(x + i * ldx, ldx, w, ldw, rows, some, k, out + i * ldo + r, ldo);
    if constexpr (most > 2) {
      for (; i + 2 <= m; i += 2)
        dots_of_rows<T, W, 2, Streams>(x + i * ldx, ldx, w, ldw, rows, some, k, out + i * ldo + r, ldo);
    }
    if constexpr (most > 1) {
      if (i < m)
        dots_of_rows<T, W, 1, Streams>(x + i * ldx, ldx, w, ldw, rows, some, k, out + i * ldo + r, ldo);
    }
  }
}
/// The same of all rows of w, of which those that do not fill registers in each stream come last.
template <class T, class W, int Streams>
void split_dots(const T* x, std::int64_t ldx, std::int64_t m, const W* w, std::int64_t ldw, std::int64_t rows,
                std::int64_t k, T* out, std::int64_t ldo) {
  const std::int64_t each = lanes<T> * (rows / (Streams * lanes<T>)), done = Streams * each;
  dots_by_streams<T, W, Streams>(x, ldx, m, w, ldw, each, k, out, ldo);
  dots_by_streams<T, W, 1>(x, ldx, m, w + done * ldw, ldw, rows - done, k, out + done, ldo);
}
template <class T, class W>
void all_dots(const T* x, std::int64_t ldx, std::int64_t m, const W* w, std::int64_t ldw, std::int64_t rows,
              std::int64_t k, T* out, std::int64_t ldo) {
  if (m == 1) {
    split_dots<T, W, rows_of_x>(x, ldx, m, w, ldw, rows, k, out, ldo);
  } else if (m < rows_of_x) {
    split_dots<T, W, 2>(x, ldx, m, w, ldw, rows, k, out, ldo);
  } else {
    split_dots<T, W, 1>(x, ldx, m, w, ldw, rows, k, out, ldo);
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
