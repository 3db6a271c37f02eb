#include <array>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

using kernels::Binary;
using kernels::Unary;

Tensor map(Unary op, const TensorArgument& x) {
  const Tensor& from = x.tensor();
  const std::int64_t n = from.size();
  return visit_dtype(from.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const values = from.data<T>();
    Tensor out = x.reusable() ? x.reuse() : Tensor::uninitialized(from.shape(), dtype_of<T>());
    kernels::unary<T>(op, values, out.mutable_data<T>(), n);
    return out;
  });
}

/// How a broadcast operand is walked: its stride along each axis of the result, 0 where it stretches.
struct Walk {
  std::array<std::int64_t, Shape::max_rank> a{}, b{}, length{};
  int rank = 0;
};

std::int64_t stride_at(const Shape& shape, int from_end) {
  if (from_end > shape.rank() || shape[-from_end] == 1) return 0;
  std::int64_t stride = 1;
  for (int i = 1; i < from_end; ++i) stride *= shape[-i];
  return stride;
}

/// The axes of the result, slowest first, those that both operands walk alike made one.
Walk walk(const Shape& out, const Shape& a, const Shape& b) {
  Walk w;
  for (int from_end = out.rank(); from_end >= 1; --from_end) {
    if (out[-from_end] == 1) continue;
    const std::int64_t length = out[-from_end], sa = stride_at(a, from_end), sb = stride_at(b, from_end);
    if (w.rank > 0) {
      const auto last = static_cast<std::size_t>(w.rank - 1);
      if (w.a[last] == sa * length && w.b[last] == sb * length) {
        w.a[last] = sa;
        w.b[last] = sb;
        w.length[last] *= length;
        continue;
      }
    }
    const auto at = static_cast<std::size_t>(w.rank++);
    w.a[at] = sa;
    w.b[at] = sb;
    w.length[at] = length;
  }
  return w;
}

/// Runs the kernel over the innermost axis for each place of the outer ones.
template <class T>
void broadcast(Binary op, const Walk& w, int axis, const T* a, const T* b, T*& y) {
  const auto at = static_cast<std::size_t>(axis);
  if (axis == w.rank - 1) {
    kernels::binary<T>(op, a, w.a[at] == 0, b, w.b[at] == 0, y, w.length[at]);
    y += w.length[at];
    return;
  }
  for (std::int64_t i = 0; i < w.length[at]; ++i)
    broadcast(op, w, axis + 1, a + i * w.a[at], b + i * w.b[at], y);
}

template <class T>
T apply(Binary op, T a, T b) {
  T y{};
  kernels::binary<T>(op, &a, true, &b, true, &y, 1);
  return y;
}

/// Scalars of rank 0, the most frequent ops of small networks, without the general machinery.
template <class T>
T apply_scalar(Binary op, T a, T b) {
  switch (op) {
    case Binary::add:
      return a + b;
    case Binary::sub:
      return a - b;
    case Binary::mul:
      return a * b;
    case Binary::div:
      return a / b;
    default:
      return apply(op, a, b);
  }
}

Tensor with_number(Binary op, const TensorOperand& x, double number, bool number_first) {
  const Tensor& from = x.tensor();
  const std::int64_t n = from.size();
  const int rank = from.rank();
  return visit_dtype(from.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const values = from.data<T>();
    Tensor out = x.reusable() ? x.reuse() : Tensor::uninitialized(from.shape(), dtype_of<T>());
    T* const to = out.mutable_data<T>();
    const T constant = static_cast<T>(number);
    if (rank == 0) {
      *to = number_first ? apply_scalar(op, constant, *values) : apply_scalar(op, *values, constant);
    } else if (number_first) {
      kernels::binary<T>(op, &constant, true, values, false, to, n);
    } else {
      kernels::binary<T>(op, values, false, &constant, true, to, n);
    }
    return out;
  });
}

template <class T>
Tensor combine_scalars(Binary op, const Tensor& x, const Tensor& y) {
  Tensor out = Tensor::uninitialized({}, dtype_of<T>());
  *out.mutable_data<T>() = apply_scalar(op, *x.data<T>(), *y.data<T>());
  return out;
}

