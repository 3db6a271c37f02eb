// Softmax and its relatives, a row at a time. Part of impl.hpp.

template <class T>
T largest_lane(const Batch<T>& batch) {
  alignas(64) T parts[lanes<T>];
  batch.store_aligned(parts);
  T most = parts[0];
  for (std::int64_t lane = 1; lane < lanes<T>; ++lane) most = parts[lane] > most ? parts[lane] : most;
  return most;
}
template <class T>
double sum_of_first(const Batch<T>& batch, std::int64_t n) {
  alignas(64) T parts[lanes<T>];
  batch.store_aligned(parts);
  double sum = 0;
  for (std::int64_t lane = 0; lane < n; ++lane) sum += static_cast<double>(parts[lane]);
  return sum;
}
/// The largest element, without regard to NaN; -infinity when there is none.
template <class T>
T largest(const T* x, std::int64_t cols) {
  using B = Batch<T>;
  const B least(-infinity<T>);
  B acc[4] = {least, least, least, least};
  std::int64_t i = 0;
  // max gives its second operand when one of the two is NaN.
  for (; i + 4 * lanes<T> <= cols; i += 4 * lanes<T>) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) acc[j] = xsimd::max(B::load_unaligned(x + i + j * lanes<T>), acc[j]);
  }
  for (; i + lanes<T> <= cols; i += lanes<T>) acc[0] = xsimd::max(B::load_unaligned(x + i), acc[0]);
  for (; i < cols; ++i) acc[1] = xsimd::max(B(x[i]), acc[1]);
  return largest_lane<T>(xsimd::max(xsimd::max(acc[0], acc[1]), xsimd::max(acc[2], acc[3])));
}
/// What is subtracted from the exponents, so that none overflows: the largest x, or 0 when that is not
/// finite. Rows of -inf, and those with NaN or +inf, are NaN whatever is subtracted.
template <class T>
T shift_of(const T* x, std::int64_t cols) {
  const T most = largest<T>(x, cols);
  return most - most == 0 ? most : T{0};
}
/// How many bytes ahead of their use the elements of a row, and of the next one, are prefetched. 4 KiB are
/// too few to hide the latency of memory, 32 KiB too many for the first-level cache.
constexpr std::uintptr_t ahead = 8192;
/// So many elements are summed in T before the sum goes on in double.
template <class T>
constexpr std::int64_t softmax_block = 64 * lanes<T>;
/// A term of a sum of exponentials without the shares of the largest x: 0 where x - shift is 0.
template <class T>
[[gnu::always_inline]] inline Batch<T> below_largest(const Batch<T>& shifted) {
  return xsimd::select(shifted == Batch<T>(0), Batch<T>(0), math::exp<T>(shifted));
}
/// The logarithm of a total of exponentials. One little above 1, the share of the largest x, has lost most
/// digits of what the others add to it, so these are added up again without it, as term(batch of v) gives
/// them. There is one largest then: two would make the total 2.
template <class T, class Term>
[[gnu::noinline]] double log_of_total(const T* v, std::int64_t cols, double total, Term term) {
  using B = Batch<T>;
  if (!(total >= 1 && total < 1.5)) return std::log(total);
  double others = 0;
  std::int64_t i = 0;
  while (i + lanes<T> <= cols) {
    const std::int64_t end = i + softmax_block<T> < cols ? i + softmax_block<T> : cols;
    B part(0);
    for (; i + lanes<T> <= end; i += lanes<T>) part = part + term(B::load_unaligned(v + i));
    others += static_cast<double>(lane_sum<T>(part));
  }
  if (i < cols) others += sum_of_first<T>(term(load_part<T>(v + i, cols - i)), cols - i);
  return std::log1p(others);
}
/// The same for a total of exp(x - shift).
template <class T>
double log_of_shifted(const T* x, std::int64_t cols, T shift, double total) {
  return log_of_total<T>(x, cols, total,
                         [s = Batch<T>(shift)](const Batch<T>& v) { return below_largest<T>(v - s); });
}
template <class T>
struct ShiftedSum {
  T shift;
  double total;
};
/// The shift and the total of exp(x - shift); keep(i, batch) is given each batch of them.
template <class T, class Keep>
[[gnu::always_inline]] inline ShiftedSum<T> shifted_exponents(const T* x, std::int64_t cols, Keep keep) {
  using B = Batch<T>;
  const T shift = shift_of<T>(x, cols);
  const B s(shift);
  double total = 0;
  std::int64_t i = 0;
  while (i + lanes<T> <= cols) {
    const std::int64_t end = i + softmax_block<T> < cols ? i + softmax_block<T> : cols;
    B acc(0);
    for (; i + lanes<T> <= end; i += lanes<T>) {
      prefetch_beyond(x + i, ahead);
      const B e = math::exp<T>(B::load_unaligned(x + i) - s);
      keep(i, e);
      acc = acc + e;
    }
    total += static_cast<double>(lane_sum<T>(acc));
  }
  if (i < cols) {
    const B e = math::exp<T>(load_part<T>(x + i, cols - i) - s);
    keep(i, e);
    total += sum_of_first<T>(e, cols - i);
  }
  return {shift, total};
}
/// A sum of exponentials in f32 whose shift is the largest x so far.
struct RunningSum {
  float shift;
  Batch<float> part = Batch<float>(0);
  double total = 0;

