#include "tensor/ops/reduction.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "tensor/axes.hpp"
#include "tensor/kernels/elementwise.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/kernels/reduction.hpp"
#include "tensor/kernels/softmax.hpp"
#include "tensor/kernels/strided.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using kernels::Fold;

/// Folds the axes to length 1 by kernel(from, outer, length, inner, to). Neighbouring axes are folded
/// together, the innermost first; axes of length 1 count as neighbours of either side.
template <class Kernel>
Tensor fold_axes(const Tensor& x, const AxisSet& axes, const Kernel& kernel) {
  Tensor out = x;
  for (int last = x.rank(); last > 0;) {
    const Shape shape = out.shape();
    int first = last;
    bool needed = false;
    while (first > 0 && (axes.contains(first - 1) || shape[first - 1] == 1)) needed |= shape[--first] != 1;
    if (needed) {
      Runs r;
      AxisSet folded;
      for (int i = 0; i < shape.rank(); ++i)
        (i < first ? r.outer : i < last ? r.length : r.inner) *= shape[i];
      for (int i = first; i < last; ++i) folded.add(i);
      const Tensor from = std::exchange(out, Tensor::uninitialized(folded.kept(shape), x.dtype()));
      visit_elements([&](auto* y, const auto* v) { kernel(v, r.outer, r.length, r.inner, y); }, out, from);
    }
    last = std::min(first, last - 1);
  }
  return out;
}
Tensor sum_axes(const Tensor& x, const AxisSet& axes) {
  return fold_axes(x, axes, [](auto... args) { kernels::fold_columns(Fold::sum, args...); });
}

/// The same for an op's arguments. of_nothing: the value of no elements, if there is one.
template <class Kernel>
Tensor fold(const char* name, const Tensor& x, const Axes& axes, bool keepdims,
            std::optional<double> of_nothing, const Kernel& kernel) {
  const Shape shape = x.shape();
  const AxisSet reduced = axes.of(name, shape);
  const Shape result = reduced.result(shape, keepdims);
  if (x.size() == 0 && result.size() > 0) {
    if (!of_nothing)
      fail<ShapeError>("{}: nothing to choose from in shape {}; reduce axes that are not empty", name, shape);
    return full(result, *of_nothing, x.dtype());
  }
  if (result.size() == 0) return Tensor::uninitialized(result, x.dtype());
  return fold_axes(x, reduced, kernel).reshape(result);
}
Tensor fold(const char* name, Fold op, const Tensor& x, const Axes& axes, bool keepdims) {
  const std::optional<double> of_nothing = op == Fold::sum ? std::optional(0.0) : std::nullopt;
  return fold(name, x, axes, keepdims, of_nothing,
              [op](auto... args) { kernels::fold_columns(op, args...); });
}

Indices find(const char* name, bool largest, const Tensor& x, std::optional<int> wanted, bool keepdims) {
  if (!wanted && x.size() == 0) fail<ShapeError>("{}: a tensor of shape {} has no elements", name, x.shape());
  const Shape shape = wanted ? x.shape() : Shape{x.size()};
  const int axis = named_axis(name, shape, wanted.value_or(0));
  const Shape result = Axes(axis).of(name, shape).result(shape, keepdims);
  if (shape[axis] == 0 && result.size() > 0)
    fail<ShapeError>("{}: axis {} of shape {} is empty", name, axis, shape);
  std::vector<std::int32_t> places(static_cast<std::size_t>(result.size()));
  const Runs r = runs_at(shape, axis);
  visit_dtype(x.dtype(), [&](auto tag) {
    kernels::find_extreme(largest, x.data<decltype(tag)>(), r.outer, r.length, r.inner, places.data());
  });
  return Indices(std::move(places), result);
}

/// Whether every element is in a range; not if one is NaN.
bool all_within(const Tensor& x, double least, double most) {
  return visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T low = static_cast<T>(least), high = static_cast<T>(most);
    const std::span<const T> values(x.data<T>(), static_cast<std::size_t>(x.size()));
    return std::ranges::all_of(values, [=](T v) { return v >= low && v <= high; });
  });
}
/// The power of two at or below the largest |x| along the axes, or for p < 0 the smallest, which counts most
/// there; 1 where that is 0 or not finite. The axes keep length 1. Dividing by it changes no digit, and
/// afterwards no p-th power of a large element overflows.
Tensor magnitude(const Tensor& x, const Axes& axes, double p) {
  Tensor out = p > 0 ? max(abs(x), axes, true) : min(abs(x), axes, true);
  visit_elements(
      [&]<class T>(T* most) {
        for (std::int64_t i = 0; i < out.size(); ++i)
          most[i] = most[i] > 0 && std::isfinite(most[i]) ? std::ldexp(T{1}, std::ilogb(most[i])) : T{1};
      },
      out);
  return out;
}

