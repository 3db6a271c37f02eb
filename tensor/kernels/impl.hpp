// The kernels, written once over an xsimd architecture. Each instruction set's .cpp includes this file in an
// unnamed namespace: nothing in it may be shared with code compiled for another one.

template <class T>
using Batch = xsimd::batch<T, Arch>;
template <class T>
constexpr std::int64_t lanes = static_cast<std::int64_t>(Batch<T>::size);

/// Up to one batch of elements, zeros behind them.
template <class T>
Batch<T> load_part(const T* x, std::int64_t n) {
  alignas(64) T buffer[lanes<T>] = {};
  for (std::int64_t i = 0; i < n; ++i) buffer[i] = x[i];
  return Batch<T>::load_aligned(buffer);
}
template <class T>
void store_part(const Batch<T>& x, T* y, std::int64_t n) {
  alignas(64) T buffer[lanes<T>];
  x.store_aligned(buffer);
  for (std::int64_t i = 0; i < n; ++i) y[i] = buffer[i];
}

/// y = f(x...) over n elements. The rest goes through a batch too, so that an element's result does not
/// depend on where it stands.
template <class T, class F, class... Xs>
void map(std::int64_t n, T* y, F f, const Xs*... xs) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) f(Batch<T>::load_unaligned(xs + i)...).store_unaligned(y + i);
  if (i < n) store_part<T>(f(load_part<T>(xs + i, n - i)...), y + i, n - i);
}

template <class T>
Batch<T> fast_tanh(const Batch<T>& x) {
  if constexpr (sizeof(T) == 8) {
    // xsimd's is not exact at infinity in every version.
    return xsimd::select(xsimd::abs(x) > Batch<T>(20), xsimd::copysign(Batch<T>(1), x), xsimd::tanh(x));
  } else {
    const Batch<T> magnitude = xsimd::abs(x);
    const Batch<T> t = xsimd::exp(Batch<T>(-2) * magnitude);
    const Batch<T> large = (Batch<T>(1) - t) / (Batch<T>(1) + t);
    // The Taylor series, where 1 - t would cancel.
    const Batch<T> s = x * x;
    Batch<T> p(static_cast<T>(-1382.0 / 155925));
    for (const double coefficient : {62.0 / 2835, -17.0 / 315, 2.0 / 15, -1.0 / 3}) {
      p = xsimd::fma(p, s, Batch<T>(static_cast<T>(coefficient)));
    }
    const Batch<T> small = xsimd::fma(x * s, p, x);
    return xsimd::select(magnitude < Batch<T>(static_cast<T>(0.3)), small, xsimd::copysign(large, x));
  }
}
template <class T>
Batch<T> fast_sigmoid(const Batch<T>& x) {
  return Batch<T>(1) / (Batch<T>(1) + xsimd::exp(-x));
}

template <class T>
void unary(Unary op, const T* x, T* y, std::int64_t n) {
  using B = Batch<T>;
  switch (op) {
    case Unary::neg:
      return map(
          n, y, [](B v) { return -v; }, x);
    case Unary::abs:
      return map(
          n, y, [](B v) { return xsimd::abs(v); }, x);
    case Unary::sign:
      return map(
          n, y, [](B v) { return xsimd::select(v > B(0), B(1), xsimd::select(v < B(0), B(-1), v + B(0))); },
          x);
    case Unary::square:
      return map(
          n, y, [](B v) { return v * v; }, x);
    case Unary::sqrt:
      return map(
          n, y, [](B v) { return xsimd::sqrt(v); }, x);
    case Unary::reciprocal:
      return map(
          n, y, [](B v) { return B(1) / v; }, x);
    case Unary::exp:
      return map(
          n, y, [](B v) { return xsimd::exp(v); }, x);
    case Unary::log:
      return map(
          n, y, [](B v) { return xsimd::log(v); }, x);
    case Unary::log1p:
      return map(
          n, y, [](B v) { return xsimd::log1p(v); }, x);
    case Unary::sin:
      return map(
          n, y, [](B v) { return xsimd::sin(v); }, x);
    case Unary::cos:
      return map(
          n, y, [](B v) { return xsimd::cos(v); }, x);
    case Unary::tanh:
      return map(
          n, y, [](B v) { return fast_tanh<T>(v); }, x);
    case Unary::sigmoid:
      return map(
          n, y, [](B v) { return fast_sigmoid<T>(v); }, x);
    case Unary::relu:  // NaN stays
      return map(
          n, y, [](B v) { return xsimd::select(v <= B(0), B(0), v); }, x);
  }
}

