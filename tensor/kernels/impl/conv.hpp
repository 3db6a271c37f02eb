// What convolutions are made of. Part of impl.hpp.

/// Loads a batch of which the first `left` elements count; the others are zeros.
template <class T>
[[gnu::always_inline]] inline Batch<T> load_up_to(const T* x, std::int64_t left) {
  return left >= lanes<T> ? Batch<T>::load_unaligned(x) : load_part<T>(x, left);
}
template <class T>
[[gnu::always_inline]] inline void store_up_to(const Batch<T>& v, T* y, std::int64_t left) {
  if (left >= lanes<T>) {
    v.store_unaligned(y);
  } else {
    store_part<T>(v, y, left);
  }
}

/// x[0], x[2] and so on up to the n-th of them, n >= 1, or as many as a batch holds; zeros for the others.
template <class T>
[[gnu::always_inline]] inline Batch<T> load_even(const T* x, std::int64_t n) {
#if defined(__AVX512F__)
  const std::int64_t there = n < lanes<T> ? 2 * n - 1 : 2 * lanes<T> - 1;
  const Batch<T> low = load_up_to<T>(x, there);
  const Batch<T> high = there > lanes<T> ? load_part<T>(x + lanes<T>, there - lanes<T>) : Batch<T>(0);
  if constexpr (sizeof(T) == 4) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_maskz_permutex2var_ps(first_lanes(n < lanes<T> ? n : lanes<T>), low, even, high);
  } else {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    return _mm512_maskz_permutex2var_pd(static_cast<__mmask8>(first_lanes(n < lanes<T> ? n : lanes<T>)), low,
                                        even, high);
  }
#else
  alignas(64) T parts[lanes<T>] = {};
  for (std::int64_t i = 0; i < lanes<T> && i < n; ++i) parts[i] = x[2 * i];
  return Batch<T>::load_aligned(parts);
#endif
}
/// The inverse: what stands between the n elements is left.
template <class T>
[[gnu::always_inline]] inline void store_even(const Batch<T>& v, T* y, std::int64_t n) {
#if defined(__AVX512F__)
  constexpr std::int64_t half = lanes<T> / 2;
  constexpr unsigned every_second = 0x5555;
  const auto mask = [](std::int64_t count) {
    return static_cast<__mmask16>(every_second & ((1u << 2 * (count < half ? count : half)) - 1));
  };
  if constexpr (sizeof(T) == 4) {
    const __m512i low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    _mm512_mask_storeu_ps(y, mask(n), _mm512_permutexvar_ps(low, v));
    if (n > half) _mm512_mask_storeu_ps(y + lanes<T>, mask(n - half), _mm512_permutexvar_ps(high, v));
  } else {
    const __m512i low = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    const __m512i high = _mm512_add_epi64(low, _mm512_set1_epi64(4));
    _mm512_mask_storeu_pd(y, static_cast<__mmask8>(mask(n)), _mm512_permutexvar_pd(low, v));
    if (n > half) {
      _mm512_mask_storeu_pd(y + lanes<T>, static_cast<__mmask8>(mask(n - half)),
                            _mm512_permutexvar_pd(high, v));
    }
  }
#else
  alignas(64) T parts[lanes<T>];
  v.store_aligned(parts);
  for (std::int64_t i = 0; i < lanes<T> && i < n; ++i) y[2 * i] = parts[i];
#endif
}

