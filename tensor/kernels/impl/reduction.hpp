// Sums, products and extremes of a block. Part of impl.hpp.

/// The sum of f(x[i]) with four independent accumulators.
template <class T, class F>
double short_sum_of(const T* x, std::int64_t n, F f) {
  using B = Batch<T>;
  B acc[4] = {B(0), B(0), B(0), B(0)};
  std::int64_t i = 0;
  for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>) {
    for (int j = 0; j < 4; ++j) acc[j] = f(B::load_unaligned(x + i + j * lanes<T>), acc[j]);
  }
  for (; i < n; i += lanes<T>) {
    const std::int64_t left = n - i < lanes<T> ? n - i : lanes<T>;
    acc[0] = f(load_part<T>(x + i, left), acc[0]);
  }
  alignas(64) T parts[lanes<T>];
  ((acc[0] + acc[1]) + (acc[2] + acc[3])).store_aligned(parts);
  double total = 0;
  for (std::int64_t lane = 0; lane < lanes<T>; ++lane) total += static_cast<double>(parts[lane]);
  return total;
}
/// The same of any length. No accumulator adds more numbers than those of the widest registers do in a block
/// of a reduction, so that the rounding of narrow ones is as small.
template <class T, class F>
double sum_of(const T* x, std::int64_t n, F f) {
  constexpr std::int64_t part = 64 * 4 * lanes<T>;
  double total = 0;
  for (std::int64_t i = 0; i < n; i += part) total += short_sum_of(x + i, std::min(part, n - i), f);
  return total;
}
template <class T>
double sum(const T* x, std::int64_t n) {
  return sum_of(x, n, [](Batch<T> v, Batch<T> acc) { return acc + v; });
}
/// The product in double, with eight accumulators.
template <class T>
double prod(const T* x, std::int64_t n) {
  double acc[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int j = 0; j < 8; ++j) acc[j] *= static_cast<double>(x[i + j]);
  }
  for (; i < n; ++i) acc[0] *= static_cast<double>(x[i]);
  return ((acc[0] * acc[1]) * (acc[2] * acc[3])) * ((acc[4] * acc[5]) * (acc[6] * acc[7]));
}

/// The larger or the smaller; NaN wins.
template <bool largest, class T>
[[gnu::always_inline]] inline Batch<T> extreme_of(const Batch<T>& l, const Batch<T>& r) {
  return xsimd::select((largest ? l > r : l < r) | xsimd::isnan(l), l, r);
}
template <bool largest, class T>
T extreme(const T* x, std::int64_t n) {
  using B = Batch<T>;
  const B first(x[0]);
  B acc[4] = {first, first, first, first};
  std::int64_t i = 0;
  for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      acc[j] = extreme_of<largest, T>(acc[j], B::load_unaligned(x + i + j * lanes<T>));
  }
  for (; i + lanes<T> <= n; i += lanes<T>) acc[0] = extreme_of<largest, T>(acc[0], B::load_unaligned(x + i));
  for (int j = 1; j < 4; ++j) acc[0] = extreme_of<largest, T>(acc[0], acc[j]);
  alignas(64) T parts[lanes<T>];
  acc[0].store_aligned(parts);
  T most = parts[0];
  const auto take = [&most](T v) {
    if ((largest ? v > most : v < most) || v != v) most = v;
  };
  for (std::int64_t lane = 1; lane < lanes<T> && most == most; ++lane) take(parts[lane]);
  for (; i < n && most == most; ++i) take(x[i]);
  return most;
}

