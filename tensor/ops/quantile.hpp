#pragma once

#include <initializer_list>

#include "tensor/axes.hpp"
#include "tensor/indices.hpp"
#include "tensor/support/list.hpp"
#include "tensor/tensor.hpp"

/// Quantiles over all axes, one, or several, as reductions take them (tensor/ops/reduction.hpp).
namespace gradus {

/// What stands for a quantile that lies between two of the sorted elements: the point on the line between
/// them, the lower or the higher one, the nearer one (of two equally near that of even rank), or the middle.
enum class Interpolation { linear, lower, higher, nearest, midpoint };

struct QuantileOptions {
  Interpolation interpolation = Interpolation::linear;
  bool keepdims = false;
  /// Leave NaN out, as torch.nanquantile does; the quantile of nothing but NaN is NaN.
  bool ignore_nan = false;
};
/// The q-quantile: of n sorted elements the one of rank q (n - 1), counted from 0, as numpy.quantile and
/// torch.quantile define it (Hyndman and Fan, "Sample quantiles in statistical packages", 1996, type 7). NaN
/// where any element is NaN. Throws ArgumentError unless 0 <= q <= 1, and ShapeError for no elements.
Tensor quantile(const Tensor& x, double q, const Axes& axes = {}, QuantileOptions options = {});
/// Several at once, along a new first axis: (qs, ...).
Tensor quantile(const Tensor& x, List<double> qs, const Axes& axes = {}, QuantileOptions options = {});
inline Tensor quantile(const Tensor& x, std::initializer_list<double> qs, const Axes& axes = {},
                       QuantileOptions options = {}) {
  return quantile(x, List<double>(qs), axes, options);  // {0.5} is a list, not a number
}

struct MedianOptions {
  bool keepdims = false;
  bool ignore_nan = false;  // as in QuantileOptions
};
/// The middle one of the sorted elements; of an even number the lower of the two middle ones, as
/// torch.median. (NumPy's median, the mean of the two, is `quantile(x, 0.5)`.) NaN where any element is NaN.
/// Throws ShapeError for no elements.
Tensor median(const Tensor& x, const Axes& axes = {}, MedianOptions options = {});

namespace detail {
/// Which elements of each row of x (rows, n) quantiles are made of, and how. Of equal elements those that
/// come first have the lower ranks.
struct QuantilePlan {
  Indices ids;     // (rows, 2 qs): the one below each quantile, and the one above
  Tensor weights;  // (rows, 2 qs): their shares, which add up to 1
  Tensor values;   // (rows, qs)
};
QuantilePlan plan_quantiles(const Tensor& rows, List<double> qs, QuantileOptions options);
/// x as such rows: the axes that are reduced behind the others. `op` names it in errors.
struct QuantileRows {
  std::vector<int> order;  // of the axes
  Shape rows;              // (rows, n)
  Shape result;            // without the axis of the quantiles
  QuantileRows(const char* op, const Shape& shape, const Axes& axes, bool keepdims);
};
}  // namespace detail

}  // namespace gradus