  [[gnu::always_inline]] void add(const Batch<float>& x) {
    part = math::add_exp(part, x - Batch<float>(shift));
  }
  void end_block() {
    total += static_cast<double>(lane_sum<float>(part));
    part = Batch<float>(0);
  }
  void raise(float most) {
    if (!(most > shift)) return;
    total *= std::exp(static_cast<double>(shift) - static_cast<double>(most));
    shift = most;
  }
};
/// log(sum(exp(x))) of any x; beside(i) is called once for each batch, for other work.
template <class T, class Beside>
[[gnu::always_inline]] inline LogSum<T> log_sum_of_any(const T* x, std::int64_t cols, Beside beside) {
  const ShiftedSum<T> sum =
      shifted_exponents<T>(x, cols, [&](std::int64_t i, const Batch<T>&) { beside(i); });
  return {sum.shift, log_of_shifted<T>(x, cols, sum.shift, sum.total)};
}
/// The same, faster where the largest x is finite.
template <class Beside>
[[gnu::always_inline]] inline LogSum<float> log_sum(const float* x, std::int64_t cols, Beside beside) {
  using B = Batch<float>;
  constexpr std::int64_t block = softmax_block<float>, step = lanes<float>;
  RunningSum sum{largest<float>(x, cols < block ? cols : block)};
  if (sum.shift - sum.shift != 0) return log_sum_of_any<float>(x, cols, beside);
  std::int64_t i = 0;
  // The largest x of the next block is found in the same loop: the exponentials leave execution units free.
  for (std::int64_t end = block; end + block <= cols; end += block) {
    B next(-infinity<float>);
    for (; i < end; i += step) {
      prefetch_beyond(x + i, ahead);
      beside(i);
      sum.add(B::load_unaligned(x + i));
      next = xsimd::max(B::load_unaligned(x + i + block), next);
    }
    sum.end_block();
    sum.raise(largest_lane<float>(next));
  }
  sum.raise(largest<float>(x + i, cols - i));
  for (; i + step <= cols; i += step) {
    prefetch_beyond(x + i, ahead);
    beside(i);
    sum.add(B::load_unaligned(x + i));
  }
  sum.end_block();
  if (i < cols) {
    beside(i);
    const B last = load_part<float>(x + i, cols - i) - B(sum.shift);
    sum.total += sum_of_first<float>(math::add_exp(B(0), last), cols - i);
  }
  if (sum.shift == infinity<float>) return log_sum_of_any<float>(x, cols, [](std::int64_t) {});
  return {sum.shift, log_of_shifted<float>(x, cols, sum.shift, sum.total)};
}
template <class Beside>
[[gnu::always_inline]] inline LogSum<double> log_sum(const double* x, std::int64_t cols, Beside beside) {
  return log_sum_of_any<double>(x, cols, beside);
}
/// An infinite total comes from an infinite x, which makes the whole row of the softmax NaN.
template <class T>
T finite_or_nan(T total) {
  return total < infinity<T> ? total : not_a_number<T>;
}
/// v - shift - log_total of a row, as write(i) is called for i = 0, lanes, 2 lanes, ... below cols.
template <class T>
struct LogSoftmaxRow {
  const T* x;
  T* y;
  std::int64_t cols;
  // Subtracted one after the other: their sum would be rounded as coarsely as the largest x.
  Batch<T> shift, log_total;
  bool stream;
  std::int64_t head = 0;  // elements before the first aligned batch, where streaming stores begin

