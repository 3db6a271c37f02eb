#include "tests/tensor/xtensor_reference.hpp"

#include "tensor/ops/logcumsumexp.hpp"
#include "tensor/ops/quantile.hpp"

// The rows for ops that move, sort and accumulate; the tests are in xtensor_reference_test.cpp.

namespace gradus::test {

namespace {

/// x[t, begin, :] and so on, with begin..end at an axis.
X part(const X& x, std::size_t axis, std::int64_t begin, std::int64_t end, std::int64_t step = 1) {
  xt::xstrided_slice_vector slices(x.dimension(), xt::all());
  slices[axis] = xt::range(begin, end, step);
  return xt::strided_view(x, slices);
}
Tensor drawn(Rng& rng, const Shape& shape) {
  return rng.normal(shape, 0, 1, Dtype::f64);
}

/// Moves that keep every element.
void add_rearrangements(ReferenceRows& rows) {
  using T = const Tensor&;
  add_plain(
      rows, "flatten", 0, [](T x) { return flatten(x); }, [](const X& x) -> X { return xt::flatten(x); });
  rows.push_back({"reshape", [](Rng& rng, const Shape& shape) {
                    const Tensor x = drawn(rng, shape);
                    const Shape to = rng.below(2) == 0 ? Shape{1, shape.size()} : Shape{shape.size()};
                    X wanted = array_of(x);
                    wanted.reshape(detail::dims_of(to));
                    check_equal(reshape(x, to), tensor_of(wanted));
                  }});
  add_plain(
      rows, "squeeze", 0, [](T x) { return squeeze(x); }, [](const X& x) -> X { return xt::squeeze(x); });
  add_along(
      rows, "unsqueeze", [](T x, int axis) { return unsqueeze(x, axis < 0 ? axis - 1 : axis); },
      [](const X& x, std::size_t axis) -> X { return xt::expand_dims(x, axis); });
  rows.push_back({"permute", [](Rng& rng, const Shape& shape) {
                    std::vector<int> axes;
                    for (int i = 0; i < shape.rank(); ++i)
                      axes.insert(axes.begin() + static_cast<std::ptrdiff_t>(rng.below(u(i) + 1)), i);
                    const Tensor x = drawn(rng, shape);
                    const X wanted = xt::transpose(array_of(x), Sizes(axes.begin(), axes.end()));
                    check_equal(permute(x, axes), tensor_of(wanted));
                  }});
  add_plain(
      rows, "transpose", 2, [](T x) { return transpose(x, 0, 1); },
      [](const X& x) -> X {
        return [&] {
          Sizes order(x.dimension());
          for (std::size_t i = 0; i < order.size(); ++i) order[i] = i < 2 ? 1 - i : i;
          return X(xt::transpose(x, order));
        }();
      });
  add_along(
      rows, "flip", [](T x, int axis) { return flip(x, {axis}); },
      [](const X& x, std::size_t axis) -> X { return xt::flip(x, axis); });
  add_along(
      rows, "roll", [](T x, int axis) { return roll(x, 2, axis); },
      [](const X& x, std::size_t axis) -> X {
        const auto n = static_cast<std::int64_t>(x.shape()[axis]);
        if (x.size() == 0) return x;  // and xt::roll (0.24) reads out of bounds along axes of length 1
        const X last = part(x, axis, n - 2 % n, n), rest = part(x, axis, 0, n - 2 % n);
        return xt::concatenate(xt::xtuple(last, rest), axis);
      });
}

/// Parts taken out, put together and added to.
void add_parts(ReferenceRows& rows) {
  using T = const Tensor&;
  const auto twice = [](const X& x, std::size_t axis) -> X {
    return xt::concatenate(xt::xtuple(x, x * 2.0), axis);
  };
  add_along(
      rows, "concat",
      [](T x, int axis) {
        return concat({x, x * 2}, axis);
      },
      twice);
  add_along(
      rows, "stack",
      [](T x, int axis) {
        return stack({x, x * 2}, axis < 0 ? axis - 1 : axis);
      },
      [](const X& x, std::size_t axis) -> X { return xt::stack(xt::xtuple(x, x * 2.0), axis); });
  for (const char* name : {"split", "chunk", "unstack"}) {
    rows.push_back({name, [which = std::string(name)](Rng& rng, const Shape& shape) {
                      const Tensor x = drawn(rng, shape);
                      for (int axis = 0; axis < shape.rank(); ++axis) {
                        const std::int64_t n = shape[axis];
                        std::vector<Tensor> parts = which == "split"   ? split(x, {n / 2, n - n / 2}, axis)
                                                    : which == "chunk" ? chunk(x, 2, axis)
                                                                       : unstack(x, axis);
                        std::int64_t begin = 0;
                        for (const Tensor& one : parts) {
                          const Tensor kept = which == "unstack" ? unsqueeze(one, axis) : one;
                          const std::int64_t end = begin + kept.dim(axis);
                          check_equal(kept, tensor_of(part(array_of(x), u(axis), begin, end)));
                          begin = end;
                        }
                        CHECK(begin == n);
                        if (which == "unstack") CHECK(parts.size() == u(n));
                        if (which == "split") CHECK((parts.size() == 2 && parts[0].dim(axis) == n / 2));
                        if (which == "chunk" && n > 1)
                          CHECK((parts.size() == 2 && parts[0].dim(axis) == (n + 1) / 2));
                      }
                    }});
  }
  add_along(
      rows, "slice",
      [](T x, int axis) { return slice(x, axis, {.begin = x.dim(axis) / 3, .end = x.dim(axis), .step = 2}); },
      [](const X& x, std::size_t axis) -> X {
        const auto n = static_cast<std::int64_t>(x.shape()[axis]);
        return part(x, axis, n / 3, n, 2);
      });
  add_along(
      rows, "select", [](T x, int axis) { return x.dim(axis) == 0 ? x : select(x, axis, -1); },
      [](const X& x, std::size_t axis) -> X {
        const auto n = static_cast<std::int64_t>(x.shape()[axis]);
        if (n == 0) return x;
        X last = part(x, axis, n - 1, n);
        Sizes dims(x.shape().begin(), x.shape().end());
        dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
        return last.reshape(dims);
      });
  add_along(
      rows, "add_to_slice",
      [](T x, int axis) {
        Tensor sum = x;
        const std::int64_t half = x.dim(axis) / 2;
        add_to_slice(sum, slice(x, axis, 0, half), axis, x.dim(axis) - half);
        return sum;
      },
      [](const X& x, std::size_t axis) -> X {
        const auto n = static_cast<std::int64_t>(x.shape()[axis]);
        if (x.size() == 0) return x;
        const X kept = part(x, axis, 0, n - n / 2),
                changed = part(x, axis, n - n / 2, n) + part(x, axis, 0, n / 2);
        return xt::concatenate(xt::xtuple(kept, changed), axis);
      });
  rows.push_back({"pad", [](Rng& rng, const Shape& shape) {
                    const Tensor x = drawn(rng, shape);
                    std::vector<Padding> widths;
                    X wanted = array_of(x);
                    for (int i = 0; i < shape.rank(); ++i) {
                      const auto draw = [&] { return static_cast<std::int64_t>(rng.below(3)); };
                      widths.push_back({draw(), draw()});
                      const auto margin = [&](std::int64_t width) -> X {
                        Sizes dims(wanted.shape().begin(), wanted.shape().end());
                        dims[u(i)] = u(width);
                        return X(xt::ones<double>(dims) * 7.0);
                      };
                      const X before = margin(widths.back().before), after = margin(widths.back().after);
                      wanted = X(xt::concatenate(xt::xtuple(before, wanted, after), u(i)));
                    }
                    check_equal(pad(x, widths, {.value = 7}), tensor_of(wanted));
                  }});
  rows.push_back({"repeat", [](Rng& rng, const Shape& shape) {
                    const Tensor x = drawn(rng, shape);
                    std::vector<std::int64_t> counts;
                    X wanted = array_of(x);
                    for (int i = 0; i < shape.rank(); ++i) {
                      counts.push_back(static_cast<std::int64_t>(1 + rng.below(2)));
                      if (counts.back() == 2) wanted = X(xt::concatenate(xt::xtuple(wanted, wanted), u(i)));
                    }
                    check_equal(repeat(x, counts), tensor_of(wanted));
                  }});
  add_along(
      rows, "repeat_interleave", [](T x, int axis) { return repeat_interleave(x, 3, axis); },
      [](const X& x, std::size_t axis) -> X {
        X wanted = xt::stack(xt::xtuple(x, x, x), axis + 1);
        Sizes dims(x.shape().begin(), x.shape().end());
        dims[axis] *= 3;
        return wanted.reshape(dims);
      });
  add_plain(
      rows, "diagonal", 2, [](T x) { return diagonal(x, {.offset = 1, .axis1 = 0, .axis2 = 1}); },
      [](const X& x) -> X {
        Sizes dims(x.shape().begin() + 2, x.shape().end());
        const std::size_t n = x.shape()[1] == 0 ? 0 : std::min(x.shape()[0], x.shape()[1] - 1);
        dims.push_back(n);
        if (n == 0 || x.size() == 0) return X::from_shape(dims);
        return xt::diagonal(x, 1, 0, 1);
      });
}

/// Those of matrices.
void add_triangles(ReferenceRows& rows) {
  const auto matrices = [&](const char* name, auto op, auto reference) {
    rows.push_back({name, [op, reference](Rng& rng, const Shape& shape) {
                      if (shape.rank() < 2) return;
                      const Tensor x = drawn(rng, Shape{shape[0] + 1, shape[1] + 1});
                      check_equal(op(x), reference(array_of(x)));
                    }});
  };
  using T = const Tensor&;
  matrices(
      "tril", [](T x) { return tril(x, -1); }, [](const X& x) { return tensor_of(xt::tril(x, -1)); });
  matrices(
      "triu", [](T x) { return triu(x, 1); }, [](const X& x) { return tensor_of(xt::triu(x, 1)); });
  matrices(
      "diag", [](T x) { return diag(x[0], 1); },
      [](const X& x) {
        const X row = xt::strided_view(x, {0, xt::all()});
        return tensor_of(xt::diag(row, 1));
      });
  matrices(
      "add_to_diagonal",
      [](T x) {
        Tensor sum = x;
        add_to_diagonal(sum, diagonal(x));
        return sum;
      },
      [](const X& x) {
        const X own = xt::diagonal(x);
        X sum = x;
        for (std::size_t i = 0; i < own.size(); ++i) sum(i, i) += own(i);
        return tensor_of(sum);
      });
}

}  // namespace

ReferenceRows movement_reference() {
  ReferenceRows rows;
  add_rearrangements(rows);
  add_parts(rows);
  add_triangles(rows);
  return rows;
}

ReferenceRows sorting_reference() {
  ReferenceRows rows;
  using T = const Tensor&;
  const auto sorted = [](const X& x, std::size_t axis) -> X {
    return x.size() == 0 ? x : X(xt::sort(x, static_cast<std::ptrdiff_t>(axis)));
  };
  const auto order = [](const X& x, std::size_t axis) -> X {
    return x.size() == 0 ? x : X(xt::cast<double>(xt::argsort(x, static_cast<std::ptrdiff_t>(axis))));
  };
  const auto first = [](const X& x, std::size_t axis) {
    return part(x, axis, 0, static_cast<std::int64_t>(x.shape()[axis] + 1) / 2);
  };
  const auto half = [](T x, int axis) { return (x.dim(axis) + 1) / 2; };
  add_along(
      rows, "sort", [](T x, int axis) { return sort(x, {.axis = axis}).values; }, sorted);
  add_along(
      rows, "argsort", [](T x, int axis) { return as_numbers(argsort(x, {.axis = axis})); }, order);
  add_along(
      rows, "topk",
      [half](T x, int axis) { return topk(x, half(x, axis), {.axis = axis, .largest = false}).values; },
      [=](const X& x, std::size_t axis) { return first(sorted(x, axis), axis); });
  add_along(
      rows, "argtopk",
      [half](T x, int axis) { return as_numbers(argtopk(x, half(x, axis), {.axis = axis})); },
      [=](const X& x, std::size_t axis) { return first(order(-x, axis), axis); });
  // Of the sorted elements, half of two of them.
  const auto middles = [=](const X& x, std::size_t axis, bool lower) -> X {
    const auto n = static_cast<std::int64_t>(x.shape()[axis]);
    if (x.size() == 0 || n == 0) return x;
    const X ordered = sorted(x, axis);
    const std::int64_t low = (n - 1) / 2, high = lower ? low : n / 2;
    return (part(ordered, axis, low, low + 1) + part(ordered, axis, high, high + 1)) / 2.0;
  };
  add_along(
      rows, "median", [](T x, int axis) { return x.size() == 0 ? x : median(x, axis, {.keepdims = true}); },
      [=](const X& x, std::size_t axis) { return middles(x, axis, true); });
  add_along(
      rows, "quantile",
      [](T x, int axis) { return x.size() == 0 ? x : quantile(x, 0.5, axis, {.keepdims = true}); },
      [=](const X& x, std::size_t axis) { return middles(x, axis, false); });
  return rows;
}

ReferenceRows cumulative_reference() {
  ReferenceRows rows;
  using T = const Tensor&;
  const auto sums_of = [](const X& x, std::size_t axis) -> X {
    return x.size() == 0 ? x : X(xt::cumsum(x, static_cast<std::ptrdiff_t>(axis)));
  };
  const auto products_of = [](const X& x, std::size_t axis) -> X {
    return x.size() == 0 ? x : X(xt::cumprod(x, static_cast<std::ptrdiff_t>(axis)));
  };
  add_along(
      rows, "cumsum", [](T x, int axis) { return cumsum(x, axis); }, sums_of);
  add_along(
      rows, "cumprod", [](T x, int axis) { return cumprod(x, axis); }, products_of);
  add_along(
      rows, "logcumsumexp", [](T x, int axis) { return logcumsumexp(x, axis); },
      [=](const X& x, std::size_t axis) -> X { return xt::log(sums_of(xt::exp(x), axis)); });
  // y[i] / p[i] with p = x[0] ... x[i] adds up t[i] / p[i]; the gradients are of x, which is not 0.
  add_along(
      rows, "recurrence", [](T x, int axis) { return recurrence(x, x * x, axis, Direction::forward); },
      [=](const X& x, std::size_t axis) -> X {
        const X p = products_of(x, axis);
        return p * sums_of(x * x / p, axis);
      });
  add_along(
      rows, "cumprod_derivative", [](T x, int axis) { return cumprod_derivative(x, {x * x}, axis); },
      [=](const X& x, std::size_t axis) -> X { return products_of(x, axis) * sums_of(x, axis); });
  add_along(
      rows, "cumprod_gradient", [](T x, int axis) { return cumprod_gradient(x, x, {}, axis); },
      [=](const X& x, std::size_t axis) -> X {
        if (x.size() == 0) return x;
        const X terms = x * products_of(x, axis);
        return X(xt::flip(sums_of(xt::flip(terms, axis), axis), axis)) / x;
      });
  add_along(
      rows, "shift", [](T x, int axis) { return shift(x, axis, 3); },
      [](const X& x, std::size_t axis) -> X {
        const auto n = static_cast<std::int64_t>(x.shape()[axis]);
        if (x.size() == 0) return x;
        const X first = part(x, axis, 0, 1) * 0.0 + 3.0, rest = part(x, axis, 0, n - 1);
        return xt::concatenate(xt::xtuple(first, rest), axis);
      });
  return rows;
}

}  // namespace gradus::test