Tensor combine(const char* name, Binary op, const TensorOperand& a, const TensorOperand& b) {
  if (b.is_number()) {
    if (a.is_number()) return Tensor::scalar(apply(op, a.number(), b.number()), Dtype::f64);
    return with_number(op, a, b.number(), false);
  }
  if (a.is_number()) return with_number(op, b, a.number(), true);
  const Tensor& x = a.tensor();
  const Tensor& y = b.tensor();
  if (x.dtype() != y.dtype()) {
    fail<DtypeError>("{}: {} of shape {} and {} of shape {}; convert one with to()", name, name_of(x.dtype()),
                     x.shape(), name_of(y.dtype()), y.shape());
  }
  if (x.rank() == 0 && y.rank() == 0) {
    return x.dtype() == Dtype::f32 ? combine_scalars<float>(op, x, y) : combine_scalars<double>(op, x, y);
  }
  const Shape left = x.shape(), right = y.shape();
  const Shape shape = broadcast_shapes(name, left, right);
  const bool same = left == right;
  return visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const p = x.data<T>();
    const T* const q = y.data<T>();
    // A dying operand of the result's shape gives its buffer; each element is read before it is written.
    Tensor out;
    if (left == shape && a.reusable()) {
      out = a.reuse();
    } else if (right == shape && b.reusable()) {
      out = b.reuse();
    } else {
      out = Tensor::uninitialized(shape, dtype_of<T>());
    }
    T* to = out.mutable_data<T>();
    if (same) {
      kernels::binary<T>(op, p, false, q, false, to, shape.size());
    } else if (shape.size() > 0) {
      const Walk w = walk(shape, left, right);
      if (w.rank == 0) {
        *to = apply(op, *p, *q);
      } else {
        broadcast(op, w, 0, p, q, to);
      }
    }
    return out;
  });
}

}  // namespace

Tensor operator+(const TensorOperand& a, const TensorOperand& b) {
  return combine("add", Binary::add, a, b);
}
Tensor operator-(const TensorOperand& a, const TensorOperand& b) {
  return combine("sub", Binary::sub, a, b);
}
Tensor operator*(const TensorOperand& a, const TensorOperand& b) {
  return combine("mul", Binary::mul, a, b);
}
Tensor operator/(const TensorOperand& a, const TensorOperand& b) {
  return combine("div", Binary::div, a, b);
}
Tensor maximum(const TensorOperand& a, const TensorOperand& b) {
  return combine("maximum", Binary::maximum, a, b);
}
Tensor minimum(const TensorOperand& a, const TensorOperand& b) {
  return combine("minimum", Binary::minimum, a, b);
}
Tensor pow(const TensorOperand& a, const TensorOperand& b) {
  return combine("pow", Binary::pow, a, b);
}
Tensor less(const TensorOperand& a, const TensorOperand& b) {
  return combine("less", Binary::less, a, b);
}
Tensor less_equal(const TensorOperand& a, const TensorOperand& b) {
  return combine("less_equal", Binary::less_equal, a, b);
}
Tensor equal(const TensorOperand& a, const TensorOperand& b) {
  return combine("equal", Binary::equal, a, b);
}

Tensor operator-(const TensorArgument& x) {
  return map(Unary::neg, x);
}
Tensor abs(const TensorArgument& x) {
  return map(Unary::abs, x);
}
Tensor sign(const TensorArgument& x) {
  return map(Unary::sign, x);
}
Tensor square(const TensorArgument& x) {
  return map(Unary::square, x);
}
Tensor sqrt(const TensorArgument& x) {
  return map(Unary::sqrt, x);
}
Tensor reciprocal(const TensorArgument& x) {
  return map(Unary::reciprocal, x);
}
Tensor exp(const TensorArgument& x) {
  return map(Unary::exp, x);
}
Tensor log(const TensorArgument& x) {
  return map(Unary::log, x);
}
Tensor log1p(const TensorArgument& x) {
  return map(Unary::log1p, x);
}
Tensor sin(const TensorArgument& x) {
  return map(Unary::sin, x);
}
Tensor cos(const TensorArgument& x) {
  return map(Unary::cos, x);
}
Tensor tanh(const TensorArgument& x) {
  return map(Unary::tanh, x);
}
Tensor sigmoid(const TensorArgument& x) {
  return map(Unary::sigmoid, x);
}
Tensor relu(const TensorArgument& x) {
  return map(Unary::relu, x);
}

void add_to(Tensor& sum, const Tensor& x) {
  if (!sum.defined()) {
    sum = x;
    return;
  }
  if (sum.shape() == x.shape() && sum.dtype() == x.dtype()) {
    visit_dtype(sum.dtype(), [&](auto tag) {
      using T = decltype(tag);
      T* const to = sum.mutable_data<T>();
      kernels::add_scaled<T>(T{1}, x.data<T>(), to, sum.size());
    });
    return;
  }
  const Shape shape = sum.shape();
  if (broadcast_shapes("add_to", shape, x.shape()) != shape) {
    fail<ShapeError>("add_to: a sum of shape {} cannot take {}", shape, x.shape());
  }
  sum = std::move(sum) + x;
}

bool all_finite(const Tensor& x) {
  return visit_dtype(x.dtype(),
                     [&](auto tag) { return kernels::all_finite(x.data<decltype(tag)>(), x.size()); });
}
double sum_squares(const Tensor& x) {
  return visit_dtype(x.dtype(),
                     [&](auto tag) { return kernels::sum_squares(x.data<decltype(tag)>(), x.size()); });
}

bool identical(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  return a.size() == 0 || visit_dtype(a.dtype(), [&](auto tag) {
           using T = decltype(tag);
           return std::memcmp(a.data<T>(), b.data<T>(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0;
         });
}

}  // namespace gradus
