#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/quantile.hpp"

/// Quantiles, as documented in tensor/ops/quantile.hpp. The gradient goes to the elements that the quantile
/// is made of, in the shares that they have in it; where it is NaN, to the first NaN. Of equal elements those
/// that come first have the lower ranks.
namespace gradus {

Variable quantile(const Variable& x, double q, const Axes& axes = {}, QuantileOptions options = {},
                  Where where = Where::here());
Variable quantile(const Variable& x, List<double> qs, const Axes& axes = {}, QuantileOptions options = {},
                  Where where = Where::here());
inline Variable quantile(const Variable& x, std::initializer_list<double> qs, const Axes& axes = {},
                         QuantileOptions options = {}, Where where = Where::here()) {
  return quantile(x, List<double>(qs), axes, options, where);
}
Variable median(const Variable& x, const Axes& axes = {}, MedianOptions options = {},
                Where where = Where::here());

}  // namespace gradus