template <class T, class F>
void binary_with(F f, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n) {
  using B = Batch<T>;
  if (a_scalar) {
    const B left(*a);
    if (b_scalar)
      return map(
          n, y, [f, left, right = B(*b)](B) { return f(left, right); }, y);
    return map(
        n, y, [f, left](B right) { return f(left, right); }, b);
  }
  if (b_scalar)
    return map(
        n, y, [f, right = B(*b)](B left) { return f(left, right); }, a);
  map(n, y, f, a, b);
}

template <class T>
void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n) {
  using B = Batch<T>;
  const auto run = [&](auto f) { binary_with<T>(f, a, a_scalar, b, b_scalar, y, n); };
  switch (op) {
    case Binary::add:
      return run([](B l, B r) { return l + r; });
    case Binary::sub:
      return run([](B l, B r) { return l - r; });
    case Binary::mul:
      return run([](B l, B r) { return l * r; });
    case Binary::div:
      return run([](B l, B r) { return l / r; });
    case Binary::maximum:  // NaN on either side wins
      return run([](B l, B r) { return xsimd::select((l > r) | xsimd::isnan(l), l, r); });
    case Binary::minimum:
      return run([](B l, B r) { return xsimd::select((l < r) | xsimd::isnan(l), l, r); });
    case Binary::less:
      return run([](B l, B r) { return xsimd::select(l < r, B(1), B(0)); });
    case Binary::less_equal:
      return run([](B l, B r) { return xsimd::select(l <= r, B(1), B(0)); });
    case Binary::equal:
      return run([](B l, B r) { return xsimd::select(l == r, B(1), B(0)); });
    case Binary::pow:
      return;  // in kernels.cpp
  }
}

template <class T>
void add_scaled(T scale, const T* x, T* y, std::int64_t n) {
  using B = Batch<T>;
  map(
      n, y, [s = B(scale)](B v, B w) { return xsimd::fma(s, v, w); }, x, static_cast<const T*>(y));
}
template <class T>
void fill(T value, T* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = value;
}

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
  for (; i + lanes<T> <= cols; i += lanes<T>) acc = acc + xsimd::exp(B::load_unaligned(x + i) - s);
  alignas(64) T parts[lanes<T>];
  acc.store_aligned(parts);
  double total = 0;
  for (std::int64_t lane = 0; lane < lanes<T>; ++lane) total += static_cast<double>(parts[lane]);
  if (i < cols) {
    xsimd::exp(load_part<T>(x + i, cols - i) - s).store_aligned(parts);
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
      cols, dx, [total](Batch<T> gv, Batch<T> yv) { return gv - xsimd::exp(yv) * total; }, g, y);
}
template <class T>
void softmax_scaled(const T* x, T log_total, T scale, T* y, std::int64_t cols) {
  const Batch<T> shift(shift_of<T>(x, cols)), all(log_total), s(scale);
  map(
      cols, y, [shift, all, s](Batch<T> v) { return s * xsimd::exp(v - shift - all); }, x);
}

/// Calls f(offset, load, store) for each batch of `n` elements; load and store mind the last one's length.
template <class T, class F>
void for_batches(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) {
    f(
        i, [](const T* x) { return Batch<T>::load_unaligned(x); },
        [](const Batch<T>& v, T* y) { v.store_unaligned(y); });
  }
  if (i < n) {
    f(
        i, [left = n - i](const T* x) { return load_part<T>(x, left); },
        [left = n - i](const Batch<T>& v, T* y) { store_part<T>(v, y, left); });
  }
}

