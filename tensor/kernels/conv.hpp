#pragma once

#include <cstdint>

/// What convolutions are made of. They read x from planes, copies with zeros around
/// (tensor/ops/conv_layout.hpp).
namespace gradus::kernels {

/// Rows of x as a plane holds them: entry t of a row, 0 <= t < count, is x[(t - first) * stride] for t in
/// first..last-1, and 0 for the others.
template <class T>
struct PlaneRows {
  const T* x;
  std::int64_t x_row, stride;
  std::int64_t rows, first, last, count;
  T* to;
  std::int64_t to_row;  // at least count
};

/// C (m, n) = A B + the bias of each row, or C += A B. A (m, k) is packed in tiles of `height` rows, the last
/// one lower: each is (k, rows). Row p of B begins at b + offsets[p]; up to 32 elements are read past its n.
template <class T>
struct OffsetProduct {
  std::int64_t m, n, k;
  const T* a;
  std::int64_t height;
  const T* b;
  const std::int64_t* offsets;
  T* c;
  std::int64_t ldc;
  const T* bias = nullptr;  // (m), or null for zeros
  bool add = false;         // to C, which has the bias already
};

/// A convolution with one channel: a sum of shifted images.
template <class T>
struct TapSum {
  std::int64_t taps, rows, cols;
  const T* x;
  std::int64_t x_row;
  const std::int64_t* offsets;
  const T* weights;  // (taps)
  T* y;
  std::int64_t y_row;
  T bias = 0;
  bool add = false;  // to y, which has the bias already
};

/// What each instruction set provides of them, on the caller's thread. The order of a sum depends on the
/// number of its terms alone.
template <class T>
struct ConvKernels {
  /// May write up to 16 elements past the end of the last row.
  virtual void lay_rows(const PlaneRows<T>& rows) const = 0;
  /// y[t * stride] = x[t] + offset
  virtual void spread(const T* x, std::int64_t n, T offset, T* y, std::int64_t stride) const = 0;
  virtual void multiply_offsets(const OffsetProduct<T>& product) const = 0;
  /// y[i, j] = bias + the sum over p of weights[p] x[offsets[p] + i * x_row + j]; reads up to 32 elements
  /// past a row of x.
  virtual void sum_taps(const TapSum<T>& sum) const = 0;
  /// The adjoint with respect to the weights: out[p] += the sum over i, j of y[i, j] x[offsets[p] + i * x_row
  /// + j], the rows of y being y_row apart. Of `sum` weights, y and bias are not used.
  virtual void dot_taps(const TapSum<T>& sum, const T* y, T* out) const = 0;
};

}  // namespace gradus::kernels