/// (sum over the axes of |x|^p / divisor)^(1/p), for a finite p that is not 0, without overflow and underflow
/// on the way.
Tensor root_of_powers(const Tensor& x, const Axes& axes, bool keepdims, double p, double divisor = 1) {
  const Shape result = axes.of("norm", x.shape()).result(x.shape(), keepdims);
  const auto sum_of_powers = [&](const Tensor& of) {
    if (p == 2 && result.size() == 1 && x.size() > 0)
      return full(result, sum_squares(of) / divisor, x.dtype());
    return sum(p == 2 ? square(of) : pow(abs(of), p), axes, keepdims) / divisor;
  };
  const auto root = [p](const Tensor& y) { return p == 2 ? sqrt(y) : pow(y, 1 / p); };
  const Tensor direct = sum_of_powers(x);
  const auto [least, most] = visit_dtype(x.dtype(), [](auto tag) {
    using Limits = std::numeric_limits<decltype(tag)>;
    return std::pair<double, double>(Limits::min() / Limits::epsilon(), Limits::max());
  });
  if (x.size() == 0 || all_within(direct, least, most)) return root(direct);
  const Tensor scale = magnitude(x, axes, p);
  const Tensor scaled = root(sum_of_powers(x / scale)) * scale.reshape(result);
  return where(greater_equal(direct, least) * less_equal(direct, most), root(direct), scaled);
}

/// x without its mean along the axes. It is taken away twice, as the first is rounded to x's size: of equal
/// numbers nothing is left.
Tensor centered(const Tensor& x, const Axes& axes) {
  Tensor rough = x - mean(x, axes, true);
  if (!all_finite(rough)) return rough;  // infinite: the mean of these would be NaN
  return rough - mean(rough, axes, true);
}
double degrees_of_freedom(const char* name, const Tensor& x, const Axes& axes, const VarOptions& options) {
  return std::max(0.0, static_cast<double>(axes.of(name, x.shape()).count(x.shape())) - options.correction);
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, Keepdims keepdims) {
  Tensor out = fold("sum", Fold::sum, x, axes, keepdims);
  if (out.size() == 1 ? std::isfinite(out.item()) : all_finite(out)) return out;
  if (!all_finite(x)) return out;
  // A part of the sum overflows; the whole may not.
  constexpr double shrunk = 0x1p-40;
  const Tensor smaller = fold("sum", Fold::sum, x * shrunk, axes, keepdims) / shrunk;
  return where(less(abs(out), std::numeric_limits<double>::infinity()), out, smaller);
}
Tensor mean(const Tensor& x, const Axes& axes, Keepdims keepdims) {
  const std::int64_t count = axes.of("mean", x.shape()).count(x.shape());
  const auto n = static_cast<double>(count);
  Tensor out = fold("mean", Fold::sum, x, axes, keepdims) / n;
  if (count == 0 || all_finite(out)) return out;
  // A sum that overflows may have a mean that does not.
  return where(less(abs(out), std::numeric_limits<double>::infinity()), out,
               fold("mean", Fold::sum, x / n, axes, keepdims));
}
Tensor max(const Tensor& x, const Axes& axes, Keepdims keepdims) {
  return fold("max", Fold::max, x, axes, keepdims);
}
Tensor min(const Tensor& x, const Axes& axes, Keepdims keepdims) {
  return fold("min", Fold::min, x, axes, keepdims);
}

namespace {

/// What detail::shared_out does for up to `most` columns of runs: x and out are (length, columns), `stride`
/// apart.
template <class T, std::int64_t most>
void share_columns(const T* g, const T* x, const T* y, std::int64_t length, std::int64_t columns,
                   std::int64_t stride, T* out) {
  const auto& kernel = kernels::selected<T>();
  std::array<T, most> share{};
  for (std::int64_t r = 0; r < length; ++r) {
    T* const equal = out + r * stride;
    kernel.binary(kernels::Binary::equal, x + r * stride, false, y, false, equal, columns);
    kernel.add_scaled(1, equal, share.data(), columns);
  }
  kernel.binary(kernels::Binary::div, g, false, share.data(), false, share.data(), columns);
  for (std::int64_t r = 0; r < length; ++r) {
    T* const equal = out + r * stride;
    kernel.binary(kernels::Binary::mul, equal, false, share.data(), false, equal, columns);
  }
}

}  // namespace

