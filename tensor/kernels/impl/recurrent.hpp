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

template <class T, class Rest>
struct WithRecurrent : Rest {
  void lstm_forward(const Part& part, T* gates, const T* c_before, T* c, T* tanh_c, T* h) const override {
    for_units<T, 4>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      T* const at = gates + gate;
      const auto i = math::sigmoid<T>(load(at)), f = math::sigmoid<T>(load(at + width));
      const auto g = math::tanh<T>(load(at + 2 * width)), o = math::sigmoid<T>(load(at + 3 * width));
      const auto cell = mul_add(f, load(c_before + j), i * g);
      const auto t = math::tanh<T>(cell);
      store(i, at);
      store(f, at + width);
      store(g, at + 2 * width);
      store(o, at + 3 * width);
      store(cell, c + j);
      store(t, tanh_c + j);
      store(o * t, h + j);
    });
  }

  void lstm_backward(const Part& part, const T* gates, const T* c_before, const T* tanh_c, const T* dh, T* dc,
                     T* d_gates) const override {
    const Batch<T> one(1);
    for_units<T, 4>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      const T* const at = gates + gate;
      const auto i = load(at), f = load(at + width), g = load(at + 2 * width), o = load(at + 3 * width);
      const auto t = load(tanh_c + j), dh_now = load(dh + j);
      const auto dc_now = load(dc + j) + dh_now * o * (one - t * t);
      const auto before = load(c_before + j);
      T* const to = d_gates + gate;
      store(dc_now * g * i * (one - i), to);
      store(dc_now * before * f * (one - f), to + width);
      store(dc_now * i * (one - g * g), to + 2 * width);
      store(dh_now * t * o * (one - o), to + 3 * width);
      store(dc_now * f, dc + j);
    });
  }

  void gru_forward(const Part& part, T* gates, T* from_h, const T* h_before, T* h) const override {
    for_units<T, 3>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      T* const at = gates + gate;
      T* const other = from_h + gate;
      const auto r = math::sigmoid<T>(load(at) + load(other));
      const auto z = math::sigmoid<T>(load(at + width) + load(other + width));
      const auto n = math::tanh<T>(mul_add(r, load(other + 2 * width), load(at + 2 * width)));
      store(r, at);
      store(z, at + width);
      store(n, at + 2 * width);
      store(mul_add(z, load(h_before + j) - n, n), h + j);
    });
  }

  void gru_backward(const Part& part, const T* gates, const T* from_h, const T* h_before, T* dh, T* d_gates,
                    T* d_from_h) const override {
    const Batch<T> one(1);
    for_units<T, 3>(part, [=, width = part.width](std::int64_t j, std::int64_t gate, auto load, auto store) {
      const T* const at = gates + gate;
      const auto r = load(at), z = load(at + width), n = load(at + 2 * width), g = load(dh + j);
      const auto d_n = g * (one - z) * (one - n * n);
      const auto d_r = d_n * load(from_h + 2 * width + gate) * r * (one - r);
      const auto d_z = g * (load(h_before + j) - n) * z * (one - z);
      store(d_r, d_gates + gate);
      store(d_z, d_gates + width + gate);
      store(d_n, d_gates + 2 * width + gate);
      store(d_r, d_from_h + gate);
      store(d_z, d_from_h + width + gate);
      store(d_n * r, d_from_h + 2 * width + gate);
      store(g * z, dh + j);
    });
  }

  void rnn_forward(const Part& part, Unary f, T* h) const override {
    for (std::int64_t r = 0; r < part.rows; ++r) {
      T* const at = h + r * part.width + part.begin;
      this->unary(f, at, at, part.end - part.begin);
    }
  }

  void rnn_backward(const Part& part, Unary f, const T* h, const T* dh, T* d_pre) const override {
    const Batch<T> zero(0), one(1);
    for_units<T, 1>(part, [=](std::int64_t j, std::int64_t, auto load, auto store) {
      const auto at = load(h + j);
      const auto slope = f == Unary::tanh ? one - at * at : xsimd::select(at > zero, one, zero);
      store(load(dh + j) * slope, d_pre + j);
    });
  }
};
