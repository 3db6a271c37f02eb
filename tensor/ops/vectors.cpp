#include "tensor/ops/vectors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/ops.hpp"
#include "tensor/ops/batches.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using detail::batch_place;
using detail::leading;
using detail::with_matrix;

void check_dtypes(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype()) return;
  fail<DtypeError>("{}: a is {}, b is {}; convert one with to()", op, name_of(a.dtype()), name_of(b.dtype()));
}

/// The norm of order p of the differences of two rows.
template <class T>
double distance(const T* a, const T* b, std::int64_t d, double p) {
  const auto apart = [&](std::int64_t k) {
    return std::abs(static_cast<double>(a[k]) - static_cast<double>(b[k]));
  };
  double total = 0;
  if (p == 1) {
    for (std::int64_t k = 0; k < d; ++k) total += apart(k);
  } else if (p == 0) {
    for (std::int64_t k = 0; k < d; ++k) total += apart(k) != 0 ? 1 : 0;
  } else if (std::isinf(p)) {
    for (std::int64_t k = 0; k < d; ++k) {
      const double one = apart(k);
      if (one > total || std::isnan(one)) total = one;
      if (std::isnan(total)) break;
    }
  } else if (p == 2) {
    for (std::int64_t k = 0; k < d; ++k) total += apart(k) * apart(k);
    if (total > 1e-280 && total < 1e280) return std::sqrt(total);
    // Squares that leave the range of double.
    if (std::isnan(total)) return total;
    total = 0;
    for (std::int64_t k = 0; k < d; ++k) total = std::hypot(total, apart(k));
  } else {
    double largest = 0;
    for (std::int64_t k = 0; k < d; ++k) largest = apart(k) > largest ? apart(k) : largest;
    if (largest == 0 || std::isinf(largest)) {
      for (std::int64_t k = 0; k < d; ++k) total += apart(k);
      return total;  // 0, infinity or NaN
    }
    for (std::int64_t k = 0; k < d; ++k) total += std::pow(apart(k) / largest, p);
    return largest * std::pow(total, 1 / p);
  }
  return total;
}

/// sum[k] += g times the derivative of the distance y of two rows by a[k].
template <class T>
void add_slopes(const T* a, const T* b, std::int64_t d, double p, double g, double y, double* sum) {
  if (y == 0 || p == 0) return;
  if (std::isnan(y)) {
    std::fill(sum, sum + d, y);
    return;
  }
  const auto difference = [&](std::int64_t k) {
    return static_cast<double>(a[k]) - static_cast<double>(b[k]);
  };
  const auto sign = [](double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; };
  if (p == 2) {
    for (std::int64_t k = 0; k < d; ++k) sum[k] += g * (difference(k) / y);
  } else if (p == 1) {
    for (std::int64_t k = 0; k < d; ++k) sum[k] += g * sign(difference(k));
  } else if (std::isinf(p)) {
    // y was rounded to T, so the extreme ones are looked for again.
    double largest = 0, many = 0;
    for (std::int64_t k = 0; k < d; ++k) largest = std::max(largest, std::abs(difference(k)));
    for (std::int64_t k = 0; k < d; ++k) many += std::abs(difference(k)) == largest ? 1 : 0;
    for (std::int64_t k = 0; k < d; ++k)
      if (std::abs(difference(k)) == largest) sum[k] += g / many * sign(difference(k));
  } else {
    for (std::int64_t k = 0; k < d; ++k) {
      const double x = difference(k);
      if (x != 0) sum[k] += g * sign(x) * std::pow(std::abs(x) / y, p - 1);
    }
  }
}

}  // namespace

int detail::cross_axis(const Shape& a, const Shape& b, int axis) {
  const int rank = std::max(a.rank(), b.rank());
  const int from_end = axis < 0 ? axis : axis - rank;
  const auto fits = [&](const Shape& shape) { return -from_end <= shape.rank() && shape[from_end] == 3; };
  if (from_end >= 0 || !fits(a) || !fits(b))
    fail<ShapeError>("cross: a of shape {}, b of shape {}; both must have a length of 3 along axis {}", a, b,
                     axis);
  broadcast_shapes("cross", a, b);
  return from_end;
}

Tensor cross(const Tensor& a, const Tensor& b, int axis) {
  check_dtypes("cross", a, b);
  axis = detail::cross_axis(a.shape(), b.shape(), axis);
  return roll(a, -1, axis) * roll(b, -2, axis) - roll(a, -2, axis) * roll(b, -1, axis);
}

