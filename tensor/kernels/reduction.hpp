#pragma once

#include <cstdint>

/// Reductions over raw memory, by trees that the shape alone fixes: the same bits for any number of threads.
/// What is combined beyond one register's lanes is combined in double.
namespace gradus::kernels {

/// NaN wins in max and min.
enum class Fold { sum, prod, max, min };

/// The fold of n elements; of none 0, 1, -inf, inf.
template <class T>
double fold(Fold op, const T* x, std::int64_t n);
/// y[r] = the fold over c of x[r, c], x being (rows, cols)
template <class T>
void fold_rows(Fold op, const T* x, std::int64_t rows, std::int64_t cols, T* y);
/// y[o, i] = the fold over l of x[o, l, i], x being (outer, length, inner)
template <class T>
void fold_columns(Fold op, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner, T* y);

/// The first place of the largest (or smallest) over l of x[o, l, i], as y[o, i]; NaN counts as beyond all.
/// length > 0.
template <class T>
void find_extreme(bool largest, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner,
                  std::int32_t* y);

/// The sum of squares in double.
template <class T>
double sum_squares(const T* x, std::int64_t n);
/// True when no element is NaN or infinite.
template <class T>
bool all_finite(const T* x, std::int64_t n);

}  // namespace gradus::kernels