Tensor detail::shared_out(const Tensor& g, const Tensor& x, const Tensor& y, const Axes& axes) {
  const AxisSet reduced = axes.of("max", x.shape());
  Runs r;
  int parts = 0;  // runs of neighbouring axes that are reduced
  for (int i = 0; i < x.rank(); ++i) {
    if (reduced.contains(i) && (i == 0 || !reduced.contains(i - 1))) ++parts;
    (reduced.contains(i) ? r.length : parts == 0 ? r.outer : r.inner) *= x.dim(i);
  }
  if (parts > 1) {
    const Tensor extreme = equal(x, y);
    return extreme / sum(extreme, axes, true) * g;
  }
  Tensor out = Tensor::uninitialized_like(x);
  const auto share = [&]<class T>(T* to, const T* from) {
    constexpr std::int64_t columns =
        128;  // whose runs, of a thousand elements, are in the second-level cache
    const T *const upstream = g.data<T>(), *const most = y.data<T>();
    const auto& kernel = kernels::selected<T>();
    parallel::for_tiles(
        r.outer, r.inner, columns, r.length, [&](std::int64_t o, std::int64_t c, std::int64_t cols) {
          const std::int64_t at = o * r.length * r.inner + c, of = o * r.inner + c;
          if (r.inner > 1)
            return share_columns<T, columns>(upstream + of, from + at, most + of, r.length, cols, r.inner,
                                             to + at);
          kernel.binary(kernels::Binary::equal, from + at, false, most + of, true, to + at, r.length);
          const T part = upstream[of] / static_cast<T>(kernel.fold(Fold::sum, to + at, r.length));
          kernel.binary(kernels::Binary::mul, to + at, false, &part, true, to + at, r.length);
        });
  };
  visit_elements(share, out, x);
  return out;
}

Tensor var(const Tensor& x, const Axes& axes, VarOptions options) {
  const double left = degrees_of_freedom("var", x, axes, options);
  return sum(square(centered(x, axes)), axes, options.keepdims) / left;
}
Tensor stddev(const Tensor& x, const Axes& axes, VarOptions options) {
  const double left = degrees_of_freedom("stddev", x, axes, options);
  const Tensor deviations = centered(x, axes);
  if (all_finite(deviations) || !all_finite(x))
    return root_of_powers(deviations, axes, options.keepdims, 2, left);
  return 4 * root_of_powers(centered(x / 4, axes), axes, options.keepdims, 2,
                            left);  // too far apart for the dtype
}

Tensor norm(const Tensor& x, const Axes& axes, NormOptions options) {
  const bool keepdims = options.keepdims;
  const double p = options.p;
  const Shape result = axes.of("norm", x.shape()).result(x.shape(), keepdims);
  if (p == 2 && result.size() == 1 && x.dtype() == Dtype::f32)
    return full(result, std::sqrt(sum_squares(x)), x.dtype());  // summed in double: no square overflows
  if (p == 1) return sum(abs(x), axes, keepdims);
  if (p == 0) return sum(not_equal(x, 0), axes, keepdims);
  if (std::isinf(p)) return fold("norm", p > 0 ? Fold::max : Fold::min, abs(x), axes, keepdims);
  return root_of_powers(x, axes, keepdims, p);
}

Tensor any(const Tensor& x, const Axes& axes, Keepdims keepdims) {
  return less(0, fold("any", Fold::sum, not_equal(x, 0), axes, keepdims));
}
Tensor all(const Tensor& x, const Axes& axes, Keepdims keepdims) {
  return equal(fold("all", Fold::sum, equal(x, 0), axes, keepdims), 0);
}

Tensor logsumexp(const Tensor& x, const Axes& axes, Keepdims keepdims) {
  return fold("logsumexp", x, axes, keepdims, -std::numeric_limits<double>::infinity(),
              [](auto... args) { kernels::log_sum_exp(args...); });
}

Indices argmax(const Tensor& x, OptionalAxis axis, Keepdims keepdims) {
  return find("argmax", true, x, axis, keepdims);
}
Indices argmin(const Tensor& x, OptionalAxis axis, Keepdims keepdims) {
  return find("argmin", false, x, axis, keepdims);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  const Shape from = x.shape();
  if (from == shape) return x;
  if (broadcast_shapes("sum_to", from, shape) != from)
    fail<ShapeError>("sum_to: {} does not broadcast to {}", shape, from);
  AxisSet stretched;
  const int extra = from.rank() - shape.rank();
  for (int i = 0; i < from.rank(); ++i) {
    if (i < extra || shape[i - extra] != from[i]) stretched.add(i);
  }
  if (x.size() == 0) return zeros(shape, x.dtype());
  return sum_axes(x, stretched).reshape(shape);
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast_shapes("broadcast_to", x.shape(), shape) != shape) {
    fail<ShapeError>("broadcast_to: {} does not broadcast to {}", x.shape(), shape);
  }
  Tensor out = Tensor::uninitialized(shape, x.dtype());
  const auto spread = [&](auto* to, const auto* from) {
    if (x.size() == 1) return kernels::fill(*from, to, out.size());
    kernels::read_strided(from, kernels::broadcast_view(x.shape(), shape), to);
  };
  visit_elements(spread, out, x);
  return out;
}

}  // namespace gradus
