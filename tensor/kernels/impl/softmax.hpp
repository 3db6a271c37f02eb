// Softmax and its relatives, a row at a time. Part of impl.hpp.

/// What exponents are shifted by, so that none overflows. A row of -inf has no shift that helps; NaN and +inf
/// speak for themselves.
template <class T>
T shift_of(const T* x, std::int64_t cols) {
  using B = Batch<T>;
  const B least(-infinity<T>);
  B acc[4] = {least, least, least, least};
  std::int64_t i = 0;
  // NaN, as the second operand, would be kept; as the first it is passed over.
  for (; i + 4 * lanes<T> <= cols; i += 4 * lanes<T>) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) acc[j] = xsimd::max(B::load_unaligned(x + i + j * lanes<T>), acc[j]);
  }
  for (; i + lanes<T> <= cols; i += lanes<T>) acc[0] = xsimd::max(B::load_unaligned(x + i), acc[0]);
  for (; i < cols; ++i) acc[1] = xsimd::max(B(x[i]), acc[1]);
  alignas(64) T parts[lanes<T>];
  xsimd::max(xsimd::max(acc[0], acc[1]), xsimd::max(acc[2], acc[3])).store_aligned(parts);
  T most = parts[0];
  for (std::int64_t lane = 1; lane < lanes<T>; ++lane) most = parts[lane] > most ? parts[lane] : most;
  return most - most == 0 ? most : T{0};
}
/// The shift and the logarithm of the total of exp(x - shift); keep(i, batch) is given each batch of them.
template <class T, class Keep>
[[gnu::always_inline]] inline LogSum<T> shifted_exponents(const T* x, std::int64_t cols, Keep keep) {
  using B = Batch<T>;
  const T shift = shift_of<T>(x, cols);
  const B s(shift);
  B acc(0);
  std::int64_t i = 0;
  for (; i + lanes<T> <= cols; i += lanes<T>) {
    const B e = math::exp<T>(B::load_unaligned(x + i) - s);
    keep(i, e);
    acc = acc + e;
  }
  alignas(64) T parts[lanes<T>];
  acc.store_aligned(parts);
  double total = 0;
  for (std::int64_t lane = 0; lane < lanes<T>; ++lane) total += static_cast<double>(parts[lane]);
  if (i < cols) {
    const B e = math::exp<T>(load_part<T>(x + i, cols - i) - s);
    keep(i, e);
    e.store_aligned(parts);
    for (std::int64_t lane = 0; lane < cols - i; ++lane) total += static_cast<double>(parts[lane]);
  }
  return {shift, std::log(total)};
}
template <class T>
LogSum<T> log_sum_exp(const T* x, std::int64_t cols) {
  return shifted_exponents<T>(x, cols, [](std::int64_t, Batch<T>) {});
}
/// y = exp(x - shift), which may be x itself.
template <class T>
LogSum<T> exp_shifted(const T* x, T* y, std::int64_t cols) {
  return shifted_exponents<T>(x, cols, [y, cols](std::int64_t i, Batch<T> e) {
    if (i + lanes<T> <= cols) return e.store_unaligned(y + i);
    store_part<T>(e, y + i, cols - i);
  });
}
/// A total that is infinite comes from an infinite x, whose softmax is NaN throughout.
template <class T>
T finite_or_nan(T total) {
  return total < infinity<T> ? total : not_a_number<T>;
}
template <class T>
void scale(T factor, T* x, std::int64_t n) {
  const Batch<T> f(factor);
  map(
      n, x, [f](Batch<T> v) { return v * f; }, x);
}
template <class T>
void softmax(Softmax kind, const T* x, T* y, std::int64_t cols) {
  using B = Batch<T>;
  if (kind == Softmax::log_probability) {
    // y, and the row that most likely follows x, are fetched while the exponentials are taken.
    const auto next = reinterpret_cast<std::uintptr_t>(x) + static_cast<std::uintptr_t>(cols) * sizeof(T);
    const LogSum<T> sum = shifted_exponents<T>(x, cols, [y, next](std::int64_t i, const B&) {
      __builtin_prefetch(y + i, 1);
      __builtin_prefetch(reinterpret_cast<const void*>(next + static_cast<std::uintptr_t>(i) * sizeof(T)));
    });
    const B shift(sum.shift), log_total(static_cast<T>(finite_or_nan(sum.log_total)));
    // Two subtractions: the sum of shift and logarithm would be rounded as coarsely as the largest x.
    return map(
        cols, y, [shift, log_total](B v) { return v - shift - log_total; }, x);
  }
  scale<T>(static_cast<T>(std::exp(-finite_or_nan(exp_shifted<T>(x, y, cols).log_total))), y, cols);
}
template <class T>
void softmax_backward(Softmax kind, const T* g, const T* y, T* dx, std::int64_t cols) {
  using B = Batch<T>;
  if (kind == Softmax::log_probability) {
    const B total(static_cast<T>(sum<T>(g, cols)));
    return map(
        cols, dx, [total](B gv, B yv) { return gv - math::exp<T>(yv) * total; }, g, y);
  }
  const B total(dot<T>(g, y, cols));
  map(
      cols, dx, [total](B gv, B yv) { return yv * (gv - total); }, g, y);
}
template <class T>
void softmax_scaled(const T* x, T log_total, T scale, T* y, std::int64_t cols) {
  const Batch<T> shift(shift_of<T>(x, cols)), all(log_total), s(scale);
  map(
      cols, y, [shift, all, s](Batch<T> v) { return s * math::exp<T>(v - shift - all); }, x);
}

