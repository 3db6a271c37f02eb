// Elementwise kernels. Part of impl.hpp.

/// Calls f with what gives an operand's batch at an offset: one value for all of them, or what stands there.
template <class T, class F>
void with_operand(const T* x, bool is_scalar, F f) {
  if (is_scalar) {
    f([value = Batch<T>(*x)](std::int64_t, auto) { return value; });
  } else {
    f([x](std::int64_t i, auto load) { return load(x + i); });
  }
}

/// y[i] = f(a[i], b[i], c[i])
template <class T, class F>
void map_three(F f, const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar, T* y,
               std::int64_t n) {
  if (n <= 0) return;
  with_operand(a, a_scalar, [&](auto left) {
    with_operand(b, b_scalar, [&](auto middle) {
      with_operand(c, c_scalar, [&](auto right) {
        for_batches<T, true>(n, [&](std::int64_t i, auto load, auto store) {
          store(f(left(i, load), middle(i, load), right(i, load)), y + i);
        });
      });
    });
  });
}

template <class T, class Rest>
struct WithElementwise : Rest {
  void unary(Unary op, const T* x, T* y, std::int64_t n) const override {
    using B = Batch<T>;
    const auto run = [&](auto f) { map(n, y, f, x); };
    switch (op) {
      case Unary::neg:
        return run([](B v) { return negated<T>(v); });
      case Unary::abs:
        return run([](B v) { return xsimd::abs(v); });
      case Unary::sign:
        return run(
            [](B v) { return xsimd::select(v > B(0), B(1), xsimd::select(v < B(0), B(-1), v + B(0))); });
      case Unary::square:
        return run([](B v) { return v * v; });
      case Unary::cube:
        if constexpr (!fused_multiply_add) return scalar::unary(op, x, y, n);
        return run([](B v) { return math::cube<T>(v); });
      case Unary::sqrt:
        return run([](B v) { return xsimd::sqrt(v); });
      case Unary::rsqrt:
        return run([](B v) { return B(1) / xsimd::sqrt(v); });
      case Unary::reciprocal:
        return run([](B v) { return B(1) / v; });
      case Unary::exp:
        return run([](B v) { return math::exp<T>(v); });
      case Unary::exp2:
        return run([](B v) { return math::exp2<T>(v); });
      case Unary::expm1:
        return run([](B v) { return math::expm1<T>(v); });
      case Unary::log:
        return run([](B v) { return math::log<T>(v); });
      case Unary::log1p:
        return run([](B v) { return math::log1p<T>(v); });
      case Unary::log10:
        return run([](B v) { return math::log10<T>(v); });
      case Unary::log2:
        return run([](B v) { return math::log2<T>(v); });
      case Unary::sin:
        return run([](B v) { return math::sine<T, 0>(v); });
      case Unary::cos:
        return run([](B v) { return math::sine<T, 1>(v); });
      case Unary::tan:
        return run([](B v) { return math::or_argument<T>(math::tan<T>(math::away_from_zero<T>(v)), v); });
      case Unary::asin:
        return run([](B v) { return xsimd::asin(v); });
      case Unary::acos:
        return run([](B v) { return xsimd::acos(v); });
      case Unary::atan:
        return run([](B v) { return math::or_argument<T>(xsimd::atan(math::away_from_zero<T>(v)), v); });
      case Unary::sinh:
        return run([](B v) { return xsimd::sinh(v); });
      case Unary::cosh:
        return run([](B v) { return xsimd::cosh(v); });
      case Unary::tanh:
        return run([](B v) { return math::tanh<T>(v); });
      case Unary::asinh:
        return run([](B v) { return xsimd::asinh(v); });
      case Unary::acosh:
        return run([](B v) { return math::acosh<T>(v); });
      case Unary::atanh:
        return run([](B v) { return xsimd::atanh(v); });
      case Unary::sigmoid:
        return run([](B v) { return math::sigmoid<T>(v); });
      case Unary::mish_gate:
        return run([](B v) { return math::mish_gate<T>(v); });
      case Unary::mish_gate_slope:
        return run([](B v) { return math::mish_gate_slope<T>(v); });
      case Unary::logit:
        return run([](B v) { return math::logit<T>(v); });
      case Unary::logit_slope:
        return run([](B v) { return B(1) / v / (B(1) - v); });
      case Unary::relu:  // NaN stays
        return run([](B v) { return xsimd::select(v <= B(0), B(0), v); });
      case Unary::floor:
        return run([](B v) { return math::rounded<T>(v, [](B w) { return xsimd::floor(w); }); });
      case Unary::ceil:
        return run([](B v) { return math::rounded<T>(v, [](B w) { return xsimd::ceil(w); }); });
      case Unary::round:
        return run([](B v) { return math::rounded<T>(v, [](B w) { return xsimd::nearbyint(w); }); });
      case Unary::trunc:
        return run([](B v) { return math::rounded<T>(v, [](B w) { return xsimd::trunc(w); }); });
      case Unary::erf:
        return run([](B v) { return math::erf(v); });
      case Unary::erfc:
        return run([](B v) { return math::erfc<T>(v); });
      case Unary::sigmoid_slope:
        return run([](B v) { return math::sigmoid_slope<T>(v); });
      case Unary::tanh_slope:
        return run([](B v) { return math::tanh_slope<T>(v); });
      case Unary::log1p_exp:
        return run([](B v) { return math::log1p_exp<T>(v); });
      case Unary::gaussian:
        return run([](B v) { return math::gaussian<T>(v); });
      case Unary::normal_cdf:
        return run([](B v) { return math::normal_cdf(v); });
      case Unary::gelu_gate:
        return run([](B v) { return math::gelu_gate<T>(v); });
      case Unary::gelu_gate_slope:
        return run([](B v) { return math::gelu_gate_slope<T>(v); });
      default:
        break;
    }
    if constexpr (sizeof(T) == 4) {
      if (op == Unary::erfinv) return run([](B v) { return math::inverse_erf<false>(v); });
      if (op == Unary::erfinv_slope) return run([](B v) { return math::inverse_erf<true>(v); });
      if (op == Unary::lgamma)
        return run([](B v) { return math::in_f64([](auto w) { return math::lgamma_wide(w); }, v); });
    }
    return scalar::unary(op, x, y, n);
  }

