// The optimizers' steps. Part of impl.hpp.
//
// The gradient is scaled and rounded before anything else is done with it, so that a step on a scaled
// gradient and a scaled step on the gradient are the same to the last bit.

template <class T>
void sgd(const SgdStep& s, T scale, const T* g, T* p, T* v, std::int64_t n) {
  using B = Batch<T>;
  const B factor(scale), decay(static_cast<T>(s.weight_decay)), momentum(static_cast<T>(s.momentum)),
      rate(static_cast<T>(s.lr));
  if (v == nullptr) {
    return for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
      const B before = load(p + i);
      store(sub_product<T>(rate, mul_add(decay, before, factor * load(g + i)), before), p + i);
    });
  }
  for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
    const B before = load(p + i);
    const B slope = mul_add(decay, before, factor * load(g + i));
    const B velocity = mul_add(momentum, load(v + i), slope);
    store(velocity, v + i);
    store(sub_product<T>(rate, s.nesterov ? mul_add(momentum, velocity, slope) : velocity, before), p + i);
  });
}

template <class T>
void adam(const AdamStep& s, T scale, const T* g, T* p, T* m, T* v, std::int64_t n) {
  using B = Batch<T>;
  const B factor(scale), beta1(static_cast<T>(s.beta1)), beta2(static_cast<T>(s.beta2)),
      rest1(static_cast<T>(1 - s.beta1)), rest2(static_cast<T>(1 - s.beta2)),
      coupled(static_cast<T>(s.coupled_decay)), keep(static_cast<T>(1 - s.decay)),
      rate(static_cast<T>(s.lr / s.correction1)), root(static_cast<T>(1 / std::sqrt(s.correction2))),
      eps(static_cast<T>(s.eps));
  for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
    const B before = load(p + i);
    const B slope = mul_add(coupled, before, factor * load(g + i));
    const B first = mul_add(rest1, slope, beta1 * load(m + i));
    const B second = mul_add(rest2 * slope, slope, beta2 * load(v + i));
    store(first, m + i);
    store(second, v + i);
    store(before * keep - rate * first / mul_add(xsimd::sqrt(second), root, eps), p + i);
  });
}