  LogSoftmaxRow(const T* from, T* to, std::int64_t count, const LogSum<T>& sum, bool past_caches)
      : x(from),
        y(to),
        cols(count),
        shift(sum.shift),
        log_total(static_cast<T>(finite_or_nan(sum.log_total))),
        stream(past_caches) {
    if (!stream) return;
    constexpr std::uintptr_t whole = sizeof(T) * lanes<T>;
    head =
        static_cast<std::int64_t>((whole - reinterpret_cast<std::uintptr_t>(y) % whole) % whole / sizeof(T));
    head = head < cols ? head : cols;
    store_part<T>(load_part<T>(x, head) - shift - log_total, y, head);
  }
  [[gnu::always_inline]] void write(std::int64_t i) const {
    i += head;
    if (i + lanes<T> <= cols) {
      const Batch<T> v = Batch<T>::load_unaligned(x + i) - shift - log_total;
      return stream ? stream_aligned<T>(v, y + i) : v.store_unaligned(y + i);
    }
    if (i < cols) store_part<T>(load_part<T>(x + i, cols - i) - shift - log_total, y + i, cols - i);
  }
};
/// Each row is written in the same loop that reads the exponentials of the next one, so that memory is always
/// busy.
template <class T>
void log_softmax(const T* x, T* y, std::int64_t rows, std::int64_t cols, bool past_caches) {
  LogSum<T> sum = log_sum(x, cols, [](std::int64_t) {});
  for (std::int64_t r = 0; r < rows; ++r, x += cols, y += cols) {
    const LogSoftmaxRow<T> row(x, y, cols, sum, past_caches);
    if (r + 1 < rows) {
      sum = log_sum(x + cols, cols, [row](std::int64_t i) { row.write(i); });
    } else {
      for (std::int64_t i = 0; i < cols; i += lanes<T>) row.write(i);
    }
  }
  if (past_caches) fence_streams();
}
// Down columns, each lane one of them.