/// A register tile of an OffsetProduct.
template <class T>
struct OffsetTile {
  std::int64_t k;
  const T *a, *b;
  const std::int64_t* offsets;
  T* c;
  std::int64_t ldc, cols;
  const T* bias;
  bool add;
};
template <class T, int Rows, int Batches>
void offset_tile(const OffsetTile<T>& t) {
  using B = Batch<T>;
  B acc[Rows][Batches];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
    const B first(t.bias == nullptr ? T{0} : t.bias[i]);
#pragma GCC unroll 2
    for (int j = 0; j < Batches; ++j) {
      acc[i][j] = first;
      __builtin_prefetch(t.c + i * t.ldc + j * lanes<T>, 1);
    }
  }
  const T* a = t.a;
  for (std::int64_t p = 0; p < t.k; ++p, a += Rows) {
    const T* const row = t.b + t.offsets[p];
    B right[Batches];
#pragma GCC unroll 2
    for (int j = 0; j < Batches; ++j) right[j] = B::load_unaligned(row + j * lanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const B left(a[i]);
#pragma GCC unroll 2
      for (int j = 0; j < Batches; ++j) acc[i][j] = mul_add(left, right[j], acc[i][j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Batches; ++j) {
      T* const to = t.c + i * t.ldc + j * lanes<T>;
      const std::int64_t left = t.cols - j * lanes<T>;
      if (left <= 0) continue;
      if (t.add) acc[i][j] += load_up_to<T>(to, left);
      store_up_to<T>(acc[i][j], to, left);
    }
  }
}
template <class T>
using OffsetTileKernel = void (*)(const OffsetTile<T>& tile);
template <class T, int Batches>
constexpr std::array<OffsetTileKernel<T>, tile_rows> offset_tiles = [
]<std::size_t... r>(std::index_sequence<r...>) {
  return std::array<OffsetTileKernel<T>, tile_rows>{offset_tile<T, static_cast<int>(r) + 1, Batches>...};
}
(std::make_index_sequence<tile_rows>());

/// `Rows` rows of up to `Batches` registers of a TapSum.
template <class T, int Rows, int Batches>
[[gnu::always_inline]] inline void tap_tile(const TapSum<T>& s, const T* x, std::int64_t x_row, T* y,
                                            std::int64_t y_row, std::int64_t cols) {
  using B = Batch<T>;
  B acc[Rows][Batches];
#pragma GCC unroll 4
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Batches; ++j) acc[i][j] = B(s.bias);
  }
  for (std::int64_t p = 0; p < s.taps; ++p) {
    const B weight(s.weights[p]);
    const T* const from = x + s.offsets[p];
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < Batches; ++j) {
        acc[i][j] = mul_add(weight, B::load_unaligned(from + i * x_row + j * lanes<T>), acc[i][j]);
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Batches; ++j) {
      T* const to = y + i * y_row + j * lanes<T>;
      const std::int64_t left = cols - j * lanes<T>;
      if (left <= 0) continue;
      if (s.add) acc[i][j] += load_up_to<T>(to, left);
      store_up_to<T>(acc[i][j], to, left);
    }
  }
}

/// `Rows` rows of a TapSum.
template <class T, int Rows>
void tap_rows(const TapSum<T>& s, const T* x, T* y) {
  constexpr std::int64_t pair = 2 * lanes<T>;
  std::int64_t j = 0;
  if constexpr (Rows == 1) {  // the registers of four tiles side by side
    for (; j + 4 * pair <= s.cols; j += 4 * pair) tap_tile<T, 4, 2>(s, x + j, pair, y + j, pair, pair);
  }
  for (; s.cols - j > lanes<T>; j += pair)
    tap_tile<T, Rows, 2>(s, x + j, s.x_row, y + j, s.y_row, s.cols - j);
  if (j < s.cols) tap_tile<T, Rows, 1>(s, x + j, s.x_row, y + j, s.y_row, s.cols - j);
}

/// The dot products of y with `Taps` shifted images, which are read side by side.
template <class T, int Taps>
void dots_of_taps(const TapSum<T>& s, const std::int64_t* offsets, const T* y, T* out) {
  using B = Batch<T>;
  B acc[Taps];
#pragma GCC unroll 9
  for (int p = 0; p < Taps; ++p) acc[p] = B(0);
  for (std::int64_t i = 0; i < s.rows; ++i) {
    const T* const x = s.x + i * s.x_row;
    for_batches<T>(s.cols, [&](std::int64_t j, auto load, auto) {
      const B v = load(y + i * s.y_row + j);
#pragma GCC unroll 9
      for (int p = 0; p < Taps; ++p) acc[p] = mul_add(load(x + offsets[p] + j), v, acc[p]);
    });
  }
#pragma GCC unroll 9
  for (int p = 0; p < Taps; ++p) out[p] += lane_sum<T>(acc[p]);
}
template <class T>
using DotsOfTaps = void (*)(const TapSum<T>&, const std::int64_t*, const T*, T*);
constexpr int taps_at_once = 9;
template <class T>
constexpr std::array<DotsOfTaps<T>, taps_at_once> dots_of = []<std::size_t... n>(std::index_sequence<n...>) {
  return std::array<DotsOfTaps<T>, taps_at_once>{dots_of_taps<T, static_cast<int>(n) + 1>...};
}
(std::make_index_sequence<taps_at_once>());

