// Normalisations, a run at a time. Part of impl.hpp.

/// The sums of one or two batches of terms over n elements: term(i, load, sum, product) adds to both.
template <class T, class Term>
[[gnu::always_inline]] inline Moments sum_terms(std::int64_t n, Term term) {
  using B = Batch<T>;
  constexpr std::int64_t block = 256 * lanes<T>;
  Moments total{0, 0};
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t end = begin + block < n ? begin + block : n;
    B sum[4] = {B(0), B(0), B(0), B(0)}, product[4] = {B(0), B(0), B(0), B(0)};
    const auto whole = [](const T* x) { return B::load_unaligned(x); };
    std::int64_t i = begin;
    for (; i + 4 * lanes<T> <= end; i += 4 * lanes<T>) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) term(i + j * lanes<T>, lanes<T>, whole, sum[j], product[j]);
    }
    for (; i + lanes<T> <= end; i += lanes<T>) term(i, lanes<T>, whole, sum[0], product[0]);
    if (i < end) {
      const std::int64_t left = end - i;
      term(
          i, left, [left](const T* x) { return load_part<T>(x, left); }, sum[1], product[1]);
    }
    total.sum += static_cast<double>(lane_sum<T>((sum[0] + sum[1]) + (sum[2] + sum[3])));
    total.product += static_cast<double>(lane_sum<T>((product[0] + product[1]) + (product[2] + product[3])));
  }
  return total;
}
/// x - shift, and 0 in the lanes beyond the n that hold elements.
template <class T>
[[gnu::always_inline]] inline Batch<T> shifted_part(const Batch<T>& x, const Batch<T>& shift,
                                                    std::int64_t n) {
  if (n == lanes<T>) return x - shift;
  alignas(64) T given[lanes<T>] = {};
  for (std::int64_t lane = 0; lane < n; ++lane) given[lane] = T{1};
  return xsimd::select(Batch<T>::load_aligned(given) == Batch<T>(1), x - shift, Batch<T>(0));
}

template <class T, class Rest>
struct WithNorm : Rest {
  double shifted_sum(const T* x, std::int64_t n, T shift) const override {
    return sum_terms<T>(
               n, [x, s = Batch<T>(shift)](std::int64_t i, std::int64_t m, auto load, Batch<T>& sum,
                                           Batch<T>&) { sum = sum + shifted_part<T>(load(x + i), s, m); })
        .sum;
  }
  Moments moments(const T* x, std::int64_t n, T shift) const override {
    return sum_terms<T>(n, [x, s = Batch<T>(shift)](std::int64_t i, std::int64_t m, auto load, Batch<T>& sum,
                                                    Batch<T>& product) {
      const Batch<T> v = shifted_part<T>(load(x + i), s, m);
      sum = sum + v;
      product = mul_add<T>(v, v, product);
    });
  }
  Moments gradient_moments(const T* g, const T* x, std::int64_t n, T shift, const T* weight) const override {
    const Batch<T> s(shift);
    if (weight == nullptr) {
      return sum_terms<T>(n, [=](std::int64_t i, std::int64_t, auto load, Batch<T>& sum, Batch<T>& product) {
        const Batch<T> h = load(g + i);
        sum = sum + h;
        product = mul_add<T>(h, load(x + i) - s, product);
      });
    }
    return sum_terms<T>(n, [=](std::int64_t i, std::int64_t, auto load, Batch<T>& sum, Batch<T>& product) {
      const Batch<T> h = load(g + i) * load(weight + i);
      sum = sum + h;
      product = mul_add<T>(h, load(x + i) - s, product);
    });
  }
  void normalize(const T* x, std::int64_t n, T shift, T scale, T offset, T* y) const override {
    const Batch<T> s(shift), a(scale), b(offset);
    for_batches<T>(
        n, [&](std::int64_t i, auto load, auto store) { store(mul_add<T>(load(x + i) - s, a, b), y + i); });
  }
  void normalize_weighted(const T* x, std::int64_t n, T shift, T scale, const T* weight, const T* bias,
                          T* y) const override {
    const Batch<T> s(shift), a(scale);
    if (bias == nullptr) {
      for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
        store((load(x + i) - s) * a * load(weight + i), y + i);
      });
    } else {
      for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
        store(mul_add<T>((load(x + i) - s) * a, load(weight + i), load(bias + i)), y + i);
      });
    }
  }
  void combine(const T* g, const T* x, std::int64_t n, T shift, const T* weight, T a, T b, T c,
               T* dx) const override {
    const Batch<T> s(shift), of_g(a), of_x(b), rest(c);
    if (weight == nullptr) {
      for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
        store(mul_add<T>(load(g + i), of_g, mul_add<T>(load(x + i) - s, of_x, rest)), dx + i);
      });
    } else {
      for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
        const Batch<T> h = load(g + i) * load(weight + i);
        store(mul_add<T>(h, of_g, mul_add<T>(load(x + i) - s, of_x, rest)), dx + i);
      });
    }
  }
  void add_weight_gradients(const T* g, const T* x, std::int64_t n, T shift, T scale, T* dw,
                            T* db) const override {
    const Batch<T> s(shift), a(scale);
    for_batches<T>(n, [&](std::int64_t i, auto load, auto store) {
      const Batch<T> up = load(g + i);
      store(mul_add<T>(up, (load(x + i) - s) * a, load(dw + i)), dw + i);
      if (db != nullptr) store(up + load(db + i), db + i);
    });
  }
};
