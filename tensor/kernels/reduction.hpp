#pragma once

#include <cstdint>

/// Reductions of contiguous arrays, split among threads. The order of the operations depends on the shape
/// alone, so the bits do not depend on the number of threads. Within a register elements are combined in
/// their type, beyond it in double.
namespace gradus::kernels {

/// NaN wins in max and min.
enum class Fold { sum, max, min };

/// y[o, i] = the fold over l of x[o, l, i], x being (outer, length, inner). Without elements it is 0 (sum),
/// -inf (max) or inf (min).
template <class T>
void fold_columns(Fold op, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner, T* y);

/// y[o, i] = the first position l of the largest (or smallest) x[o, l, i]; a NaN wins. length > 0.
template <class T>
void find_extreme(bool largest, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner,
                  std::int32_t* y);

/// The sum of squares in double.
template <class T>
double sum_squares(const T* x, std::int64_t n);
/// True when no element is NaN or infinite.
template <class T>
bool all_finite(const T* x, std::int64_t n);
/// An upper bound, by some tenths of n, of the sum of |log2|x||, where 0 and what is not finite count as the
/// ends of T's range: a product of any of the elements is from 2^-sum to 2^sum. On the caller's thread. n > 0
template <class T>
double sum_exponents(const T* x, std::int64_t n);
/// Their product in double, on the caller's thread. n > 0
template <class T>
double total_product(const T* x, std::int64_t n);

/// What each instruction set provides of them, on the caller's thread, for blocks of elements.
template <class T>
struct ReductionKernels {
  /// n > 0
  virtual double fold(Fold op, const T* x, std::int64_t n) const = 0;
  /// y[c] = the fold over r of x[r * stride + c], row after row; rows > 0
  virtual void fold_rows(Fold op, const T* x, std::int64_t stride, std::int64_t rows, std::int64_t cols,
                         T* y) const = 0;
  virtual double sum_squares(const T* x, std::int64_t n) const = 0;
  virtual bool all_finite(const T* x, std::int64_t n) const = 0;
  virtual double sum_exponents(const T* x, std::int64_t n) const = 0;
  virtual double total_product(const T* x, std::int64_t n) const = 0;
};

}  // namespace gradus::kernels