template <class T, class Rest>
struct WithConv : Rest {
  void lay_rows(const PlaneRows<T>& r) const override {
    if (r.rows == 0) return;
    fill_zeros(r.to, r.first);
    if (r.stride == 1 && r.x_row == r.to_row) return lay_joined(r);
    for (std::int64_t i = 0; i < r.rows; ++i) {
      const T* const from = r.x + i * r.x_row;
      T* const to = r.to + i * r.to_row + r.first;
      const std::int64_t n = r.last - r.first, end = i + 1 < r.rows ? r.to_row : r.count - r.first;
      std::int64_t t = 0;
      if (r.stride == 1) {
        for (; t < n; t += lanes<T>) load_up_to<T>(from + t, n - t).store_unaligned(to + t);
      } else if (r.stride == 2) {
        for (; t < n; t += lanes<T>) load_even<T>(from + 2 * t, n - t).store_unaligned(to + t);
      } else {
        for (; t < n; ++t) to[t] = from[t * r.stride];
      }
      if (t < end) fill_zeros(to + t, end - t);  // as far as the next row's entries
    }
  }

  void spread(const T* x, std::int64_t n, T offset, T* y, std::int64_t stride) const override {
    const Batch<T> more(offset);
    std::int64_t t = 0;
    if (stride == 1) {
      for (; t < n; t += lanes<T>) store_up_to<T>(load_up_to<T>(x + t, n - t) + more, y + t, n - t);
    } else if (stride == 2) {
      for (; t < n; t += lanes<T>) store_even<T>(load_up_to<T>(x + t, n - t) + more, y + 2 * t, n - t);
    } else {
      for (; t < n; ++t) y[t * stride] = x[t] + offset;
    }
  }

  void multiply_offsets(const OffsetProduct<T>& g) const override {
    constexpr std::int64_t pair = 2 * lanes<T>;
    for (std::int64_t j = 0; j < g.n; j += pair) {
      const std::int64_t cols = g.n - j < pair ? g.n - j : pair;
      const auto& tiles = cols <= lanes<T> ? offset_tiles<T, 1> : offset_tiles<T, 2>;
      for (std::int64_t i = 0; i < g.m; i += g.height) {
        const std::int64_t rows = g.m - i < g.height ? g.m - i : g.height;
        tiles[static_cast<std::size_t>(rows - 1)]({.k = g.k,
                                                   .a = g.a + i * g.k,
                                                   .b = g.b + j,
                                                   .offsets = g.offsets,
                                                   .c = g.c + i * g.ldc + j,
                                                   .ldc = g.ldc,
                                                   .cols = cols,
                                                   .bias = g.bias == nullptr ? nullptr : g.bias + i,
                                                   .add = g.add});
      }
    }
  }

  void sum_taps(const TapSum<T>& s) const override {
    std::int64_t i = 0;
    for (; i + 4 <= s.rows; i += 4) tap_rows<T, 4>(s, s.x + i * s.x_row, s.y + i * s.y_row);
    for (; i < s.rows; ++i) tap_rows<T, 1>(s, s.x + i * s.x_row, s.y + i * s.y_row);
  }

  void dot_taps(const TapSum<T>& s, const T* y, T* out) const override {
    for (std::int64_t p = 0; p < s.taps; p += taps_at_once) {
      const std::int64_t some = s.taps - p < taps_at_once ? s.taps - p : taps_at_once;
      dots_of<T>[static_cast<std::size_t>(some - 1)](s, s.offsets + p, y, out + p);
    }
  }

 private:
  /// Up to 16 elements more.
  static void fill_zeros(T* to, std::int64_t n) {
    for (std::int64_t t = 0; t < n; t += lanes<T>) Batch<T>(0).store_unaligned(to + t);
  }
  /// Rows as long as those of x: one array, into which the zeros between them are written afterwards.
  static void lay_joined(const PlaneRows<T>& r) {
    T* const to = r.to + r.first;
    const std::int64_t n = (r.rows - 1) * r.to_row + r.last - r.first, zeros = r.to_row - r.last + r.first;
    for (std::int64_t t = 0; t < n; t += lanes<T>) load_up_to<T>(r.x + t, n - t).store_unaligned(to + t);
    for (std::int64_t i = 1; i < r.rows && zeros > 0; ++i) {
      T* const end = to + i * r.to_row - zeros;
      for (std::int64_t t = 0; t < zeros; t += lanes<T>) store_up_to<T>(Batch<T>(0), end + t, zeros - t);
    }
    fill_zeros(r.to + (r.rows - 1) * r.to_row + r.last, r.count - r.last);
  }
};
