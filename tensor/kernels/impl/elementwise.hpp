// Elementwise kernels. Part of impl.hpp.

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
    default:
      return scalar::unary(op, x, y, n);
  }
}

/// Calls f with what gives an operand's batch at an offset: one value for all of them, or what stands there.
template <class T, class F>
void with_operand(const T* x, bool is_scalar, F f) {
  if (is_scalar) {
    f([value = Batch<T>(*x)](std::int64_t, auto) { return value; });
  } else {
    f([x](std::int64_t i, auto load) { return load(x + i); });
  }
}

template <class T>
void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n) {
  using B = Batch<T>;
  if (n <= 0) return;
  const auto run = [&](auto f) {
    with_operand(a, a_scalar, [&](auto left) {
      with_operand(b, b_scalar, [&](auto right) {
        for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
          store(f(left(i, load), right(i, load)), y + i);
        });
      });
    });
  };
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
    case Binary::not_equal:
      return run([](B l, B r) { return xsimd::select(l == r, B(0), B(1)); });
    default:
      return scalar::binary(op, a, a_scalar, b, b_scalar, y, n);
  }
}

template <class T>
void ternary(Ternary op, const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar,
             T* y, std::int64_t n) {
  using B = Batch<T>;
  if (n <= 0) return;
  const auto run = [&](auto f) {
    with_operand(a, a_scalar, [&](auto left) {
      with_operand(b, b_scalar, [&](auto middle) {
        with_operand(c, c_scalar, [&](auto right) {
          for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
            store(f(left(i, load), middle(i, load), right(i, load)), y + i);
          });
        });
      });
    });
  };
  switch (op) {
    case Ternary::fma:
      return run([](B u, B v, B w) { return xsimd::fma(u, v, w); });
    case Ternary::where:
      return run([](B u, B v, B w) { return xsimd::select(u == B(0), w, v); });
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