Tensor trace(const Tensor& x) {
  if (x.rank() < 2) fail<ShapeError>("trace: x of shape {}; it must be a matrix, (..., m, n)", x.shape());
  return sum(diagonal(x), -1);
}

detail::KronShapes::KronShapes(const Shape& of_a, const Shape& of_b) {
  const int rank = std::max(of_a.rank(), of_b.rank());
  if (2 * rank > Shape::max_rank)
    fail<ShapeError>("kron: a of shape {}, b of shape {}; at most {} axes", of_a, of_b, Shape::max_rank / 2);
  for (int axis = -rank; axis < 0; ++axis) {
    const std::int64_t in_a = -axis <= of_a.rank() ? of_a[axis] : 1;
    const std::int64_t in_b = -axis <= of_b.rank() ? of_b[axis] : 1;
    a = a.inserted(a.rank(), in_a).inserted(a.rank() + 1, 1);
    b = b.inserted(b.rank(), 1).inserted(b.rank() + 1, in_b);
    result = result.inserted(result.rank(), in_a * in_b);
  }
}

Tensor kron(const Tensor& a, const Tensor& b) {
  check_dtypes("kron", a, b);
  const detail::KronShapes shapes(a.shape(), b.shape());
  return (a.reshape(shapes.a) * b.reshape(shapes.b)).reshape(shapes.result);
}

Shape detail::cdist_shape(const Tensor& a, const Tensor& b, CdistOptions options) {
  check_dtypes("cdist", a, b);
  if (!(options.p >= 0)) fail<ArgumentError>("cdist: an order of {}; it must be 0 or more", options.p);
  if (a.rank() < 2 || b.rank() < 2 || a.dim(-1) != b.dim(-1))
    fail<ShapeError>("cdist: a of shape {}, b of shape {}; they must be (..., m, d) and (..., n, d)",
                     a.shape(), b.shape());
  const Shape batches = broadcast_shapes("cdist", leading(a.shape()), leading(b.shape()));
  return with_matrix(batches, a.dim(-2), b.dim(-2));
}

Tensor cdist(const Tensor& a, const Tensor& b, CdistOptions options) {
  const Shape shape = detail::cdist_shape(a, b, options);
  const Shape batches = leading(shape), of_a = leading(a.shape()), of_b = leading(b.shape());
  const std::int64_t m = a.dim(-2), n = b.dim(-2), d = a.dim(-1);
  Tensor out = Tensor::uninitialized(shape, a.dtype());
  const auto measure = [&]<class T>(T* to, const T* as, const T* bs) {
    parallel::for_each(batches.size() * m, n * (4 * d + 1), [&](std::int64_t row) {
      const T* const x = as + (batch_place(row / m, batches, of_a) * m + row % m) * d;
      const T* const ys = bs + batch_place(row / m, batches, of_b) * n * d;
      for (std::int64_t j = 0; j < n; ++j)
        to[row * n + j] = static_cast<T>(distance(x, ys + j * d, d, options.p));
    });
  };
  if (out.size() > 0) visit_elements(measure, out, a, b);
  return out;
}

Tensor detail::cdist_gradient(const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y,
                              CdistOptions options) {
  const Shape batches = leading(y.shape()), of_a = leading(a.shape()), of_b = leading(b.shape());
  const std::int64_t m = a.dim(-2), n = b.dim(-2), d = a.dim(-1);
  Tensor out = Tensor::uninitialized(with_matrix(batches, m, d), a.dtype());
  const auto add_up = [&]<class T>(T* to, const T* gs, const T* as, const T* bs, const T* distances) {
    parallel::for_each(batches.size() * m, n * (6 * d + 1), [&](std::int64_t row) {
      const T* const x = as + (batch_place(row / m, batches, of_a) * m + row % m) * d;
      const T* const ys = bs + batch_place(row / m, batches, of_b) * n * d;
      std::vector<double> sums(static_cast<std::size_t>(d), 0.0);
      for (std::int64_t j = 0; j < n; ++j) {
        const std::int64_t at = row * n + j;
        add_slopes(x, ys + j * d, d, options.p, static_cast<double>(gs[at]),
                   static_cast<double>(distances[at]), sums.data());
      }
      for (std::int64_t k = 0; k < d; ++k)
        to[row * d + k] = static_cast<T>(sums[static_cast<std::size_t>(k)]);
    });
  };
  if (out.size() > 0) visit_elements(add_up, out, g, a, b, y);
  return out;
}

}  // namespace gradus
