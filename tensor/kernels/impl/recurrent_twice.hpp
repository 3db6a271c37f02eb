// The elementwise parts of recurrent layers for second derivatives. Part of impl.hpp.

/// A number and its derivative in some direction, the tangent: what is computed with such numbers gives its
/// derivative beside its value. The gradients of impl/recurrent.hpp are formulas that take them, too.
template <class T>
struct Dual {
  Batch<T> value, tangent;
};
template <class T>
[[gnu::always_inline]] inline Dual<T> operator+(const Dual<T>& a, const Dual<T>& b) {
  return {a.value + b.value, a.tangent + b.tangent};
}
template <class T>
[[gnu::always_inline]] inline Dual<T> operator-(const Dual<T>& a, const Dual<T>& b) {
  return {a.value - b.value, a.tangent - b.tangent};
}
template <class T>
[[gnu::always_inline]] inline Dual<T> operator*(const Dual<T>& a, const Dual<T>& b) {
  return {a.value * b.value, mul_add<T>(a.value, b.tangent, a.tangent * b.value)};
}

/// An activation and its slope, of a number with this tangent.
template <class T>
struct DualActivation {
  Dual<T> value, slope;

  [[gnu::always_inline]] DualActivation(const Sigmoid<T>& s, const Batch<T>& tangent)
      : value{s.value, s.slope * tangent},
        slope{s.slope, (Batch<T>(1) - s.value - s.value) * value.tangent} {}
  [[gnu::always_inline]] DualActivation(const Tanh<T>& t, const Batch<T>& tangent)
      : value{t.value, t.slope * tangent}, slope{t.slope, Batch<T>(-2) * t.value * value.tangent} {}
};

template <class T>
struct DualLstm {
  DualActivation<T> i, f, g, o;

  template <class Load>
  [[gnu::always_inline]] DualLstm(const T* kept, const T* tangent, std::int64_t width, Load load)
      : i(Sigmoid<T>(load(kept)), load(tangent)),
        f(Sigmoid<T>(load(kept + width)), load(tangent + width)),
        g(Tanh<T>(load(kept + 2 * width)), load(tangent + 2 * width)),
        o(Sigmoid<T>(load(kept + 3 * width)), load(tangent + 3 * width)) {}
};

template <class T>
struct DualGru {
  DualActivation<T> r, z, n;
  Dual<T> from_h;  // the part of n's pre-activation that r is multiplied by

  /// tangent: of the inputs' parts, and tangent_h of those of h.
  template <class Load>
  [[gnu::always_inline]] DualGru(const T* kept, const T* kept_h, const T* tangent, const T* tangent_h,
                                 std::int64_t width, Load load)
      : r(Sigmoid<T>(load(kept)), load(tangent) + load(tangent_h)),
        z(Sigmoid<T>(load(kept + width)), load(tangent + width) + load(tangent_h + width)),
        n(Tanh<T>(load(kept + 2 * width)),
          load(tangent + 2 * width) +
              (r.value * Dual<T>{load(kept_h + 2 * width), load(tangent_h + 2 * width)}).tangent),
        from_h{load(kept_h + 2 * width), load(tangent_h + 2 * width)} {}
};