// The same down columns, each lane one of them.

template <class T>
struct ColumnSum {
  Batch<T> shift, total;
};
/// The shift, and the total of exp(x - shift), over the rows of one batch of columns.
template <class T, class Load>
[[gnu::always_inline]] inline ColumnSum<T> column_sum(const T* x, std::int64_t stride, std::int64_t rows,
                                                      Load load) {
  using B = Batch<T>;
  B most = load(x);
  for (std::int64_t r = 1; r < rows; ++r) most = extreme_of<true, T>(most, load(x + r * stride));
  const B shift = xsimd::select(most - most == B(0), most, B(0));
  B total(0);
  for (std::int64_t begin = 0; begin < rows; begin += 64) {  // in parts, so that the error stays small
    const std::int64_t end = begin + 64 < rows ? begin + 64 : rows;
    B part(0);
    for (std::int64_t r = begin; r < end; ++r) part = part + math::exp<T>(load(x + r * stride) - shift);
    total = total + part;
  }
  return {shift, total};
}
template <class T>
void softmax_columns(Softmax kind, const T* x, T* y, std::int64_t stride, std::int64_t rows,
                     std::int64_t cols) {
  using B = Batch<T>;
  for_batches<T>(cols, [=](std::int64_t c, auto load, auto store) {
    const ColumnSum<T> sum = column_sum<T>(x + c, stride, rows, load);
    const B total = xsimd::select(sum.total < B(infinity<T>), sum.total, B(not_a_number<T>));
    const B factor = kind == Softmax::log_probability ? math::log<T>(total) : B(1) / total;
    for (std::int64_t r = 0; r < rows; ++r) {
      const B v = load(x + c + r * stride) - sum.shift;
      store(kind == Softmax::log_probability ? v - factor : math::exp<T>(v) * factor, y + c + r * stride);
    }
  });
}
template <class T>
void log_sum_exp_columns(const T* x, T* y, std::int64_t stride, std::int64_t rows, std::int64_t cols) {
  for_batches<T>(cols, [=](std::int64_t c, auto load, auto store) {
    const ColumnSum<T> sum = column_sum<T>(x + c, stride, rows, load);
    store(sum.shift + math::log<T>(sum.total), y + c);
  });
}
template <class T>
void softmax_backward_columns(Softmax kind, const T* g, const T* y, T* dx, std::int64_t stride,
                              std::int64_t rows, std::int64_t cols) {
  using B = Batch<T>;
  const bool logarithm = kind == Softmax::log_probability;
  for_batches<T>(cols, [=](std::int64_t c, auto load, auto store) {
    B total(0);
    for (std::int64_t r = 0; r < rows; ++r) {
      const B gv = load(g + c + r * stride);
      total = logarithm ? total + gv : mul_add(gv, load(y + c + r * stride), total);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      const B gv = load(g + c + r * stride), yv = load(y + c + r * stride);
      store(logarithm ? gv - math::exp<T>(yv) * total : yv * (gv - total), dx + c + r * stride);
    }
  });
}
