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

}  // namespace gradus::kernels
