#include "tensor/ops/creation.hpp"

#include <algorithm>
#include <cmath>

#include "tensor/ops/indexing.hpp"

namespace gradus {

namespace {

/// A vector whose element i is value(i), computed in double.
template <class F>
Tensor tabulated(std::int64_t count, Dtype dtype, F value) {
  Tensor out = Tensor::uninitialized({count}, dtype);
  const auto tabulate = [&]<class T>(T* to) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(value(static_cast<double>(i)));
  };
  visit_elements(tabulate, out);
  return out;
}

}  // namespace

Tensor eye(std::int64_t rows, Dtype dtype) {
  return eye(rows, rows, dtype);
}

Tensor eye(std::int64_t rows, std::int64_t cols, Dtype dtype) {
  Tensor out = zeros({rows, cols}, dtype);
  const auto set_ones = [&](auto* to) {
    for (std::int64_t i = 0; i < std::min(rows, cols); ++i) to[i * (cols + 1)] = 1;
  };
  visit_elements(set_ones, out);
  return out;
}

Tensor arange(double begin, double end, double step, Dtype dtype) {
  const double steps = std::ceil((end - begin) / step);
  if (step == 0 || !std::isfinite(step) || !std::isfinite(steps)) {
    fail<ArgumentError>("arange from {} to {} by {}: the numbers must be finite and the step not 0", begin,
                        end, step);
  }
  if (steps > 0x7FFFFFFF)
    fail<ArgumentError>("arange from {} to {} by {}: {} numbers", begin, end, step, steps);
  return tabulated(static_cast<std::int64_t>(std::max(0.0, steps)), dtype,
                   [=](double i) { return begin + i * step; });
}

Tensor linspace(double begin, double end, std::int64_t count, Dtype dtype) {
  if (count < 0) fail<ArgumentError>("linspace: a count of {}; it must be 0 or more", count);
  const auto last = static_cast<double>(count - 1);
  // From the nearer end, so that both ends are exact and the numbers are symmetric.
  return tabulated(count, dtype, [=](double i) {
    if (count == 1) return begin;
    const double share = i < last - i ? i / last : (last - i) / last;
    const double from = i < last - i ? begin : end, to = i < last - i ? end : begin;
    // A distance that overflows is taken in two parts.
    return std::isfinite(to - from) ? from + (to - from) * share : from * (1 - share) + to * share;
  });
}

Tensor one_hot(const Indices& ids, std::int64_t classes, Dtype dtype) {
  check_length("one_hot", "a number of classes", classes);
  check_ids("one_hot", ids, classes);
  Tensor out = zeros(ids.shape().inserted(ids.rank(), classes), dtype);
  const auto set_ones = [&](auto* to) {
    for (const std::int32_t id : ids.values()) {
      to[id] = 1;
      to += classes;
    }
  };
  visit_elements(set_ones, out);
  return out;
}

}  // namespace gradus
