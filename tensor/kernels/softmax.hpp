#pragma once

#include <cstdint>

/// Softmax along an axis of x (outer, length, inner), length > 0. The bits do not depend on the number of
/// threads.
namespace gradus::kernels {

enum class Softmax { probability, log_probability };

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

}  // namespace gradus::kernels
