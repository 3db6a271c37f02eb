// The elementwise parts of recurrent layers. Part of impl.hpp.

/// Calls f(at, gates_at, load, store) for each batch of a part's units: where it stands in matrices that are
/// `width` wide and in those of `gates` such side by side.
template <class T, std::int64_t gates, class F>
[[gnu::always_inline]] inline void for_units(const Part& part, F f) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin, gates_at = gates * r * part.width + part.begin;
    for_batches<T>(part.end - part.begin,
                   [&](std::int64_t j, auto load, auto store) { f(at + j, gates_at + j, load, store); });
  }
}

/// A sigmoid as it is kept for its gradient, in one number: the smaller of s and 1 - s, negative where that
/// is 1 - s. So s, 1 - s and their product, the slope, are exact where s is 1 to the nearest number.
template <class T>
[[gnu::always_inline]] inline Batch<T> kept_sigmoid(const math::Bounded<T>& s, const Batch<T>& x) {
  return xsimd::copysign(s.rest, negated<T>(x));
}
template <class T>
struct Sigmoid {
  Batch<T> value, slope;

  [[gnu::always_inline]] explicit Sigmoid(const Batch<T>& kept) {
    const Batch<T> half(T(0.5)), less = xsimd::abs(kept);
    value = kept + (half - xsimd::copysign(half, kept));
    slope = less * (Batch<T>(1) - less);
  }
};

/// A tanh as it is kept: t below 0.5; above, 1 - |t| with the bit set that 2 has and numbers below 2 have
/// not, and t's sign.
template <class T>
[[gnu::always_inline]] inline Batch<T> kept_tanh(const math::Bounded<T>& t) {
  const Batch<T> far = xsimd::copysign(t.rest | Batch<T>(2), t.value);
  return xsimd::select(xsimd::abs(t.value) >= Batch<T>(T(0.5)), far, t.value);
}
/// Its slope, (1 - |t|) (1 + |t|).
template <class T>
[[gnu::always_inline]] inline Batch<T> tanh_slope_of(const Batch<T>& rest) {
  return rest * (Batch<T>(2) - rest);
}
template <class T>
struct Tanh {
  Batch<T> value, slope;

  [[gnu::always_inline]] explicit Tanh(const Batch<T>& kept) {
    const Batch<T> one(1), two(2), size = xsimd::abs(kept);
    const auto far = size >= two;
    const Batch<T> rest = xsimd::select(far, size ^ two, one - size);
    value = xsimd::select(far, xsimd::copysign(one - rest, kept), kept);
    slope = tanh_slope_of<T>(rest);
  }
};

/// Calls f(column, count, load, store) for up to four registers of columns at a time, `count` being their
/// number as a constant. The states of so many stay in registers, over all steps.
template <class T, class F>
[[gnu::flatten]] void for_columns(std::int64_t cols, F f) {
  const auto load = [](const T* x) { return Batch<T>::load_unaligned(x); };
  const auto store = [](const Batch<T>& v, T* y) { v.store_unaligned(y); };
  std::int64_t i = 0;
  for (; i + 4 * lanes<T> <= cols; i += 4 * lanes<T>) f(i, std::integral_constant<int, 4>(), load, store);
  for_batches<T>(cols - i, [&](std::int64_t j, auto load_some, auto store_some) {
    f(i + j, std::integral_constant<int, 1>(), load_some, store_some);
  });
}

/// The gradients of a step's formulas, of numbers, or of dual ones for their derivatives. An activation has a
/// value and a slope.
template <class N>
struct LstmGradient {
  N i, f, g, o, c_before;
};
template <class Gate, class Squashed, class N>
[[gnu::always_inline]] inline LstmGradient<N> lstm_gradient(const Gate& i, const Gate& f, const Squashed& g,
                                                            const Gate& o, const Squashed& t,
                                                            const N& c_before, const N& dh, const N& dc) {
  const N dc_now = dc + dh * o.value * t.slope;
  return {dc_now * g.value * i.slope, dc_now * c_before * f.slope, dc_now * i.value * g.slope,
          dh * t.value * o.slope, dc_now * f.value};
}
template <class N>
struct GruGradient {
  N r, z, n, from_h, h_before;
};
template <class Gate, class Squashed, class N>
[[gnu::always_inline]] inline GruGradient<N> gru_gradient(const Gate& r, const Gate& z, const N& without_z,
                                                          const Squashed& n, const N& from_h,
                                                          const N& h_before, const N& dh) {
  const N d_n = dh * without_z * n.slope;
  return {d_n * from_h * r.slope, dh * (h_before - n.value) * z.slope, d_n, d_n * r.value, dh * z.value};
}
template <class T, class Load>
[[gnu::always_inline]] inline Batch<T> rnn_slope(Unary f, const T* h, const T* slopes, Load load) {
  return f == Unary::tanh ? load(slopes) : xsimd::select(load(h) > Batch<T>(0), Batch<T>(1), Batch<T>(0));
}

