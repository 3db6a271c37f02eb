#pragma once

#include <cstdint>

/// Softmax and cross-entropy, split among threads. The bits do not depend on the number of threads.
namespace gradus::kernels {

enum class Softmax { probability, log_probability };

/// Softmax and its relatives run along the middle axis of x (outer, length, inner), length > 0.
///
/// y = exp(x) / sum over length of exp(x), or its logarithm; y may be x.
template <class T>
void softmax(Softmax kind, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner, T* y);
/// dx = y (g - sum(g y)), or g - exp(y) sum(g)
template <class T>
void softmax_backward(Softmax kind, const T* g, const T* y, std::int64_t outer, std::int64_t length,
                      std::int64_t inner, T* dx);
/// y[o, i] = log(sum over l of exp(x[o, l, i]))
template <class T>
void log_sum_exp(const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner, T* y);

/// A row that holds NaN or +inf has NaN as its loss and throughout its gradient, as in log_softmax.
///
/// Per row: losses[r] = logsumexp(x[r]) - x[r, targets[r]] and log_totals[r] = logsumexp(x[r] - max(x[r])),
/// for the gradient, unless null. Targets are in range (checked by the caller), or negative: then the loss
/// and its gradient are 0.
template <class T>
void cross_entropy(const T* x, const std::int32_t* targets, std::int64_t rows, std::int64_t cols, T* losses,
                   T* log_totals);
/// The same losses, and their gradient in x's place:
/// x[r, c] = g * (exp(x[r, c] - logsumexp(x[r])) - [c = targets[r]])
template <class T>
void cross_entropy_in_place(T* x, const std::int32_t* targets, std::int64_t rows, std::int64_t cols, T g,
                            T* losses);
/// dx[r, c] = g[r] * (exp(x[r, c] - logsumexp(x[r])) - [c = targets[r]])
template <class T>
void cross_entropy_backward(const T* x, const std::int32_t* targets, const T* log_totals, const T* g,
                            std::int64_t rows, std::int64_t cols, T* dx);

/// Targets that are distributions over the classes.
template <class T>
struct SoftTargets {
  const T* values;      // (rows, cols), or (cols) for all rows alike
  std::int64_t stride;  // from a row's to the next one's: cols, or 0
  /// Of each row a class whose target is larger by the row's share, or null. Rows with a negative one have no
  /// loss and no gradient.
  const std::int32_t* classes = nullptr;
  const T* shares = nullptr;
};
/// losses[r] = -sum over c of t[r, c] * log_softmax(x[r])[c], in which a class of target 0 costs nothing;
/// log_totals as above and target_totals[r] = sum(t[r]), for the gradient.
template <class T>
void soft_cross_entropy(const T* x, const SoftTargets<T>& t, std::int64_t rows, std::int64_t cols, T* losses,
                        T* log_totals, T* target_totals);
/// dx[r, c] = g[r] * (sum(t[r]) * exp(x[r, c] - logsumexp(x[r])) - t[r, c])
template <class T>
void soft_cross_entropy_backward(const T* x, const SoftTargets<T>& t, const T* log_totals,
                                 const T* target_totals, const T* g, std::int64_t rows, std::int64_t cols,
                                 T* dx);

/// log(sum(exp(x))) = shift + log_total, kept apart so that neither is rounded to the other's size.
template <class T>
struct LogSum {
  T shift;  // the largest x, when it is finite
  double log_total;
};

/// The sum of a row's targets, and that of each times x - shift where it is not 0.
struct TargetSums {
  double total = 0, weighted = 0;
};

/// What each instruction set provides of them, on the caller's thread.
template <class T>
struct SoftmaxKernels {
  /// Of each row; y may be x itself. past_caches: x and y are so large that y may be written without being
  /// cached.
  virtual void softmax(Softmax kind, const T* x, T* y, std::int64_t rows, std::int64_t cols,
                       bool past_caches) const = 0;
  virtual void softmax_backward(Softmax kind, const T* g, const T* y, T* dx, std::int64_t cols) const = 0;
  virtual LogSum<T> log_sum_exp(const T* x, std::int64_t cols) const = 0;
  /// The same, and y = exp(x - shift), which may be x itself.
  virtual LogSum<T> exp_shifted(const T* x, T* y, std::int64_t cols) const = 0;
  /// x = factor * x
  virtual void scale(T factor, T* x, std::int64_t n) const = 0;
  /// y = factor * exp(x - shift - log_total); returns the shift.
  virtual T softmax_scaled(const T* x, T log_total, T factor, T* y, std::int64_t cols) const = 0;
  virtual TargetSums target_sums(const T* t, const T* x, T shift, std::int64_t cols) const = 0;
  /// y = factor * (total * exp(l) - t) for l = x - shift - log_total; returns the shift.
  virtual T soft_slope(const T* x, const T* t, T log_total, T total, T factor, T* y,
                       std::int64_t cols) const = 0;
  /// Down each of `cols` columns of `rows` elements, `stride` apart.
  virtual void softmax_columns(Softmax kind, const T* x, T* y, std::int64_t stride, std::int64_t rows,
                               std::int64_t cols) const = 0;
  virtual void softmax_backward_columns(Softmax kind, const T* g, const T* y, T* dx, std::int64_t stride,
                                        std::int64_t rows, std::int64_t cols) const = 0;
  virtual void log_sum_exp_columns(const T* x, T* y, std::int64_t stride, std::int64_t rows,
                                   std::int64_t cols) const = 0;
};

}  // namespace gradus::kernels
