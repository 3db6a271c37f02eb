// The register tile of the product of matrices. Part of impl.hpp.

template <class T>
T dot(const T* a, const T* b, std::int64_t n) {
  using B = Batch<T>;
  B acc[4] = {B(0), B(0), B(0), B(0)};
  std::int64_t i = 0;
  for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>) {
    for (int j = 0; j < 4; ++j) {
      acc[j] = xsimd::fma(B::load_unaligned(a + i + j * lanes<T>), B::load_unaligned(b + i + j * lanes<T>),
                          acc[j]);
    }
  }
  for (; i < n; i += lanes<T>) {
    const std::int64_t left = n - i < lanes<T> ? n - i : lanes<T>;
    acc[0] = xsimd::fma(load_part<T>(a + i, left), load_part<T>(b + i, left), acc[0]);
  }
  alignas(64) T parts[lanes<T>];
  ((acc[0] + acc[1]) + (acc[2] + acc[3])).store_aligned(parts);
  T total = 0;
  for (std::int64_t lane = 0; lane < lanes<T>; ++lane) total += parts[lane];
  return total;
}

// 32 registers hold 28 accumulators, two batches of B and one element of A; 16 hold 12.
constexpr int tile_rows = register_count == 32 ? 14 : 6;
constexpr int tile_batches = 2;

template <class T>
void tile(std::int64_t k, const T* a, const T* b, T* c, std::int64_t ldc, std::int64_t rows,
          std::int64_t cols, T alpha, T beta, const T* bias) {
  using B = Batch<T>;
  constexpr std::int64_t width = tile_batches * lanes<T>;
  B acc[tile_rows][tile_batches];
#pragma GCC unroll 16
  for (int i = 0; i < tile_rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < tile_batches; ++j) acc[i][j] = B(0);
  }
  for (std::int64_t p = 0; p < k; ++p) {
    const B b0 = B::load_aligned(b), b1 = B::load_aligned(b + lanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < tile_rows; ++i) {
      const B av(a[i]);
      acc[i][0] = xsimd::fma(av, b0, acc[i][0]);
      acc[i][1] = xsimd::fma(av, b1, acc[i][1]);
    }
    a += tile_rows;
    b += width;
  }
  const auto finish = [&](B sum, B before, B added) {
    const B scaled = alpha == T{1} ? sum : sum * B(alpha);
    const B with = beta == T{0} ? scaled : xsimd::fma(B(beta), before, scaled);
    return with + added;
  };
#pragma GCC unroll 16
  for (int i = 0; i < tile_rows; ++i) {
    if (i >= rows) break;
#pragma GCC unroll 2
    for (int j = 0; j < tile_batches; ++j) {
      T* const to = c + i * ldc + j * lanes<T>;
      const std::int64_t left = cols - j * lanes<T>;
      const T* const add = bias + j * lanes<T>;
      if (left >= lanes<T>) {
        const B before = beta == T{0} ? B(0) : B::load_unaligned(to);
        finish(acc[i][j], before, bias == nullptr ? B(0) : B::load_unaligned(add)).store_unaligned(to);
      } else if (left > 0) {
        const B before = beta == T{0} ? B(0) : load_part<T>(to, left);
        store_part<T>(finish(acc[i][j], before, bias == nullptr ? B(0) : load_part<T>(add, left)), to, left);
      }
    }
  }
}