template <class T, class F>
void fold_rows_with(F f, const T* x, std::int64_t stride, std::int64_t rows, std::int64_t cols, T* y) {
  using B = Batch<T>;
  // Several batches side by side, so that more than one cache line is read at a time. The same columns of the
  // rows below come next, which the processor does not foresee: they are prefetched into the second-level
  // cache.
  constexpr int wide = 8;
  constexpr int batches_a_line = static_cast<int>(64 / sizeof(T) / lanes<T>);
  constexpr int line_step = batches_a_line > 0 ? batches_a_line : 1;
  const std::int64_t below = rows * stride;
  for (; cols >= wide * lanes<T>; cols -= wide * lanes<T>, x += wide * lanes<T>, y += wide * lanes<T>) {
    B acc[wide];
#pragma GCC unroll 8
    for (int j = 0; j < wide; ++j) acc[j] = B::load_unaligned(x + j * lanes<T>);
#pragma GCC unroll 8
    for (int j = 0; j < wide; j += line_step) __builtin_prefetch(x + below + j * lanes<T>, 0, 2);
    for (std::int64_t r = 1; r < rows; ++r) {
      const T* const row = x + r * stride;
#pragma GCC unroll 8
      for (int j = 0; j < wide; j += line_step) __builtin_prefetch(row + below + j * lanes<T>, 0, 2);
#pragma GCC unroll 8
      for (int j = 0; j < wide; ++j) acc[j] = f(acc[j], B::load_unaligned(row + j * lanes<T>));
    }
#pragma GCC unroll 8
    for (int j = 0; j < wide; ++j) acc[j].store_unaligned(y + j * lanes<T>);
  }
  for_batches<T>(cols, [&](std::int64_t c, auto load, auto store) {
    auto acc = load(x + c);
    for (std::int64_t r = 1; r < rows; ++r) acc = f(acc, load(x + r * stride + c));
    store(acc, y + c);
  });
}
template <class T, class Rest>
struct WithReduction : Rest {
  bool all_finite(const T* x, std::int64_t n) const override {
    // 0 * x is 0 for a finite x and NaN otherwise.
    return sum_of(x, n, [](Batch<T> v, Batch<T> acc) { return mul_add(v, Batch<T>(0), acc); }) == 0;
  }
  double sum_squares(const T* x, std::int64_t n) const override {
    return sum_of(x, n, [](Batch<T> v, Batch<T> acc) { return mul_add(v, v, acc); });
  }
  double sum_exponents(const T* x, std::int64_t n) const override {
    // The bits of |x| as a number grow with log2|x|, by 2^fraction_bits a power of two, and between
    // these by less than a tenth of that too little.
    using Signed = std::make_signed_t<typename Format<T>::Bits>;
    constexpr int fraction_bits = Format<T>::fraction_bits;
    constexpr auto one = static_cast<Signed>(Format<T>::bias) << fraction_bits;
    const double total = sum_of(x, n, [](Batch<T> v, Batch<T> acc) {
      const auto bits = bits_as<xsimd::batch<Signed, Arch>>(xsimd::abs(v));
      const Batch<T> off = xsimd::to_float(bits - xsimd::batch<Signed, Arch>(one));
      return acc + xsimd::abs(off);
    });
    const double padding = static_cast<double>((lanes<T> - n % lanes<T>) % lanes<T>);  // lanes of 0
    return total / static_cast<double>(Signed{1} << fraction_bits) - padding * Format<T>::bias +
           0.1 * static_cast<double>(n);
  }
  double total_product(const T* x, std::int64_t n) const override { return prod(x, n); }
  double fold(Fold op, const T* x, std::int64_t n) const override {
    switch (op) {
      case Fold::sum:
        return sum(x, n);
      case Fold::max:
        return static_cast<double>(extreme<true>(x, n));
      case Fold::min:
        return static_cast<double>(extreme<false>(x, n));
    }
    return 0;
  }
  void fold_rows(Fold op, const T* x, std::int64_t stride, std::int64_t rows, std::int64_t cols,
                 T* y) const override {
    using B = Batch<T>;
    const auto run = [&](auto f) { fold_rows_with(f, x, stride, rows, cols, y); };
    switch (op) {
      case Fold::sum:
        return run([](const B& a, const B& b) { return a + b; });
      case Fold::max:
        return run([](const B& a, const B& b) { return extreme_of<true, T>(a, b); });
      case Fold::min:
        return run([](const B& a, const B& b) { return extreme_of<false, T>(a, b); });
    }
  }
};
