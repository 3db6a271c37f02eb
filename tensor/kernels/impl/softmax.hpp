// Softmax and its relatives, a row at a time. Part of impl.hpp.

/// What exponents are shifted by, so that none overflows. A row of -inf has no shift that helps; NaN and +inf
/// speak for themselves.
template <class T>
T shift_of(const T* x, std::int64_t cols) {
  const T most = max<T>(x, cols);
  return most - most == 0 ? most : T{0};
}
template <class T>
LogSum<T> log_sum_exp(const T* x, std::int64_t cols) {
  using B = Batch<T>;
  const T shift = shift_of<T>(x, cols);
  const B s(shift);
  B acc(0);
  std::int64_t i = 0;
  for (; i + lanes<T> <= cols; i += lanes<T>) acc = acc + math::exp<T>(B::load_unaligned(x + i) - s);
  alignas(64) T parts[lanes<T>];
  acc.store_aligned(parts);
  double total = 0;
  for (std::int64_t lane = 0; lane < lanes<T>; ++lane) total += static_cast<double>(parts[lane]);
  if (i < cols) {
    math::exp<T>(load_part<T>(x + i, cols - i) - s).store_aligned(parts);
    for (std::int64_t lane = 0; lane < cols - i; ++lane) total += static_cast<double>(parts[lane]);
  }
  return {shift, std::log(total)};
}
template <class T>
void log_softmax(const T* x, T* y, std::int64_t cols) {
  // Two subtractions: the sum of shift and logarithm would be rounded as coarsely as the largest x.
  const LogSum<T> sum = log_sum_exp<T>(x, cols);
  const Batch<T> shift(sum.shift), log_total(static_cast<T>(sum.log_total));
  map(
      cols, y, [shift, log_total](Batch<T> v) { return v - shift - log_total; }, x);
}
template <class T>
void log_softmax_backward(const T* g, const T* y, T* dx, std::int64_t cols) {
  const Batch<T> total(static_cast<T>(sum<T>(g, cols)));
  map(
      cols, dx, [total](Batch<T> gv, Batch<T> yv) { return gv - math::exp<T>(yv) * total; }, g, y);
}
template <class T>
void softmax_scaled(const T* x, T log_total, T scale, T* y, std::int64_t cols) {
  const Batch<T> shift(shift_of<T>(x, cols)), all(log_total), s(scale);
  map(
      cols, y, [shift, all, s](Batch<T> v) { return s * math::exp<T>(v - shift - all); }, x);
}
