// Rows of scores of attention. Part of impl.hpp.

/// e^x for x up to 0 and little above; 0 where that is not a normal number.
template <class T>
[[gnu::always_inline]] inline Batch<T> exp_of_score(const Batch<T>& x) {
  const Batch<T> least(math::exp_floor<T>);
  // NaN, as the second operand, passes the bound.
  return xsimd::select(x < least, Batch<T>(0), math::exp_unscaled<T>(xsimd::max(least, x)));
}
template <class T>
struct LaneNumbers {
  alignas(64) T number[lanes<T>];
  constexpr LaneNumbers() : number{} {
    for (std::int64_t lane = 0; lane < lanes<T>; ++lane) number[lane] = static_cast<T>(lane);
  }
};
template <class T>
constexpr LaneNumbers<T> lane_numbers{};

/// The finite number that is subtracted from scores whose largest is this.
template <class T>
T score_shift(T largest) {
  return largest - largest == 0 ? largest : T{0};
}

/// The whole batches that cover begin..end-1, where what they hold beyond is -infinity.
struct Covered {
  std::int64_t first, last;
};
template <class T>
[[gnu::always_inline]] inline Covered cover(T* x, std::int64_t begin, std::int64_t end) {
  using B = Batch<T>;
  const std::int64_t first = begin / lanes<T> * lanes<T>;
  const std::int64_t last = (end + lanes<T> - 1) / lanes<T> * lanes<T>;
  const B numbers = B::load_aligned(lane_numbers<T>.number), none(-infinity<T>);
  if (begin > first) {
    const auto before = numbers < B(static_cast<T>(begin - first));
    xsimd::select(before, none, B::load_unaligned(x + first)).store_unaligned(x + first);
  }
  if (end < last) {
    T* const at = x + last - lanes<T>;
    const auto there = numbers < B(static_cast<T>(end - (last - lanes<T>)));
    xsimd::select(there, B::load_unaligned(at), none).store_unaligned(at);
  }
  return {first, last};
}
template <class T>
[[gnu::always_inline]] inline void clear_batches(T* x, std::int64_t from, std::int64_t to) {
  for (std::int64_t i = from; i < to; i += lanes<T>) Batch<T>(0).store_unaligned(x + i);
}

template <class T, class Rest>
struct WithAttention : Rest {
  void exponentials(const ScoreRows<T>& rows, const RunningSoftmax<T>& running) const override {
    using B = Batch<T>;
    const std::int64_t width = (rows.cols + lanes<T> - 1) / lanes<T> * lanes<T>;
    T* s = rows.scores;
    for (std::int64_t r = 0; r < rows.rows; ++r, s += rows.ld) {
      running.factor[r] = T{1};
      if (rows.end[r] <= rows.begin[r]) {
        clear_batches(s, 0, width);
        continue;
      }
      const auto [first, last] = cover(s, rows.begin[r], rows.end[r]);
      clear_batches(s, 0, first);
      clear_batches(s, last, width);
      const T before = running.largest[r], most = larger(before, s + first, last - first);
      const B shift(score_shift(most));
      B sums[2] = {B(0), B(0)};
      std::int64_t i = first;
      const auto add = [&](std::int64_t at, B& sum) {
        const B e = exp_of_score<T>(B::load_unaligned(s + at) - shift);
        e.store_unaligned(s + at);
        sum = sum + e;
      };
      for (; i + 2 * lanes<T> <= last; i += 2 * lanes<T>) {
        add(i, sums[0]);
        add(i + lanes<T>, sums[1]);
      }
      if (i < last) add(i, sums[0]);
      double& total = running.total[r];
      if (total != 0 && before != most) {
        const double factor = std::exp(static_cast<double>(score_shift(before) - score_shift(most)));
        running.factor[r] = static_cast<T>(factor);
        total *= factor;
      }
      total += static_cast<double>(lane_sum<T>(sums[0] + sums[1]));
      running.largest[r] = most;
    }
  }

  void score_gradients(const ScoreRows<T>& rows, const T* largest, const T* inverse, const T* delta, T scale,
                       T* gradients) const override {
    using B = Batch<T>;
    const std::int64_t width = (rows.cols + lanes<T> - 1) / lanes<T> * lanes<T>;
    const B factor(scale);
    T *s = rows.scores, *g = gradients;
    for (std::int64_t r = 0; r < rows.rows; ++r, s += rows.ld, g += rows.ld) {
      std::int64_t first = 0, last = 0;
      if (rows.begin[r] < rows.end[r]) {
        const Covered covered = cover(s, rows.begin[r], rows.end[r]);
        first = covered.first;
        last = covered.last;
      }
      clear_batches(s, 0, first);
      clear_batches(g, 0, first);
      clear_batches(s, last, width);
      clear_batches(g, last, width);
      const B shift(largest[r]), inverse_total(inverse[r]), from(-(delta[r] * scale));
      for (std::int64_t i = first; i < last; i += lanes<T>) {
        const B p = exp_of_score<T>(B::load_unaligned(s + i) - shift) * inverse_total;
        const B off = mul_add(B::load_unaligned(g + i), factor, from);
        p.store_unaligned(s + i);
        // Nothing of what is hidden, also where that is infinite.
        xsimd::select(p == B(0), B(0), p * off).store_unaligned(g + i);
      }
    }
  }

 private:
  /// The largest of them, without regard to NaN; n is a multiple of a batch.
  static T larger(T before, const T* x, std::int64_t n) {
    using B = Batch<T>;
    B acc[4] = {B(before), B(before), B(before), B(before)};
    std::int64_t i = 0;
    // max gives its second operand when one of the two is NaN.
    for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) acc[j] = xsimd::max(B::load_unaligned(x + i + j * lanes<T>), acc[j]);
    }
    for (; i < n; i += lanes<T>) acc[0] = xsimd::max(B::load_unaligned(x + i), acc[0]);
    return largest_lane<T>(xsimd::max(xsimd::max(acc[0], acc[1]), xsimd::max(acc[2], acc[3])));
  }
};
