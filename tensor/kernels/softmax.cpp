#include "tensor/kernels/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "tensor/kernels/copy.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::kernels {

namespace {

constexpr std::int64_t transcendental = 8;  // the cost of an exponential in scalar operations
constexpr std::int64_t tile = 64;           // columns of one call

/// Calls body(place of the first element, columns, place of the first result) for each tile of columns.
template <class Body>
void for_columns(std::int64_t outer, std::int64_t length, std::int64_t inner, Body body) {
  parallel::for_tiles(outer, inner, tile, length * transcendental,
                      [&](std::int64_t o, std::int64_t c, std::int64_t cols) {
                        body(o * length * inner + c, cols, o * inner + c);
                      });
}

/// An infinite x gives an infinite total: what follows from it shall be NaN.
template <class T>
LogSum<T> finite_or_nan(const LogSum<T>& sum) {
  const bool finite = sum.log_total < std::numeric_limits<double>::infinity();
  return {sum.shift, finite ? sum.log_total : std::numeric_limits<double>::quiet_NaN()};
}
/// p - 1 for the probability p = exp(x - shift - log_total), also where p rounds to 1.
template <class T>
double below_certainty(T x, T shift, double log_total) {
  return std::expm1(static_cast<double>(x) - static_cast<double>(shift) - log_total);
}

}  // namespace

template <class T>
void softmax(Softmax kind, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner, T* y) {
  const auto& kernel = selected<T>();
  if (inner == 1) {
    const bool past = static_cast<std::size_t>(outer * length) * 2 * sizeof(T) >= past_caches;  // x and y
    return parallel::for_range(outer, length * transcendental, [&](std::int64_t begin, std::int64_t end) {
      kernel.softmax(kind, x + begin * length, y + begin * length, end - begin, length, past);
    });
  }
  for_columns(outer, length, inner, [&](std::int64_t at, std::int64_t cols, std::int64_t) {
    kernel.softmax_columns(kind, x + at, y + at, inner, length, cols);
  });
}
template <class T>
void softmax_backward(Softmax kind, const T* g, const T* y, std::int64_t outer, std::int64_t length,
                      std::int64_t inner, T* dx) {
  const auto& kernel = selected<T>();
  for_columns(outer, length, inner, [&](std::int64_t at, std::int64_t cols, std::int64_t) {
    if (inner == 1) return kernel.softmax_backward(kind, g + at, y + at, dx + at, length);
    kernel.softmax_backward_columns(kind, g + at, y + at, dx + at, inner, length, cols);
  });
}
template <class T>
void log_sum_exp(const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner, T* y) {
  const auto& kernel = selected<T>();
  for_columns(outer, length, inner, [&](std::int64_t at, std::int64_t cols, std::int64_t to) {
    if (inner > 1) return kernel.log_sum_exp_columns(x + at, y + to, inner, length, cols);
    const LogSum<T> sum = kernel.log_sum_exp(x + at, length);
    y[to] = static_cast<T>(static_cast<double>(sum.shift) + sum.log_total);
  });
}

template <class T>
void cross_entropy(const T* x, const std::int32_t* targets, std::int64_t rows, std::int64_t cols, T* losses,
                   T* log_totals) {
  parallel::for_each(rows, cols * transcendental, [&](std::int64_t r) {
    if (targets[r] < 0) {
      losses[r] = 0;
      if (log_totals != nullptr) log_totals[r] = 0;
      return;
    }
    const LogSum<T> sum = finite_or_nan(selected<T>().log_sum_exp(x + r * cols, cols));
    if (log_totals != nullptr) log_totals[r] = static_cast<T>(sum.log_total);
    const double below = static_cast<double>(sum.shift) - static_cast<double>(x[r * cols + targets[r]]);
    losses[r] = static_cast<T>(below + sum.log_total);
  });
}
template <class T>
void cross_entropy_in_place(T* x, const std::int32_t* targets, std::int64_t rows, std::int64_t cols, T g,
                            T* losses) {
  parallel::for_each(rows, cols * transcendental, [&](std::int64_t r) {
    T* const row = x + r * cols;
    if (targets[r] < 0) {
      losses[r] = 0;
      std::fill_n(row, cols, T{0});
      return;
    }
    const T logit = row[targets[r]];
    const LogSum<T> sum = finite_or_nan(selected<T>().exp_shifted(row, row, cols));
    losses[r] = static_cast<T>(static_cast<double>(sum.shift) - static_cast<double>(logit) + sum.log_total);
    selected<T>().scale(static_cast<T>(static_cast<double>(g) * std::exp(-sum.log_total)), row, cols);
    row[targets[r]] =
        static_cast<T>(static_cast<double>(g) * below_certainty(logit, sum.shift, sum.log_total));
  });
}
template <class T>
void cross_entropy_backward(const T* x, const std::int32_t* targets, const T* log_totals, const T* g,
                            std::int64_t rows, std::int64_t cols, T* dx) {
  parallel::for_each(rows, cols * transcendental, [&](std::int64_t r) {
    if (targets[r] < 0) {
      std::fill_n(dx + r * cols, cols, T{0});
      return;
    }
    const T* const row = x + r * cols;
    const T shift = selected<T>().softmax_scaled(row, log_totals[r], g[r], dx + r * cols, cols);
    const double off = below_certainty(row[targets[r]], shift, static_cast<double>(log_totals[r]));
    dx[r * cols + targets[r]] = static_cast<T>(static_cast<double>(g[r]) * off);
  });
}

