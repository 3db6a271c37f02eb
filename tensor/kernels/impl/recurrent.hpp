// The pointwise part of recurrent layers. Part of impl.hpp.

template <class T>
void lstm_forward(T* gates, const T* c_before, T* c, T* tanh_c, T* h, std::int64_t hidden) {
  for_batches<T>(hidden, [&](std::int64_t j, auto load, auto store) {
    T* const at = gates + j;
    const auto i = math::sigmoid<T>(load(at)), f = math::sigmoid<T>(load(at + hidden));
    const auto g = math::tanh<T>(load(at + 2 * hidden)), o = math::sigmoid<T>(load(at + 3 * hidden));
    const auto cell = mul_add(f, load(c_before + j), i * g);
    const auto t = math::tanh<T>(cell);
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
