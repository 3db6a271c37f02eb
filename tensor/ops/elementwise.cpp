#include <array>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

using kernels::Binary;
using kernels::Unary;

Tensor map(Unary op, Tensor x) {
  Tensor out = x.unique() ? std::move(x) : Tensor::uninitialized(x.shape(), x.dtype());
  const Tensor& from = x.defined() ? x : out;
  visit_dtype(out.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* const to = out.mutable_data<T>();
    kernels::unary<T>(op, from.data<T>(), to, out.size());
  });
  return out;
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

Tensor with_number(Binary op, Tensor x, double number, bool number_first) {
  Tensor out = x.unique() ? std::move(x) : Tensor::uninitialized(x.shape(), x.dtype());
  const Tensor& from = x.defined() ? x : out;
  visit_dtype(out.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* const to = out.mutable_data<T>();
    const T* const values = from.data<T>();
    const T constant = static_cast<T>(number);
    if (out.rank() == 0) {
      *to = number_first ? apply_scalar(op, constant, *values) : apply_scalar(op, *values, constant);
    } else if (number_first) {
      kernels::binary<T>(op, &constant, true, values, false, to, out.size());
    } else {
      kernels::binary<T>(op, values, false, &constant, true, to, out.size());
    }
  });
  return out;
}

Tensor combine(const char* name, Binary op, TensorOperand a, TensorOperand b) {
  if (b.is_number()) {
    if (a.is_number()) return Tensor::scalar(apply(op, a.number, b.number), Dtype::f64);
    return with_number(op, std::move(a.tensor), b.number, false);
  }
  if (a.is_number()) return with_number(op, std::move(b.tensor), a.number, true);
  Tensor& x = a.tensor;
  Tensor& y = b.tensor;
  if (x.dtype() != y.dtype()) {
    fail<DtypeError>("{}: {} of shape {} and {} of shape {}; convert one with to()", name, name_of(x.dtype()),
                     x.shape(), name_of(y.dtype()), y.shape());
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
    if (left == shape && x.unique()) {
      out = std::move(x);
    } else if (right == shape && y.unique()) {
      out = std::move(y);
    } else {
      out = Tensor::uninitialized(shape, dtype_of<T>());
    }
    T* to = out.mutable_data<T>();
    if (shape.rank() == 0) {
      *to = apply_scalar(op, *p, *q);
    } else if (same) {
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

Tensor operator+(TensorOperand a, TensorOperand b) {
  return combine("add", Binary::add, std::move(a), std::move(b));
}
Tensor operator-(TensorOperand a, TensorOperand b) {
  return combine("sub", Binary::sub, std::move(a), std::move(b));
}
Tensor operator*(TensorOperand a, TensorOperand b) {
  return combine("mul", Binary::mul, std::move(a), std::move(b));
}
Tensor operator/(TensorOperand a, TensorOperand b) {
  return combine("div", Binary::div, std::move(a), std::move(b));
}
Tensor maximum(TensorOperand a, TensorOperand b) {
  return combine("maximum", Binary::maximum, std::move(a), std::move(b));
}
Tensor minimum(TensorOperand a, TensorOperand b) {
  return combine("minimum", Binary::minimum, std::move(a), std::move(b));
}
Tensor pow(TensorOperand a, TensorOperand b) {
  return combine("pow", Binary::pow, std::move(a), std::move(b));
}
Tensor less(TensorOperand a, TensorOperand b) {
  return combine("less", Binary::less, std::move(a), std::move(b));
}
Tensor less_equal(TensorOperand a, TensorOperand b) {
  return combine("less_equal", Binary::less_equal, std::move(a), std::move(b));
}
Tensor equal(TensorOperand a, TensorOperand b) {
  return combine("equal", Binary::equal, std::move(a), std::move(b));
}

Tensor operator-(Tensor x) {
  return map(Unary::neg, std::move(x));
}
Tensor abs(Tensor x) {
  return map(Unary::abs, std::move(x));
}
Tensor sign(Tensor x) {
  return map(Unary::sign, std::move(x));
}
Tensor square(Tensor x) {
  return map(Unary::square, std::move(x));
}
Tensor sqrt(Tensor x) {
  return map(Unary::sqrt, std::move(x));
}
Tensor reciprocal(Tensor x) {
  return map(Unary::reciprocal, std::move(x));
}
Tensor exp(Tensor x) {
  return map(Unary::exp, std::move(x));
}
Tensor log(Tensor x) {
  return map(Unary::log, std::move(x));
}
Tensor log1p(Tensor x) {
  return map(Unary::log1p, std::move(x));
}
Tensor sin(Tensor x) {
  return map(Unary::sin, std::move(x));
}
Tensor cos(Tensor x) {
  return map(Unary::cos, std::move(x));
}
Tensor tanh(Tensor x) {
  return map(Unary::tanh, std::move(x));
}
Tensor sigmoid(Tensor x) {
  return map(Unary::sigmoid, std::move(x));
}
Tensor relu(Tensor x) {
  return map(Unary::relu, std::move(x));
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
