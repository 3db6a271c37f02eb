#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/xtensor.hpp"

/// Ops of tensors beside the same in xtensor, over random shapes.
namespace gradus::test {

using X = xt::xarray<double>;
using Sizes = std::vector<std::size_t>;

inline X array_of(const Tensor& x) {
  return as_xtensor<double>(x);
}
inline Tensor tensor_of(const X& x) {
  return from_xtensor(x);
}
inline std::size_t u(std::int64_t i) {
  return static_cast<std::size_t>(i);
}
inline Tensor as_numbers(const Indices& ids) {
  std::vector<double> values(ids.values().begin(), ids.values().end());
  return Tensor::from(values, ids.shape());
}

/// Equal but for rounding, NaN where it is NaN and infinite where it is infinite.
inline void check_equal(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  std::int64_t off = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double x = a.at(i), y = b.at(i);
    const bool same =
        x == y || (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= 1e-12 * std::max(1.0, std::abs(y));
    off += same ? 0 : 1;
  }
  INFO(a.text() << "\nxtensor: " << b.text());
  CHECK(off == 0);
}

/// Of rank 0 to 4, with lengths of 0 and 1 among them.
inline Shape draw_shape(Rng& rng, int rank) {
  Shape out;
  for (int i = 0; i < rank; ++i) {
    const std::uint64_t kind = rng.below(12);
    out = out.inserted(i, kind == 0 ? 0 : kind < 3 ? 1 : static_cast<std::int64_t>(2 + rng.below(3)));
  }
  return out;
}

/// Every shape of the other operand that broadcasts with this one is one with some lengths 1 and some
/// missing.
inline Shape draw_other(Rng& rng, const Shape& shape) {
  Shape out = shape;
  for (int i = 0; i < out.rank(); ++i)
    if (rng.below(3) == 0) out = out.with(i, 1);
  while (out.rank() > 0 && rng.below(4) == 0) out = out.erased(0);
  return out;
}

/// An op beside its reference, on one random shape.
struct ReferenceRow {
  std::string name;
  std::function<void(Rng&, const Shape&)> check;
};
using ReferenceRows = std::vector<ReferenceRow>;

/// The ops that take a tensor alone.
template <class F, class G>
void add_plain(ReferenceRows& rows, const char* name, int least_rank, F op, G reference) {
  rows.push_back({name, [=](Rng& rng, const Shape& shape) {
                    if (shape.rank() < least_rank) return;
                    const Tensor x = rng.normal(shape, 0, 1, Dtype::f64);
                    check_equal(op(x), tensor_of(reference(array_of(x))));
                  }});
}
/// Those that take an axis too, counted from either end.
template <class F, class G>
void add_along(ReferenceRows& rows, const char* name, F op, G reference) {
  rows.push_back({name, [=](Rng& rng, const Shape& shape) {
                    const Tensor x = rng.normal(shape, 0, 1, Dtype::f64);
                    for (int axis = -shape.rank(); axis < shape.rank(); ++axis)
                      check_equal(op(x, axis),
                                  tensor_of(reference(array_of(x), u(shape.normalize_axis(axis)))));
                  }});
}
/// Reductions: over no axis, every one, and a random set. Those that have no value for no elements say so.
template <class F, class G>
void add_reduction(ReferenceRows& rows, const char* name, bool of_nothing, F op, G reference) {
  rows.push_back({name, [=](Rng& rng, const Shape& shape) {
                    Tensor x = rng.normal(shape, 0, 1, Dtype::f64);
                    x = where(less(x, -0.7), 0, x);  // for any and all
                    std::vector<int> all, some;
                    for (int axis = 0; axis < shape.rank(); ++axis) {
                      all.push_back(axis);
                      if (rng.below(2) == 0) some.push_back(axis);
                    }
                    for (const std::vector<int>& axes : {all, some}) {
                      std::int64_t count = 1;
                      for (const int axis : axes) count *= shape[axis];
                      if (count == 0 && !of_nothing) continue;
                      Sizes kept(shape.data(), shape.data() + shape.rank()), sizes(axes.begin(), axes.end());
                      for (const std::size_t axis : sizes) kept[axis] = 1;
                      const Tensor wanted = tensor_of(reference(array_of(x), sizes));
                      check_equal(op(x, Axes(axes), false), wanted);
                      std::vector<std::int64_t> dims(kept.begin(), kept.end());
                      check_equal(op(x, Axes(axes), true), wanted.reshape(Shape(dims)));
                    }
                  }});
}

ReferenceRows elementwise_reference();
ReferenceRows reduction_reference();
ReferenceRows movement_reference();
ReferenceRows sorting_reference();
ReferenceRows cumulative_reference();

}  // namespace gradus::test
