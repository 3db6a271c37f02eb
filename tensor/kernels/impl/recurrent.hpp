// The pointwise part of recurrent layers. Part of impl.hpp.

template <class T>
void lstm_forward(T* gates, const T* c_before, T* c, T* tanh_c, T* h, std::int64_t width,
                  std::int64_t count) {
  for_batches<T>(count, [&](std::int64_t j, auto load, auto store) {
    T* const at = gates + j;
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

template <class T>
void lstm_backward(const T* gates, const T* c_before, const T* tanh_c, const T* dh, T* dc, T* d_gates,
                   std::int64_t width, std::int64_t count) {
  const Batch<T> one(1);
  for_batches<T>(count, [&](std::int64_t j, auto load, auto store) {
    const T* const at = gates + j;
    const auto i = load(at), f = load(at + width), g = load(at + 2 * width), o = load(at + 3 * width);
    const auto t = load(tanh_c + j), dh_now = load(dh + j);
    const auto dc_now = load(dc + j) + dh_now * o * (one - t * t);
    const auto before = load(c_before + j);
    T* const to = d_gates + j;
    store(dc_now * g * i * (one - i), to);
    store(dc_now * before * f * (one - f), to + width);
    store(dc_now * i * (one - g * g), to + 2 * width);
    store(dh_now * t * o * (one - o), to + 3 * width);
    store(dc_now * f, dc + j);
  });
}

template <class T>
void gru_forward(T* gates, T* from_h, const T* h_before, T* h, std::int64_t width, std::int64_t count) {
  for_batches<T>(count, [&](std::int64_t j, auto load, auto store) {
    T* const at = gates + j;
    T* const other = from_h + j;
    const auto r = math::sigmoid<T>(load(at) + load(other));
    const auto z = math::sigmoid<T>(load(at + width) + load(other + width));
    const auto n = math::tanh<T>(mul_add(r, load(other + 2 * width), load(at + 2 * width)));
    store(r, at);
    store(z, at + width);
    store(n, at + 2 * width);
    store(mul_add(z, load(h_before + j) - n, n), h + j);
  });
}

template <class T>
void gru_backward(const T* gates, const T* from_h, const T* h_before, T* dh, T* d_gates, T* d_from_h,
                  std::int64_t width, std::int64_t count) {
  const Batch<T> one(1);
  for_batches<T>(count, [&](std::int64_t j, auto load, auto store) {
    const T* const at = gates + j;
    const auto r = load(at), z = load(at + width), n = load(at + 2 * width), g = load(dh + j);
    const auto d_n = g * (one - z) * (one - n * n);
    const auto d_r = d_n * load(from_h + 2 * width + j) * r * (one - r);
    const auto d_z = g * (load(h_before + j) - n) * z * (one - z);
    store(d_r, d_gates + j);
    store(d_z, d_gates + width + j);
    store(d_n, d_gates + 2 * width + j);
    store(d_r, d_from_h + j);
    store(d_z, d_from_h + width + j);
    store(d_n * r, d_from_h + 2 * width + j);
    store(g * z, dh + j);
  });
}

template <class T>
void rnn_backward(Unary f, const T* h, const T* dh, T* d_pre, std::int64_t count) {
  const Batch<T> zero(0), one(1);
  for_batches<T>(count, [&](std::int64_t j, auto load, auto store) {
    const auto at = load(h + j);
    const auto slope = f == Unary::tanh ? one - at * at : xsimd::select(at > zero, one, zero);
    store(load(dh + j) * slope, d_pre + j);
  });
}
