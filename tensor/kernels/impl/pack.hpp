// Packs matrices into the layout that the register tile reads. Part of impl.hpp.

/// Transposes a square of 8 by 8 elements: y[j * ldy + i] = x[i * ldx + j]
constexpr std::int64_t square_side = 8;
template <class T>
void transpose_square(const T* x, std::int64_t ldx, T* y, std::int64_t ldy) {
  for (std::int64_t i = 0; i < square_side; ++i) {
    for (std::int64_t j = 0; j < square_side; ++j) y[j * ldy + i] = x[i * ldx + j];
  }
}
#if defined(__AVX2__)
inline void transpose_square(const float* x, std::int64_t ldx, float* y, std::int64_t ldy) {
  __m256 r[8], pairs[8], quads[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(x + i * ldx);
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xEE);
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xEE);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(y + i * ldy, _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20));
    _mm256_storeu_ps(y + (i + 4) * ldy, _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31));
  }
}
#endif

/// A row of a group, zeros past `filled`.
template <class T>
void pack_row(const T* x, std::int64_t filled, std::int64_t width, T* out) {
  for (std::int64_t w = 0; w < width; w += lanes<T>) {
    const std::int64_t there = filled - w, wanted = width - w;
    const Batch<T> v = there >= lanes<T> ? Batch<T>::load_unaligned(x + w)
                       : there > 0       ? load_part<T>(x + w, there)
                                         : Batch<T>(0);
    if (wanted >= lanes<T>) {
      v.store_unaligned(out + w);
    } else {
      store_part<T>(v, out + w, wanted);
    }
  }
}
/// A group whose entries lie side by side across, of which `there` follow its first one in each row. Its rows
/// are too far apart for the processor to prefetch the next one by itself.
template <class T>
void pack_rows(const T* x, std::int64_t along, std::int64_t there, std::int64_t depth, std::int64_t width,
               T* out) {
  constexpr std::int64_t ahead = 256 / sizeof(T);
  // Whole registers are quicker than parts. What they write past a row is overwritten by the next one.
  const std::int64_t whole = (width + lanes<T> - 1) / lanes<T> * lanes<T>;
  std::int64_t p = 0;
  for (; there >= whole && p + 1 < depth; ++p, x += along, out += width) {
    __builtin_prefetch(x + ahead);
    for (std::int64_t w = 0; w < whole; w += lanes<T>)
      Batch<T>::load_unaligned(x + w).store_unaligned(out + w);
  }
  const std::int64_t filled = there < width ? there : width;
  for (; p < depth; ++p, x += along, out += width) {
    __builtin_prefetch(x + ahead);
    pack_row(x, filled, width, out);
  }
}

/// Calls f(begin) for the squares that cover `length`. The last one ends where the length does, and may
/// overlap the one before.
template <class F>
[[gnu::always_inline]] inline void for_squares(std::int64_t length, F f) {
  for (std::int64_t at = 0; at + square_side <= length; at += square_side) f(at);
  if (length % square_side != 0) f(length - square_side);
}

/// A group whose entries lie side by side along the depth: transposed square by square.
template <class T>
void pack_columns(const T* x, std::int64_t across, std::int64_t along, std::int64_t filled,
                  std::int64_t depth, std::int64_t width, T* out) {
  if (along == 1 && filled >= square_side && depth >= square_side) {
    for_squares(depth, [&](std::int64_t p) {
      for_squares(filled, [&](std::int64_t w) {
        transpose_square(x + w * across + p, across, out + p * width + w, width);
      });
    });
  } else {
    for (std::int64_t p = 0; p < depth; ++p) {
      for (std::int64_t w = 0; w < filled; ++w) out[p * width + w] = x[w * across + p * along];
    }
  }
  for (std::int64_t p = 0; p < depth && filled < width; ++p) {
    for (std::int64_t w = filled; w < width; ++w) out[p * width + w] = T{0};
  }
}