template <class T>
struct ColumnSum {
  Batch<T> shift, total, log_total;
};
/// The shift, the total of exp(x - shift) and its logarithm, over the rows of one batch of columns.
template <class T, class Load>
[[gnu::always_inline]] inline ColumnSum<T> column_sum(const T* x, std::int64_t stride, std::int64_t rows,
                                                      Load load) {
  using B = Batch<T>;
  B most = load(x);
  for (std::int64_t r = 1; r < rows; ++r) most = extreme_of<true, T>(most, load(x + r * stride));
  const B shift = xsimd::select(most - most == B(0), most, B(0));
  B below(0), count(0);                                      // the largest apart, as in log_of_total
  for (std::int64_t begin = 0; begin < rows; begin += 64) {  // in blocks, so that rounding errors stay small
    const std::int64_t end = begin + 64 < rows ? begin + 64 : rows;
    B part(0);
    for (std::int64_t r = begin; r < end; ++r) {
      const B shifted = load(x + r * stride) - shift;
      part = part + below_largest<T>(shifted);
      count = count + xsimd::select(shifted == B(0), B(1), B(0));
    }
    below = below + part;
  }
  return {shift, below + count, math::log1p<T>(below + (count - B(1)))};
}
/// g - exp(y) total, y being a logarithm of a probability; where that is nearly 1, its distance from 1
/// counts.
template <class T>
[[gnu::always_inline]] inline Batch<T> log_softmax_slope(const Batch<T>& g, const Batch<T>& y,
                                                         const Batch<T>& total) {
  const Batch<T> p = math::exp<T>(y), slope = g - p * total;
  const auto large = p > Batch<T>(T{0.5});
  if (!xsimd::any(large)) return slope;  // as for all elements of a row but one
  return xsimd::select(large, -(g * math::expm1<T>(y)) - p * (total - g), slope);
}
/// The sum of (g - from) y; `likely` is set where an element of y is above 1/2.
template <class T>
T weighted_sum(const T* g, T from, const T* y, std::int64_t n, bool& likely) {
  using B = Batch<T>;
  const B reference(from);
  B sums[4] = {B(0), B(0), B(0), B(0)}, largest[4] = {B(0), B(0), B(0), B(0)};
  const auto add = [&](int j, const B& gv, const B& yv) {
    sums[j] = mul_add(gv - reference, yv, sums[j]);
    largest[j] = xsimd::max(yv, largest[j]);
  };
  std::int64_t i = 0;
  for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      add(j, B::load_unaligned(g + i + j * lanes<T>), B::load_unaligned(y + i + j * lanes<T>));
  }
  for (; i + lanes<T> <= n; i += lanes<T>) add(0, B::load_unaligned(g + i), B::load_unaligned(y + i));
  if (i < n) add(1, load_part<T>(g + i, n - i), load_part<T>(y + i, n - i));
  const B most = xsimd::max(xsimd::max(largest[0], largest[1]), xsimd::max(largest[2], largest[3]));
  likely = xsimd::any(most > B(T(0.5)));
  alignas(64) T parts[lanes<T>];
  ((sums[0] + sums[1]) + (sums[2] + sums[3])).store_aligned(parts);
  T total = 0;
  for (std::int64_t lane = 0; lane < lanes<T>; ++lane) total += parts[lane];
  return total;
}
/// The element of g beside the one of y that is above 1/2.
template <class T>
T at_likeliest(const T* g, const T* y, std::int64_t n) {
  using B = Batch<T>;
  B found(0);
  std::int64_t i = 0;
  const auto look = [&found](const B& gv, const B& yv) { found = xsimd::select(yv > B(T(0.5)), gv, found); };
  for (; i + lanes<T> <= n; i += lanes<T>) look(B::load_unaligned(g + i), B::load_unaligned(y + i));
  if (i < n) look(load_part<T>(g + i, n - i), load_part<T>(y + i, n - i));
  return static_cast<T>(sum_of_first<T>(found, lanes<T>));
}
template <class T, class Rest>
struct WithSoftmax : Rest {
  LogSum<T> log_sum_exp(const T* x, std::int64_t cols) const override {
    return log_sum(x, cols, [](std::int64_t) {});
  }
  LogSum<T> exp_shifted(const T* x, T* y, std::int64_t cols) const override {
    using B = Batch<T>;
    const ShiftedSum<T> sum = shifted_exponents<T>(x, cols, [y, cols](std::int64_t i, B e) {
      if (i + lanes<T> <= cols) return e.store_unaligned(y + i);
      store_part<T>(e, y + i, cols - i);
    });
    const auto below_one = [](const B& e) { return xsimd::select(e == B(1), B(0), e); };  // x may be gone
    return {sum.shift, log_of_total<T>(y, cols, sum.total, below_one)};
  }
  void scale(T factor, T* x, std::int64_t n) const override {
    const Batch<T> f(factor);
    map(
        n, x, [f](Batch<T> v) { return v * f; }, x);
  }
  void softmax(Softmax kind, const T* x, T* y, std::int64_t rows, std::int64_t cols,
               bool past_caches) const override {
    if (kind == Softmax::log_probability) return log_softmax<T>(x, y, rows, cols, past_caches);
    for (std::int64_t r = 0; r < rows; ++r, x += cols, y += cols)
      WithSoftmax::scale(
          static_cast<T>(std::exp(-finite_or_nan(WithSoftmax::exp_shifted(x, y, cols).log_total))), y, cols);
  }
  void softmax_backward(Softmax kind, const T* g, const T* y, T* dx, std::int64_t cols) const override {
    using B = Batch<T>;
    if (kind == Softmax::log_probability) {
      const B total(static_cast<T>(sum<T>(g, cols)));
      return map(
          cols, dx, [total](B gv, B yv) { return log_softmax_slope<T>(gv, yv, total); }, g, y);
    }
    // With a probability near 1, the sum of g y is near its g, and little is left of the difference. All g
    // may be taken from that one, since the probabilities sum to 1.
    bool likely = false;
    T reference = 0, weighted = weighted_sum<T>(g, reference, y, cols, likely);
    if (likely) {
      reference = at_likeliest<T>(g, y, cols);
      weighted = weighted_sum<T>(g, reference, y, cols, likely);
    }
    const B total(weighted), from(reference);
    map(
        cols, dx, [total, from](B gv, B yv) { return yv * ((gv - from) - total); }, g, y);
  }
  T softmax_scaled(const T* x, T log_total, T factor, T* y, std::int64_t cols) const override {
    const T most = shift_of<T>(x, cols);
    const Batch<T> shift(most), all(log_total), s(factor);
    map(
        cols, y, [shift, all, s](Batch<T> v) { return s * math::exp<T>(v - shift - all); }, x);
    return most;
  }
  TargetSums target_sums(const T* t, const T* x, T shift, std::int64_t cols) const override {
    using B = Batch<T>;
    const B s(shift);
    TargetSums out;
    for (std::int64_t begin = 0; begin < cols; begin += softmax_block<T>) {
      const std::int64_t left = cols - begin;
      B total(0), weighted(0);
      const auto add = [&](std::int64_t i, auto load, auto) {
        const B target = load(t + begin + i), term = target * (load(x + begin + i) - s);
        total = total + target;
        weighted = weighted + xsimd::select(target == B(0), B(0), term);
      };
      for_batches<T>(left < softmax_block<T> ? left : softmax_block<T>, add);
      out.total += static_cast<double>(lane_sum<T>(total));
      out.weighted += static_cast<double>(lane_sum<T>(weighted));
    }
    return out;
  }
  T soft_slope(const T* x, const T* t, T log_total, T total, T factor, T* y,
               std::int64_t cols) const override {
    using B = Batch<T>;
    const T most = shift_of<T>(x, cols);
    const B shift(most), all(log_total), down(-factor), sum(-factor * total);
    map(
        cols, y, [=](B xv, B tv) { return log_softmax_slope<T>(tv * down, xv - shift - all, sum); }, x, t);
    return most;
  }
  void softmax_columns(Softmax kind, const T* x, T* y, std::int64_t stride, std::int64_t rows,
                       std::int64_t cols) const override {
    using B = Batch<T>;
    for_batches<T>(cols, [=](std::int64_t c, auto load, auto store) {
      const ColumnSum<T> sum = column_sum<T>(x + c, stride, rows, load);
      const auto finite = sum.total < B(infinity<T>);
      const B value = kind == Softmax::log_probability ? sum.log_total : B(1) / sum.total;
      const B factor = xsimd::select(finite, value, B(not_a_number<T>));
      for (std::int64_t r = 0; r < rows; ++r) {
        const B v = load(x + c + r * stride) - sum.shift;
        store(kind == Softmax::log_probability ? v - factor : math::exp<T>(v) * factor, y + c + r * stride);
      }
    });
  }
  void log_sum_exp_columns(const T* x, T* y, std::int64_t stride, std::int64_t rows,
                           std::int64_t cols) const override {
    for_batches<T>(cols, [=](std::int64_t c, auto load, auto store) {
      const ColumnSum<T> sum = column_sum<T>(x + c, stride, rows, load);
      store(sum.shift + sum.log_total, y + c);
    });
  }
  void softmax_backward_columns(Softmax kind, const T* g, const T* y, T* dx, std::int64_t stride,
                                std::int64_t rows, std::int64_t cols) const override {
    using B = Batch<T>;
    const bool logarithm = kind == Softmax::log_probability;
    for_batches<T>(cols, [=](std::int64_t c, auto load, auto store) {
      B total(0), likeliest(0), from(0);
      for (std::int64_t r = 0; r < rows; ++r) {
        const B gv = load(g + c + r * stride), yv = load(y + c + r * stride);
        total = logarithm ? total + gv : mul_add(gv, yv, total);
        from = xsimd::select(yv > likeliest, gv, from);
        likeliest = xsimd::max(likeliest, yv);
      }
      const auto near_one = likeliest > B(T(0.5));  // see softmax_backward
      from = xsimd::select(near_one, from, B(0));
      if (!logarithm && xsimd::any(near_one)) {
        total = B(0);
        for (std::int64_t r = 0; r < rows; ++r)
          total = mul_add(load(g + c + r * stride) - from, load(y + c + r * stride), total);
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        const B gv = load(g + c + r * stride), yv = load(y + c + r * stride);
        store(logarithm ? log_softmax_slope<T>(gv, yv, total) : yv * ((gv - from) - total),
              dx + c + r * stride);
      }
    });
  }
};