template <class T, class Rest>
struct WithRecurrent : Rest {
  void lstm_forward(const Part& part, T* gates, const T* c_before, T* c, T* tanh_c, T* h) const override {
    for_units<T, 4>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      T* const at = gates + gate;
      const auto of_i = load(at), of_f = load(at + width), of_o = load(at + 3 * width);
      const auto i = math::bounded_sigmoid<T>(of_i), f = math::bounded_sigmoid<T>(of_f);
      const auto g = math::bounded_tanh<T>(load(at + 2 * width)), o = math::bounded_sigmoid<T>(of_o);
      const auto cell = mul_add(f.value, load(c_before + j), i.value * g.value);
      const auto t = math::bounded_tanh<T>(cell);
      store(kept_sigmoid<T>(i, of_i), at);
      store(kept_sigmoid<T>(f, of_f), at + width);
      store(kept_tanh<T>(g), at + 2 * width);
      store(kept_sigmoid<T>(o, of_o), at + 3 * width);
      store(cell, c + j);
      store(kept_tanh<T>(t), tanh_c + j);
      store(o.value * t.value, h + j);
    });
  }

  void lstm_backward(const Part& part, const T* gates, const T* c_before, const T* tanh_c, const T* dh, T* dc,
                     T* d_gates) const override {
    for_units<T, 4>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      const T* const at = gates + gate;
      const Sigmoid<T> i(load(at)), f(load(at + width)), o(load(at + 3 * width));
      const Tanh<T> g(load(at + 2 * width)), t(load(tanh_c + j));
      const Batch<T> before = load(c_before + j), of_h = load(dh + j), of_c = load(dc + j);
      const auto d = lstm_gradient(i, f, g, o, t, before, of_h, of_c);
      T* const to = d_gates + gate;
      store(d.i, to);
      store(d.f, to + width);
      store(d.g, to + 2 * width);
      store(d.o, to + 3 * width);
      store(d.c_before, dc + j);
    });
  }

  void gru_forward(const Part& part, T* gates, T* from_h, const T* h_before, T* h) const override {
    for_units<T, 3>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      T* const at = gates + gate;
      T* const other = from_h + gate;
      const auto of_r = load(at) + load(other), of_z = load(at + width) + load(other + width);
      const auto r = math::bounded_sigmoid<T>(of_r), z = math::bounded_sigmoid<T>(of_z);
      const auto n = math::bounded_tanh<T>(mul_add(r.value, load(other + 2 * width), load(at + 2 * width)));
      store(kept_sigmoid<T>(r, of_r), at);
      store(kept_sigmoid<T>(z, of_z), at + width);
      store(kept_tanh<T>(n), at + 2 * width);
      store(mul_add(z.value, load(h_before + j) - n.value, n.value), h + j);
    });
  }

  void gru_backward(const Part& part, const T* gates, const T* from_h, const T* h_before, T* dh, T* d_gates,
                    T* d_from_h) const override {
    for_units<T, 3>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      const T* const at = gates + gate;
      const auto kept_z = load(at + width);
      const Sigmoid<T> r(load(at)), z(kept_z), without_z(negated<T>(kept_z));
      const Tanh<T> n(load(at + 2 * width));
      const Batch<T> of_h = load(from_h + 2 * width + gate), before = load(h_before + j), g = load(dh + j);
      const auto d = gru_gradient(r, z, without_z.value, n, of_h, before, g);
      store(d.r, d_gates + gate);
      store(d.z, d_gates + width + gate);
      store(d.n, d_gates + 2 * width + gate);
      store(d.r, d_from_h + gate);
      store(d.z, d_from_h + width + gate);
      store(d.from_h, d_from_h + 2 * width + gate);
      store(d.h_before, dh + j);
    });
  }

  void rnn_forward(const Part& part, Unary f, T* h, T* slopes) const override {
    if (f == Unary::tanh) {
      return for_units<T, 1>(part, [=](std::int64_t j, std::int64_t, auto load, auto store) {
        const auto t = math::bounded_tanh<T>(load(h + j));
        store(t.value, h + j);
        store(Tanh<T>(kept_tanh<T>(t)).slope, slopes + j);
      });
    }
    for (std::int64_t r = 0; r < part.rows; ++r) {
      T* const at = h + r * part.width + part.begin;
      this->unary(f, at, at, part.end - part.begin);
    }
  }

  void rnn_backward(const Part& part, Unary f, const T* h, const T* slopes, const T* dh,
                    T* d_pre) const override {
    for_units<T, 1>(part, [=](std::int64_t j, std::int64_t, auto load, auto store) {
      store(load(dh + j) * rnn_slope<T>(f, h + j, slopes + j, load), d_pre + j);
    });
  }

  void scan_forward(const ScanBlock& block, const T* a, const T* b, const T* before, T* h) const override {
    for_columns<T>(block.cols, [=](std::int64_t first, auto count, auto load, auto store) {
      constexpr int n = decltype(count)::value;
      Batch<T> state[n];
      for (int j = 0; j < n; ++j) state[j] = load(before + first + j * lanes<T>);
      for (std::int64_t t = 0; t < block.steps; ++t) {
        const std::int64_t row = t * block.stride + first;
#pragma GCC unroll 4
        for (int j = 0; j < n; ++j) {
          const std::int64_t at = row + j * lanes<T>;
          state[j] = mul_add<T>(load(a + at), state[j], load(b + at));
          store(state[j], h + at);
        }
      }
    });
  }

  void scan_summary(const ScanBlock& block, const T* a, const T* b, T* product, T* sum) const override {
    for_columns<T>(block.cols, [=](std::int64_t first, auto count, auto load, auto store) {
      constexpr int n = decltype(count)::value;
      Batch<T> of_a[n], of_b[n];
      for (int j = 0; j < n; ++j) of_a[j] = Batch<T>(1), of_b[j] = Batch<T>(0);
      for (std::int64_t t = 0; t < block.steps; ++t) {
        const std::int64_t row = t * block.stride + first;
#pragma GCC unroll 4
        for (int j = 0; j < n; ++j) {
          const std::int64_t at = row + j * lanes<T>;
          const Batch<T> factor = load(a + at);
          of_a[j] = of_a[j] * factor;
          of_b[j] = mul_add<T>(factor, of_b[j], load(b + at));
        }
      }
      for (int j = 0; j < n; ++j) {
        store(of_a[j], product + first + j * lanes<T>);
        store(of_b[j], sum + first + j * lanes<T>);
      }
    });
  }

  void scan_backward(const ScanBlock& block, const T* a, const T* g, const T* h, const T* before, T* ahead,
                     T* d_a, T* d_b) const override {
    for_columns<T>(block.cols, [=](std::int64_t first, auto count, auto load, auto store) {
      constexpr int n = decltype(count)::value;
      Batch<T> next[n];
      for (int j = 0; j < n; ++j) next[j] = load(ahead + first + j * lanes<T>);
      for (std::int64_t t = block.steps; t-- > 0;) {
        const std::int64_t row = t * block.stride + first;
        const T* const h_before = t > 0 ? h + row - block.stride : before + first;
#pragma GCC unroll 4
        for (int j = 0; j < n; ++j) {
          const std::int64_t at = row + j * lanes<T>;
          const Batch<T> s = load(g + at) + next[j];
          next[j] = load(a + at) * s;
          if (d_b != nullptr) store(s, d_b + at);
          if (d_a != nullptr) store(s * load(h_before + j * lanes<T>), d_a + at);
        }
      }
      for (int j = 0; j < n; ++j) store(next[j], ahead + first + j * lanes<T>);
    });
  }

  void scan_backward_summary(const ScanBlock& block, const T* a, const T* g, T* product,
                             T* sum) const override {
    for_columns<T>(block.cols, [=](std::int64_t first, auto count, auto load, auto store) {
      constexpr int n = decltype(count)::value;
      Batch<T> of_a[n], of_g[n];
      for (int j = 0; j < n; ++j) of_a[j] = Batch<T>(1), of_g[j] = Batch<T>(0);
      for (std::int64_t t = block.steps; t-- > 0;) {
        const std::int64_t row = t * block.stride + first;
#pragma GCC unroll 4
        for (int j = 0; j < n; ++j) {
          const std::int64_t at = row + j * lanes<T>;
          const Batch<T> factor = load(a + at);
          of_a[j] = of_a[j] * factor;
          of_g[j] = factor * (load(g + at) + of_g[j]);
        }
      }
      for (int j = 0; j < n; ++j) {
        store(of_a[j], product + first + j * lanes<T>);
        store(of_g[j], sum + first + j * lanes<T>);
      }
    });
  }
};