template <class T, class Rest>
struct WithRecurrentTwice : Rest {
  void lstm_tangent(const Part& part, const T* gates, const T* c_before, const T* tanh_c, const T* dot_gates,
                    const T* dot_c_before, T* dot_c, T* dot_h) const override {
    for_units<T, 4>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      const DualLstm<T> at(gates + gate, dot_gates + gate, width, load);
      const Dual<T> before{load(c_before + j), load(dot_c_before + j)};
      const Batch<T> c = (at.f.value * before + at.i.value * at.g.value).tangent;
      const DualActivation<T> t(Tanh<T>(load(tanh_c + j)), c);
      store(c, dot_c + j);
      store((at.o.value * t.value).tangent, dot_h + j);
    });
  }

  void lstm_backward_tangent(const Part& part, const T* gates, const T* c_before, const T* tanh_c,
                             const T* dot_gates, const T* dot_c_before, const T* dot_c, const T* dh,
                             const T* dc, const T* dot_dh, T* dot_dc, T* dot_d_gates) const override {
    for_units<T, 4>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      const DualLstm<T> at(gates + gate, dot_gates + gate, width, load);
      const DualActivation<T> t(Tanh<T>(load(tanh_c + j)), load(dot_c + j));
      const Dual<T> before{load(c_before + j), load(dot_c_before + j)};
      const Dual<T> of_h{load(dh + j), load(dot_dh + j)}, of_c{load(dc + j), load(dot_dc + j)};
      const auto d = lstm_gradient(at.i, at.f, at.g, at.o, t, before, of_h, of_c);
      T* const to = dot_d_gates + gate;
      store(d.i.tangent, to);
      store(d.f.tangent, to + width);
      store(d.g.tangent, to + 2 * width);
      store(d.o.tangent, to + 3 * width);
      store(d.c_before.tangent, dot_dc + j);
    });
  }

  void gru_tangent(const Part& part, const T* gates, const T* from_h, const T* h_before, const T* dot_gates,
                   const T* dot_from_h, const T* dot_h_before, T* dot_h) const override {
    for_units<T, 3>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      const DualGru<T> at(gates + gate, from_h + gate, dot_gates + gate, dot_from_h + gate, width, load);
      const Dual<T> before{load(h_before + j), load(dot_h_before + j)};
      store((at.z.value * (before - at.n.value) + at.n.value).tangent, dot_h + j);
    });
  }

  void gru_backward_tangent(const Part& part, const T* gates, const T* from_h, const T* h_before,
                            const T* dot_gates, const T* dot_from_h, const T* dot_h_before, const T* dh,
                            T* dot_dh, T* dot_d_gates, T* dot_d_from_h) const override {
    for_units<T, 3>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      const DualGru<T> at(gates + gate, from_h + gate, dot_gates + gate, dot_from_h + gate, width, load);
      const Dual<T> without_z{Sigmoid<T>(negated<T>(load(gates + width + gate))).value,
                              negated<T>(at.z.value.tangent)};
      const Dual<T> before{load(h_before + j), load(dot_h_before + j)};
      const Dual<T> of_h{load(dh + j), load(dot_dh + j)};
      const auto d = gru_gradient(at.r, at.z, without_z, at.n, at.from_h, before, of_h);
      store(d.r.tangent, dot_d_gates + gate);
      store(d.z.tangent, dot_d_gates + width + gate);
      store(d.n.tangent, dot_d_gates + 2 * width + gate);
      store(d.r.tangent, dot_d_from_h + gate);
      store(d.z.tangent, dot_d_from_h + width + gate);
      store(d.from_h.tangent, dot_d_from_h + 2 * width + gate);
      store(d.h_before.tangent, dot_dh + j);
    });
  }

  void rnn_tangent(const Part& part, Unary f, const T* h, const T* slopes, const T* dot_pre,
                   T* dot_h) const override {
    for_units<T, 1>(part, [=](std::int64_t j, std::int64_t, auto load, auto store) {
      store(rnn_slope<T>(f, h + j, slopes + j, load) * load(dot_pre + j), dot_h + j);
    });
  }

  void rnn_backward_tangent(const Part& part, Unary f, const T* h, const T* slopes, const T* dot_h,
                            const T* dh, const T* dot_dh, T* dot_d_pre) const override {
    for_units<T, 1>(part, [=](std::int64_t j, std::int64_t, auto load, auto store) {
      Dual<T> slope{rnn_slope<T>(f, h + j, slopes + j, load), Batch<T>(0)};
      if (f == Unary::tanh) slope.tangent = Batch<T>(-2) * load(h + j) * load(dot_h + j);
      store((Dual<T>{load(dh + j), load(dot_dh + j)} * slope).tangent, dot_d_pre + j);
    });
  }
};