template <class T>
void lstm_forward(T* gates, const T* c_before, T* c, T* tanh_c, T* h, std::int64_t hidden) {
  for_batches<T>(hidden, [&](std::int64_t j, auto load, auto store) {
    T* const at = gates + j;
    const auto i = fast_sigmoid<T>(load(at)), f = fast_sigmoid<T>(load(at + hidden));
    const auto g = fast_tanh<T>(load(at + 2 * hidden)), o = fast_sigmoid<T>(load(at + 3 * hidden));
    const auto cell = xsimd::fma(f, load(c_before + j), i * g);
    const auto t = fast_tanh<T>(cell);
    store(i, at);
    store(f, at + hidden);
    store(g, at + 2 * hidden);
    store(o, at + 3 * hidden);
    store(cell, c + j);
    store(t, tanh_c + j);
    store(o * t, h + j);
  });
}

template <class T>
void lstm_backward(const T* gates, const T* c_before, const T* tanh_c, const T* dh, T* dc, T* d_gates,
                   std::int64_t hidden) {
  const Batch<T> one(1);
  for_batches<T>(hidden, [&](std::int64_t j, auto load, auto store) {
    const T* const at = gates + j;
    const auto i = load(at), f = load(at + hidden), g = load(at + 2 * hidden), o = load(at + 3 * hidden);
    const auto t = load(tanh_c + j), dh_now = load(dh + j);
    const auto dc_now = load(dc + j) + dh_now * o * (one - t * t);
    const auto before = load(c_before + j);
    T* const to = d_gates + j;
    store(dc_now * g * i * (one - i), to);
    store(dc_now * before * f * (one - f), to + hidden);
    store(dc_now * i * (one - g * g), to + 2 * hidden);
    store(dh_now * t * o * (one - o), to + 3 * hidden);
    store(dc_now * f, dc + j);
  });
}

template <class T>
void adam(const AdamStep& s, const T* g, T* p, T* m, T* v, std::int64_t n) {
  using B = Batch<T>;
  const B beta1(static_cast<T>(s.beta1)), beta2(static_cast<T>(s.beta2)), rest1(static_cast<T>(1 - s.beta1)),
      rest2(static_cast<T>(1 - s.beta2)), coupled(static_cast<T>(s.coupled_decay)),
      keep(static_cast<T>(1 - s.decay)), rate(static_cast<T>(s.lr / s.correction1)),
      root(static_cast<T>(1 / std::sqrt(s.correction2))), eps(static_cast<T>(s.eps));
  for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
    const B before = load(p + i);
    const B slope = xsimd::fma(coupled, before, load(g + i));
    const B first = xsimd::fma(rest1, slope, beta1 * load(m + i));
    const B second = xsimd::fma(rest2 * slope, slope, beta2 * load(v + i));
    store(first, m + i);
    store(second, v + i);
    store(before * keep - rate * first / xsimd::fma(xsimd::sqrt(second), root, eps), p + i);
  });
}

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

template <class T>
constexpr Table<T> table{.unary = unary<T>,
                         .binary = binary<T>,
                         .add_scaled = add_scaled<T>,
                         .fill = fill<T>,
                         .sum = sum<T>,
                         .sum_squares = sum_squares<T>,
                         .max = max<T>,
                         .log_softmax = log_softmax<T>,
                         .log_softmax_backward = log_softmax_backward<T>,
                         .log_sum_exp = log_sum_exp<T>,
                         .softmax_scaled = softmax_scaled<T>,
                         .lstm_forward = lstm_forward<T>,
                         .lstm_backward = lstm_backward<T>,
                         .adam = adam<T>,
                         .dot = dot<T>,
                         .tile_rows = tile_rows,
                         .tile_cols = tile_batches* lanes<T>,
                         .tile = tile<T>};
