#include "tensor/ops/quantile.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "tensor/ops.hpp"
#include "tensor/ops/sort_key.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

/// The share of the element above, for a quantile that lies this far from the one below.
double share_above(double distance, double below, Interpolation how) {
  switch (how) {
    case Interpolation::linear:
      return distance;
    case Interpolation::lower:
      return 0;
    case Interpolation::higher:
      return distance > 0 ? 1 : 0;
    case Interpolation::nearest:
      return std::nearbyint(below + distance) - below;
    case Interpolation::midpoint:
      return distance > 0 ? 0.5 : 0;
  }
  return distance;
}

/// On the line between both. Of one infinity it is that, as a point at any share of the way is.
double between(double low, double high, double share) {
  return share == 0 || low == high ? low : std::lerp(low, high, share);
}

/// A row whose elements can be asked for by rank.
template <class T>
class Ranked {
 public:
  using Key = decltype(detail::sort_key(T{}));

  Ranked(const T* row, std::int64_t n) {
    lane_.reserve(static_cast<std::size_t>(n));
    // Pairs with the place are never equal, so that the ranks of equal elements are those of a stable sort.
    for (std::int64_t i = 0; i < n; ++i)
      lane_.emplace_back(detail::sort_key(row[i]), static_cast<std::int32_t>(i));
  }
  /// The place of the element of this rank. What was asked for before must not have had a higher one.
  std::int32_t at(std::int64_t rank) {
    const auto wanted = lane_.begin() + static_cast<std::ptrdiff_t>(rank);
    if (rank >= placed_) {
      std::nth_element(lane_.begin() + static_cast<std::ptrdiff_t>(placed_), wanted, lane_.end());
      placed_ = rank + 1;
    }
    return wanted->second;
  }

 private:
  std::vector<std::pair<Key, std::int32_t>> lane_;
  std::int64_t placed_ = 0;  // elements of lower ranks stand before, those of higher ones behind
};

/// The numbers of the quantiles in ascending order.
std::vector<std::size_t> ascending(List<double> qs) {
  std::vector<std::size_t> order(qs.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::size_t i) { return qs[i]; });
  return order;
}

Tensor quantiles(const char* op, const Tensor& x, List<double> qs, const Axes& axes,
                 QuantileOptions options) {
  const detail::QuantileRows shapes(op, x.shape(), axes, options.keepdims);
  const Tensor rows = permute(x, shapes.order).reshape(shapes.rows);
  const Tensor values = detail::plan_quantiles(rows, qs, options).values;
  return transpose(values).reshape(shapes.result.inserted(0, static_cast<std::int64_t>(qs.size())));
}

}  // namespace

detail::QuantileRows::QuantileRows(const char* op, const Shape& shape, const Axes& axes, bool keepdims) {
  const AxisSet reduced = axes.of(op, shape);
  result = reduced.result(shape, keepdims);
  const std::int64_t n = reduced.count(shape);
  if (n == 0 && result.size() > 0) fail<ShapeError>("{}: of no elements, in a shape of {}", op, shape);
  for (const bool last : {false, true})
    for (int axis = 0; axis < shape.rank(); ++axis)
      if (reduced.contains(axis) == last) order.push_back(axis);
  rows = Shape{result.size(), n};
}

detail::QuantilePlan detail::plan_quantiles(const Tensor& rows, List<double> qs, QuantileOptions options) {
  for (const double q : qs) {
    if (!(q >= 0 && q <= 1)) fail<ArgumentError>("quantile: q = {}; it must be 0 to 1", q);
  }
  const std::int64_t count = rows.dim(0), n = rows.dim(1), wanted = static_cast<std::int64_t>(qs.size());
  std::vector<std::int32_t> ids(static_cast<std::size_t>(2 * count * wanted));
  QuantilePlan out{{},
                   Tensor::uninitialized({count, 2 * wanted}, rows.dtype()),
                   Tensor::uninitialized({count, wanted}, rows.dtype())};
  const std::vector<std::size_t> order = ascending(qs);
  const auto plan = [&]<class T>(T* values, const T* from) {
    T* const weights = out.weights.mutable_data<T>();
    const auto levels = static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(n)));
    parallel::for_each(count, n * (4 + levels), [&](std::int64_t row) {
      const T* const x = from + row * n;
      Ranked<T> ranked(x, n);
      // NaN has the highest ranks.
      const auto numbers = std::count_if(x, x + n, [](T v) { return !std::isnan(v); });
      const bool is_nan = options.ignore_nan ? numbers == 0 : numbers < n;
      for (const std::size_t i : order) {
        const double rank = is_nan ? 0 : qs[i] * static_cast<double>(numbers - 1), below = std::floor(rank);
        const double share = share_above(rank - below, below, options.interpolation);
        const auto low_rank = is_nan ? numbers : static_cast<std::int64_t>(below);
        const std::int32_t low = ranked.at(low_rank);
        const std::int32_t high = share > 0 ? ranked.at(low_rank + 1) : low;
        const std::int64_t at = row * wanted + static_cast<std::int64_t>(i);
        ids[static_cast<std::size_t>(2 * at)] = low;
        ids[static_cast<std::size_t>(2 * at + 1)] = high;
        weights[2 * at] = static_cast<T>(1 - share);
        weights[2 * at + 1] = static_cast<T>(share);
        values[at] =
            static_cast<T>(between(static_cast<double>(x[low]), static_cast<double>(x[high]), share));
      }
    });
  };
  if (count > 0 && wanted > 0) visit_elements(plan, out.values, rows);
  out.ids = Indices(std::move(ids), Shape{count, 2 * wanted});
  return out;
}

Tensor quantile(const Tensor& x, double q, const Axes& axes, QuantileOptions options) {
  return quantiles("quantile", x, {q}, axes, options)[0];
}
Tensor quantile(const Tensor& x, List<double> qs, const Axes& axes, QuantileOptions options) {
  return quantiles("quantile", x, qs, axes, options);
}
Tensor median(const Tensor& x, const Axes& axes, MedianOptions options) {
  return quantiles("median", x, {0.5}, axes, {Interpolation::lower, options.keepdims, options.ignore_nan})[0];
}

}  // namespace gradus
