#include "tensor/ops/sorting.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "tensor/axes.hpp"
#include "tensor/ops/indexing.hpp"
#include "tensor/ops/sort_key.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using detail::sort_key;

/// The ids of the first k entries along the axis in this order.
Indices order(const Tensor& x, int axis, std::int64_t k, bool descending) {
  const Runs r = runs_at(x.shape(), axis);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(r.outer * k * r.inner));
  const auto sort_lanes = [&]<class T>(T) {
    using Key = decltype(sort_key(T{}));
    const T* const from = x.data<T>();
    const auto levels = static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(r.length)));
    const std::int64_t cost = r.length * levels;
    parallel::for_range(r.outer * r.inner, cost, [&](std::int64_t begin, std::int64_t end) {
      // Pairs with the id are never equal, so that the faster unstable sort gives the result of a stable one.
      std::vector<std::pair<Key, std::int32_t>> lane(static_cast<std::size_t>(r.length));
      for (std::int64_t l = begin; l < end; ++l) {
        const std::int64_t outer = l / r.inner, inner = l % r.inner;
        for (std::int64_t i = 0; i < r.length; ++i) {
          const Key key = sort_key(from[(outer * r.length + i) * r.inner + inner]);
          lane[static_cast<std::size_t>(i)] = {descending ? static_cast<Key>(~key) : key,
                                               static_cast<std::int32_t>(i)};
        }
        const auto last = lane.begin() + static_cast<std::ptrdiff_t>(k);
        if (k < r.length) std::nth_element(lane.begin(), last, lane.end());
        std::sort(lane.begin(), last);
        for (std::int64_t i = 0; i < k; ++i)
          ids[static_cast<std::size_t>((outer * k + i) * r.inner + inner)] =
              lane[static_cast<std::size_t>(i)].second;
      }
    });
  };
  if (k > 0) visit_dtype(x.dtype(), sort_lanes);
  return Indices(std::move(ids), x.shape().with(axis, k));
}

}  // namespace

Indices argsort(const Tensor& x, SortOptions options) {
  if (x.rank() == 0) return Indices(std::vector<std::int32_t>{0}, {});
  const int axis = named_axis("sort", x.shape(), options.axis);
  return order(x, axis, x.dim(axis), options.descending);
}

Sorted<Tensor> sort(const Tensor& x, SortOptions options) {
  Indices ids = argsort(x, options);
  return {x.rank() == 0 ? x : take_along(x, options.axis, ids), std::move(ids)};
}

Indices argtopk(const Tensor& x, std::int64_t k, TopkOptions options) {
  if (x.rank() == 0) fail<ShapeError>("topk: a scalar has no axis");
  const int axis = named_axis("topk", x.shape(), options.axis);
  if (k < 0 || k > x.dim(axis)) {
    fail<ShapeError>("topk: {} of axis {} of shape {}: it has {} entries", k, options.axis, x.shape(),
                     x.dim(axis));
  }
  return order(x, axis, k, options.largest);
}

Sorted<Tensor> topk(const Tensor& x, std::int64_t k, TopkOptions options) {
  Indices ids = argtopk(x, k, options);
  return {take_along(x, options.axis, ids), std::move(ids)};
}

}  // namespace gradus