  void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y,
              std::int64_t n) const override {
    using B = Batch<T>;
    if (n <= 0) return;
    const auto run = [&](auto f) {
      with_operand(a, a_scalar, [&](auto left) {
        with_operand(b, b_scalar, [&](auto right) {
          for_batches<T, true>(n, [&](std::int64_t i, auto load, auto store) {
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
      case Binary::maximum:
        return run([](B l, B r) { return math::larger<T>(l, r); });
      case Binary::minimum:
        return run([](B l, B r) { return math::smaller<T>(l, r); });
      case Binary::logaddexp:
        return run([](B l, B r) {
          const B apart = xsimd::select(l == r, B(0), l - r);
          return math::larger<T>(l, r) + math::log1p_exp_below<T>(-xsimd::abs(apart));
        });
      case Binary::xlogy:
        return run([](B l, B r) { return xsimd::select((l == B(0)) & (r == r), B(0), l * math::log<T>(r)); });
      case Binary::leaky_relu:
        return run([](B l, B r) { return xsimd::select(l > B(0), l, l * r); });
      case Binary::elu:
        return run([](B l, B r) {
          const auto below = l <= B(0);
          if (!xsimd::any(below)) return l;
          return xsimd::select(below, r * math::expm1<T>(xsimd::select(below, l, B(0))), l);
        });
      case Binary::less:
        return run([](B l, B r) { return xsimd::select(l < r, B(1), B(0)); });
      case Binary::less_equal:
        return run([](B l, B r) { return xsimd::select(l <= r, B(1), B(0)); });
      case Binary::greater:
        return run([](B l, B r) { return xsimd::select(l > r, B(1), B(0)); });
      case Binary::greater_equal:
        return run([](B l, B r) { return xsimd::select(l >= r, B(1), B(0)); });
      case Binary::equal:
        return run([](B l, B r) { return xsimd::select(l == r, B(1), B(0)); });
      case Binary::not_equal:
        return run([](B l, B r) { return xsimd::select(l == r, B(0), B(1)); });
      case Binary::hypot:
        return run([](B l, B r) { return math::hypot<T>(l, r); });
      case Binary::fmod:
        if constexpr (fused_multiply_add) return run([](B l, B r) { return math::fmod<T>(l, r); });
        break;
      case Binary::polygamma:
      case Binary::sinc:
        for (std::int64_t i = 0, end = 0; i < n; i = end) {  // elements of one order
          for (end = a_scalar ? n : i + 1; end < n && a[end] == a[i];) ++end;
          const T* const x = b_scalar ? b : b + i;
          if (!derivative(op, a_scalar ? *a : a[i], x, b_scalar, y + i, end - i))
            scalar::binary(op, a_scalar ? a : a + i, a_scalar, x, b_scalar, y + i, end - i);
        }
        return;
      default:
        break;
    }
    if constexpr (sizeof(T) == 4) {
      if (op == Binary::atan2) return run([](B l, B r) { return math::atan2(l, r); });
      if (op == Binary::pow) return run([](B l, B r) { return math::power(l, r); });
    }
    scalar::binary(op, a, a_scalar, b, b_scalar, y, n);
  }

  /// Those of a low order that have a kernel; false for the others.
  static bool derivative(Binary op, T order, const T* x, bool x_scalar, T* y, std::int64_t n) {
    using B = Batch<T>;
    if (order != 0 && order != 1) return false;
    const auto run = [&](auto f) {
      with_operand(x, x_scalar, [&](auto at) {
        for_batches<T, true>(n, [&](std::int64_t i, auto load, auto store) { store(f(at(i, load)), y + i); });
      });
    };
    if (op == Binary::sinc) {
      if (order == 0) return run([](B v) { return math::sinc<T, 0>(v); }), true;
      return run([](B v) { return math::sinc<T, 1>(v); }), true;
    }
    if constexpr (sizeof(T) == 8) return false;
    if constexpr (sizeof(T) == 4) {
      if (order == 0) {
        run([](B v) { return math::in_f64([](auto w) { return math::digamma_wide(w); }, v); });
      } else {
        run([](B v) { return math::in_f64([](auto w) { return math::trigamma_wide(w); }, v); });
      }
    }
    return true;
  }

  void ternary(Ternary op, const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar,
               T* y, std::int64_t n) const override {
    using B = Batch<T>;
    const auto run = [&](auto f) { map_three<T>(f, a, a_scalar, b, b_scalar, c, c_scalar, y, n); };
    switch (op) {
      case Ternary::fma:
        return run([](B u, B v, B w) { return mul_add(u, v, w); });
      case Ternary::where:
        return run([](B u, B v, B w) { return xsimd::select(u == B(0), w, v); });
      case Ternary::within:
        return run([](B u, B v, B w) {
          const B apart = xsimd::select((u == u) & (v == v) & (w == w), B(0), B(not_a_number<T>));
          return xsimd::select((v <= u) & (u <= w), B(1), apart);
        });
      case Ternary::inside:
        if (b_scalar && c_scalar && *b == *b && *c == *c) {
          return run([](B u, B v, B w) {
            const B apart = xsimd::select(u == u, B(0), B(not_a_number<T>));
            return xsimd::select((v < u) & (u < w), B(1), apart);
          });
        }
        return run([](B u, B v, B w) {
          const B apart = xsimd::select((u == u) & (v == v) & (w == w), B(0), B(not_a_number<T>));
          return xsimd::select((v < u) & (u < w), B(1), apart);
        });
      case Ternary::clamp:
      case Ternary::clamp_flat:
        if (b_scalar && c_scalar && *b == *b && *c == *c)
          return run([](B u, B v, B w) { return xsimd::select(u == u, xsimd::min(xsimd::max(u, v), w), u); });
        return run([](B u, B v, B w) { return math::smaller<T>(math::larger<T>(u, v), w); });
    }
  }
  void product(const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar, T* y,
               std::int64_t n) const override {
    using B = Batch<T>;
    map_three<T>([](B u, B v, B w) { return u * v * w; }, a, a_scalar, b, b_scalar, c, c_scalar, y, n);
  }

  void add_scaled(T scale, const T* x, T* y, std::int64_t n) const override {
    using B = Batch<T>;
    map(
        n, y, [s = B(scale)](B v, B w) { return mul_add(s, v, w); }, x, static_cast<const T*>(y));
  }
  void fill(T value, T* y, std::int64_t n) const override {
    for (std::int64_t i = 0; i < n; ++i) y[i] = value;
  }
};
