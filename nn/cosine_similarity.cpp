#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "autograd/op.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/transforms.hpp"
#include "nn/loss_checks.hpp"
#include "nn/losses.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::nn {

namespace {

/// In differentiable ops.
Variable by_ops(const Variable& x, const Variable& y, int axis, double eps) {
  // Each by its own norm, as the product of the two may be beyond the dtype.
  const auto unit = [&](const Variable& v) {
    return v / maximum(norm(v, axis, {.keepdims = true}), std::sqrt(eps));
  };
  return sum(unit(x) * unit(y), axis);
}

/// What the gradients of a pair of rows are made of: dx = g (across y - along_x x), and dy likewise.
struct Slopes {
  double across, along_x, along_y;
};

/// 1 / |x|^2 as far as the norm's slope counts, with the halved slope of a maximum of two equal numbers.
double slope_of_norm(double squares, double least) {
  const double size = std::sqrt(squares);
  return size < least ? 0 : (size == least ? 0.5 : 1) / squares;
}

/// Over the last axis, as one node; nothing if a sum of squares leaves the dtype's range.
template <class T>
bool similarities(const Tensor& x, const Tensor& y, double eps, Tensor& values,
                  storage::PoolVector<Slopes>& slopes) {
  const std::int64_t width = x.dim(-1), rows = x.size() / width;
  const auto& kernel = kernels::selected<T>();
  const double least = std::sqrt(eps), most = std::numeric_limits<T>::max();
  const double smallest = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();
  const T *const xs = x.data<T>(), *const ys = y.data<T>();
  T* const to = values.mutable_data<T>();
  parallel::for_each(rows, 3 * width, [&](std::int64_t row) {
    const T *const a = xs + row * width, *const b = ys + row * width;
    const double aa = kernel.sum_squares(a, width), bb = kernel.sum_squares(b, width),
                 ab = kernel.gradient_moments(a, b, width, T{0}, nullptr).product;
    const auto in_range = [&](double squares, const T* of) {
      if (squares != 0) return squares >= smallest && squares <= most;
      return std::all_of(of, of + width, [](T v) { return v == 0; });
    };
    const bool fits = in_range(aa, a) && in_range(bb, b);
    const double across = 1 / (std::max(std::sqrt(aa), least) * std::max(std::sqrt(bb), least));
    const double similar = fits ? ab * across : std::numeric_limits<double>::quiet_NaN();
    to[row] = static_cast<T>(similar);
    slopes[static_cast<std::size_t>(row)] = {across, similar * slope_of_norm(aa, least),
                                             similar * slope_of_norm(bb, least)};
  });
  for (std::int64_t row = 0; row < rows; ++row)
    if (std::isnan(to[row])) return false;
  return true;
}

/// scale (across other - along self), row by row: the gradient of self.
template <class T>
Tensor gradient_of(const Tensor& self, const Tensor& other, const Tensor& g,
                   const storage::PoolVector<Slopes>& slopes, double Slopes::*along) {
  Tensor out = Tensor::uninitialized_like(self);
  const std::int64_t width = self.dim(-1);
  const T *const s = self.data<T>(), *const o = other.data<T>(), *const up = g.data<T>();
  T* const to = out.mutable_data<T>();
  const auto& kernel = kernels::selected<T>();
  parallel::for_each(g.size(), 3 * width, [&](std::int64_t row) {
    const Slopes& at = slopes[static_cast<std::size_t>(row)];
    const auto upstream = static_cast<double>(up[row]);
    kernel.combine(o + row * width, s + row * width, width, T{0}, nullptr,
                   static_cast<T>(upstream * at.across), static_cast<T>(-upstream * at.*along), T{0},
                   to + row * width);
  });
  return out;
}

}  // namespace

Variable cosine_similarity(const Variable& x, const Target& target, int axis, double eps, Where at) {
  const InOp op("cosine_similarity", at);
  const Variable& y = *target;
  detail::require_same_shape("cosine_similarity", x, y);
  if (!(eps > 0)) fail<ArgumentError>("cosine_similarity: eps is {}; it must be above 0", eps);
  if (x.size() == 0 || x.rank() == 0 || (axis != -1 && axis != x.rank() - 1)) return by_ops(x, y, axis, eps);
  Tensor values = Tensor::uninitialized(x.shape().erased(-1), x.dtype());
  storage::PoolVector<Slopes> slopes(static_cast<std::size_t>(values.size()));
  const bool fits = visit_dtype(x.dtype(), [&](auto tag) {
    return similarities<decltype(tag)>(x.value(), y.value(), eps, values, slopes);
  });
  if (!fits) return by_ops(x, y, axis, eps);
  const auto fused = [a = x.value(), b = y.value(), slopes = std::move(slopes)](
                         const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) {
    visit_dtype(a.dtype(), [&](auto tag) {
      using T = decltype(tag);
      if (wanted[0]) out[0] = gradient_of<T>(a, b, g, slopes, &Slopes::along_x);
      if (wanted[1]) out[1] = gradient_of<T>(b, a, g, slopes, &Slopes::along_y);
    });
  };
  const auto differentiable = [x, y, axis, eps](const Variable& g) {
    // Fresh nodes, so that the derivatives are partial even where x depends on y.
    const std::vector<Variable> fresh{identity(x), identity(y)};
    return grad(sum(by_ops(fresh[0], fresh[1], axis, eps) * g), fresh);
  };
  return record(op, std::move(values), jointly({x, y}, fused, differentiable));
}

}  // namespace gradus::nn
