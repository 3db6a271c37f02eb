#pragma once

#include <cstdint>

/// The steps of optimizers, on the caller's thread. T is float or double.
namespace gradus::kernels {

/// One step of stochastic gradient descent over a parameter p with the gradient scale * g and the velocity v,
/// null without momentum, on one thread:
///   g' = scale * g + weight_decay * p;  v = momentum * v + g'
///   p = p - lr * v,   or with Nesterov's momentum   p = p - lr * (g' + momentum * v)
struct SgdStep {
  double lr, momentum, weight_decay;
  bool nesterov;
};
template <class T>
void sgd(const SgdStep& step, T scale, const T* g, T* p, T* v, std::int64_t n);

/// One step of Adam (Kingma and Ba 2015, algorithm 1) over a parameter p with the gradient scale * g and the
/// moments m, v, on one thread. decay: AdamW's decoupled weight decay times lr (Loshchilov and Hutter 2019);
/// coupled: added to the gradient first.
struct AdamStep {
  double lr, beta1, beta2, eps, decay, coupled_decay, correction1, correction2;  // corrections: 1 - beta^t
};
template <class T>
void adam(const AdamStep& step, T scale, const T* g, T* p, T* m, T* v, std::int64_t n);

}  // namespace gradus::kernels