namespace {

/// Whether the row's targets are all 0: it has no loss then, whatever its logits are.
template <class T>
bool counts_nothing(const SoftTargets<T>& t, std::int64_t row, std::int64_t cols, T total) {
  if (t.classes != nullptr) return t.classes[row] < 0;
  const T* const values = t.values + row * t.stride;
  return total == 0 && std::all_of(values, values + cols, [](T value) { return value == 0; });
}

}  // namespace

template <class T>
void soft_cross_entropy(const T* x, const SoftTargets<T>& t, std::int64_t rows, std::int64_t cols, T* losses,
                        T* log_totals, T* target_totals) {
  const auto& kernel = selected<T>();
  parallel::for_each(rows, cols * transcendental, [&](std::int64_t r) {
    if (t.classes != nullptr && t.classes[r] < 0) {
      losses[r] = log_totals[r] = target_totals[r] = 0;
      return;
    }
    const T* const row = x + r * cols;
    const LogSum<T> sum = finite_or_nan(kernel.log_sum_exp(row, cols));
    TargetSums sums = kernel.target_sums(t.values + r * t.stride, row, sum.shift, cols);
    const std::int32_t at = t.classes == nullptr ? -1 : t.classes[r];
    if (at >= 0) {
      const double share = static_cast<double>(t.shares[r]);
      sums.total += share;
      if (share != 0)
        sums.weighted += share * (static_cast<double>(row[at]) - static_cast<double>(sum.shift));
    }
    target_totals[r] = static_cast<T>(sums.total);
    log_totals[r] = static_cast<T>(sum.log_total);
    const bool nothing = counts_nothing(t, r, cols, target_totals[r]);
    losses[r] = nothing ? T{0} : static_cast<T>(sums.total * sum.log_total - sums.weighted);
  });
}
template <class T>
void soft_cross_entropy_backward(const T* x, const SoftTargets<T>& t, const T* log_totals,
                                 const T* target_totals, const T* g, std::int64_t rows, std::int64_t cols,
                                 T* dx) {
  parallel::for_each(rows, cols * transcendental, [&](std::int64_t r) {
    T* const to = dx + r * cols;
    if (counts_nothing(t, r, cols, target_totals[r])) {
      std::fill_n(to, cols, T{0});
      return;
    }
    const T *const row = x + r * cols, *const targets = t.values + r * t.stride;
    const T shift = selected<T>().soft_slope(row, targets, log_totals[r], target_totals[r], g[r], to, cols);
    if (t.classes == nullptr) return;
    // total p - t = total (p - 1) + (total - t), also where p rounds to 1
    const std::int32_t at = t.classes[r];
    const double total = static_cast<double>(target_totals[r]);
    const double below = below_certainty(row[at], shift, static_cast<double>(log_totals[r]));
    const double others = total - static_cast<double>(targets[at]) - static_cast<double>(t.shares[r]);
    to[at] = static_cast<T>(static_cast<double>(g[r]) * (total * below + others));
  });
}

template <class T>
struct InstantiateSoftmax {
  [[maybe_unused]] static constexpr auto all = std::tuple(
      &softmax<T>, &softmax_backward<T>, &log_sum_exp<T>, &cross_entropy<T>, &cross_entropy_in_place<T>,
      &cross_entropy_backward<T>, &soft_cross_entropy<T>, &soft_cross_entropy_backward<T>);
};
template struct InstantiateSoftmax<float>;
template struct InstantiateSoftmax<double>;

}  // namespace gradus::kernels
