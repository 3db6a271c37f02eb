// Sums and maxima of one run. Part of impl.hpp.

/// The sum of f(x[i]) with four accumulators, so that the additions do not wait for each other.
template <class T, class F>
double sum_of(const T* x, std::int64_t n, F f) {
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
template <class T>
double sum(const T* x, std::int64_t n) {
  return sum_of(x, n, [](Batch<T> v, Batch<T> acc) { return acc + v; });
}
template <class T>
double sum_squares(const T* x, std::int64_t n) {
  return sum_of(x, n, [](Batch<T> v, Batch<T> acc) { return xsimd::fma(v, v, acc); });
}

template <class T>
T max(const T* x, std::int64_t n) {
  using B = Batch<T>;
  const auto larger = [](B l, B r) { return xsimd::select((l > r) | xsimd::isnan(l), l, r); };
  B acc(x[0]);
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) acc = larger(acc, B::load_unaligned(x + i));
  alignas(64) T parts[lanes<T>];
  acc.store_aligned(parts);
  T most = parts[0];
  const auto take = [&most](T v) {
    if (v > most || v != v) most = v;
  };
  for (std::int64_t lane = 1; lane < lanes<T> && most == most; ++lane) take(parts[lane]);
  for (; i < n && most == most; ++i) take(x[i]);
  return most;
}
