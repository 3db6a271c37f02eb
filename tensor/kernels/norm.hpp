#pragma once

#include <cstdint>

/// What normalisations over runs of elements are made of (tensor/ops/norm.cpp).
namespace gradus::kernels {

/// A sum of numbers and one of products.
struct Moments {
  double sum = 0, product = 0;

  Moments& operator+=(const Moments& more) {
    sum += more.sum;
    product += more.product;
    return *this;
  }
};

/// What each instruction set provides of them, on the caller's thread. Sums are taken in T over some thousand
/// elements, and beyond that in double.
template <class T>
struct NormKernels {
  /// The sum of x - shift.
  virtual double shifted_sum(const T* x, std::int64_t n, T shift) const = 0;
  /// The sums of x - shift and of its square.
  virtual Moments moments(const T* x, std::int64_t n, T shift) const = 0;
  /// The sums of g and of g (x - shift); where weight is given, g weight stands for g.
  virtual Moments gradient_moments(const T* g, const T* x, std::int64_t n, T shift,
                                   const T* weight) const = 0;
  /// y = (x - shift) * scale + offset
  virtual void normalize(const T* x, std::int64_t n, T shift, T scale, T offset, T* y) const = 0;
  /// y = (x - shift) * scale * weight + bias, where bias may be null
  virtual void normalize_weighted(const T* x, std::int64_t n, T shift, T scale, const T* weight,
                                  const T* bias, T* y) const = 0;
  /// dx = a g + b (x - shift) + c; where weight is given, g weight stands for g.
  virtual void combine(const T* g, const T* x, std::int64_t n, T shift, const T* weight, T a, T b, T c,
                       T* dx) const = 0;
  /// dw += g (x - shift) * scale and, unless null, db += g.
  virtual void add_weight_gradients(const T* g, const T* x, std::int64_t n, T shift, T scale, T* dw,
                                    T* db) const = 0;
};

}  // namespace gradus::kernels
