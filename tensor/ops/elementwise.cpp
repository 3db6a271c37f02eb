#include <array>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

using kernels::Binary;
using kernels::Ternary;
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

/// How the operands of a broadcast op are walked: their strides along the axes of the result, 0 where they
/// stretch.
template <std::size_t N>
struct Walk {
  struct Axis {
    std::int64_t length;
    std::array<std::int64_t, N> strides;
  };
  std::array<Axis, Shape::max_rank> axes{};
  std::size_t rank = 0;
};

std::int64_t stride_at(const Shape& shape, int from_end) {
  if (from_end > shape.rank() || shape[-from_end] == 1) return 0;
  std::int64_t stride = 1;
  for (int i = 1; i < from_end; ++i) stride *= shape[-i];
  return stride;
}

/// The axes of the result, slowest first, those that all operands walk alike made one.
template <std::size_t N>
Walk<N> walk(const Shape& out, const std::array<Shape, N>& shapes) {
  Walk<N> w;
  for (int from_end = out.rank(); from_end >= 1; --from_end) {
    if (out[-from_end] == 1) continue;
    typename Walk<N>::Axis next{out[-from_end], {}};
    for (std::size_t k = 0; k < N; ++k) next.strides[k] = stride_at(shapes[k], from_end);
    bool alike = w.rank > 0;
    for (std::size_t k = 0; k < N && alike; ++k)
      alike = w.axes[w.rank - 1].strides[k] == next.strides[k] * next.length;
    if (alike) {
      next.length *= w.axes[w.rank - 1].length;
      w.axes[w.rank - 1] = next;
    } else {
      w.axes[w.rank++] = next;
    }
  }
  if (w.rank == 0) w.axes[w.rank++] = {1, {}};
  return w;
}

template <class T, std::size_t N>
using Pointers = std::array<const T*, N>;
template <std::size_t N>
using Flags = std::array<bool, N>;

template <class T>
void run(Binary op, const Pointers<T, 2>& x, const Flags<2>& scalar, T* y, std::int64_t n) {
  kernels::binary<T>(op, x[0], scalar[0], x[1], scalar[1], y, n);
}
template <class T>
void run(Ternary op, const Pointers<T, 3>& x, const Flags<3>& scalar, T* y, std::int64_t n) {
  kernels::ternary<T>(op, x[0], scalar[0], x[1], scalar[1], x[2], scalar[2], y, n);
}

/// Runs the kernel over the innermost axis for each place of the outer ones; moves y on.
template <class T, class Op, std::size_t N>
void run_broadcast(Op op, const Walk<N>& w, std::size_t axis, Pointers<T, N> x, T*& y) {
  const auto& [length, strides] = w.axes[axis];
  if (axis + 1 == w.rank) {
    Flags<N> scalar{};
    for (std::size_t k = 0; k < N; ++k) scalar[k] = strides[k] == 0;
    run(op, x, scalar, y, length);
    y += length;
    return;
  }
  for (std::int64_t i = 0; i < length; ++i) {
    run_broadcast(op, w, axis + 1, x, y);
    for (std::size_t k = 0; k < N; ++k) x[k] += strides[k];
  }
}

/// The dtype and the shape that the operands of an op have together.
struct Common {
  Dtype dtype = Dtype::f64;  // of numbers alone
  Shape shape;
};

/// Throws unless the operands are of one dtype and broadcast; numbers have rank 0 and any dtype.
template <std::size_t N>
Common common(const char* name, const std::array<TensorOperand, N>& xs, std::array<Shape, N>& shapes) {
  Common out;
  const Tensor* first = nullptr;
  for (std::size_t k = 0; k < N; ++k) {
    if (xs[k].is_number()) continue;
    const Tensor& x = xs[k].tensor;
    shapes[k] = x.shape();
    if (first == nullptr) {
      first = &x;
      out = {x.dtype(), shapes[k]};
    } else if (x.dtype() != out.dtype) {
      fail<DtypeError>("{}: {} of shape {} and {} of shape {}; convert one with to()", name,
                       name_of(first->dtype()), first->shape(), name_of(x.dtype()), shapes[k]);
    } else {
      out.shape = broadcast_shapes(name, out.shape, shapes[k]);
    }
  }
  return out;
}

/// Where the operands' values stand. Refers to itself: made in place, not copied.
template <class T, std::size_t N>
struct Sources {
  std::array<T, N> numbers{};
  Pointers<T, N> x{};
  Flags<N> scalar{};

  explicit Sources(const std::array<TensorOperand, N>& xs) {
    for (std::size_t k = 0; k < N; ++k) {
      numbers[k] = static_cast<T>(xs[k].number);
      x[k] = xs[k].is_number() ? &numbers[k] : xs[k].tensor.template data<T>();
      scalar[k] = xs[k].is_number() || xs[k].tensor.size() == 1;
    }
  }
  Sources(const Sources&) = delete;
  Sources& operator=(const Sources&) = delete;
};

/// y = op(x...), y being of the operands' common shape.
template <class T, class Op, std::size_t N>
void compute(Op op, const Sources<T, N>& from, const std::array<Shape, N>& shapes, const Shape& shape, T* y) {
  const std::int64_t size = shape.size();
  if (size == 0) return;
  bool plain = true;  // each operand one value, or as many as the result
  for (std::size_t k = 0; k < N; ++k) plain = plain && (from.scalar[k] || shapes[k] == shape);
  if (plain) return run(op, from.x, from.scalar, y, size);
  run_broadcast(op, walk(shape, shapes), 0, from.x, y);
}

template <class T>
T apply(Ternary op, const Pointers<T, 3>& x) {
  T y{};
  run(op, x, {true, true, true}, &y, 1);
  return y;
}
template <class T>
T apply(Binary op, const Pointers<T, 2>& x) {
  switch (op) {
    case Binary::add:
      return *x[0] + *x[1];
    case Binary::sub:
      return *x[0] - *x[1];
    case Binary::mul:
      return *x[0] * *x[1];
    case Binary::div:
      return *x[0] / *x[1];
    default:
      T y{};
      run(op, x, {true, true}, &y, 1);
      return y;
  }
}

/// Scalars of rank 0, the most frequent operands of small networks, without the general machinery. Undefined
/// when an operand is none, or the dtypes differ.
template <class Op, std::size_t N>
Tensor combine_scalars(Op op, std::array<TensorOperand, N>& xs) {
  const Tensor* first = nullptr;
  TensorOperand* dying = nullptr;
  for (TensorOperand& x : xs) {
    if (x.is_number()) continue;
    if (x.tensor.rank() != 0 || (first != nullptr && first->dtype() != x.tensor.dtype())) return {};
    first = &x.tensor;
    if (x.tensor.unique()) dying = &x;
  }
  return visit_dtype(first != nullptr ? first->dtype() : Dtype::f64, [&](auto tag) {
    using T = decltype(tag);
    const T y = apply<T>(op, Sources<T, N>(xs).x);
    Tensor out = dying != nullptr ? std::move(dying->tensor) : Tensor::uninitialized({}, dtype_of<T>());
    *out.mutable_data<T>() = y;
    return out;
  });
}

template <class Op, std::size_t N>
Tensor combine(const char* name, Op op, std::array<TensorOperand, N> xs) {
  if (Tensor out = combine_scalars(op, xs); out.defined()) return out;
  std::array<Shape, N> shapes;
  const Common all = common(name, xs, shapes);
  return visit_dtype(all.dtype, [&](auto tag) {
    using T = decltype(tag);
    const Sources<T, N> from(xs);
    // A dying operand of the result's shape gives its buffer; each element is read before it is written.
    Tensor out;
    for (std::size_t k = 0; k < N && !out.defined(); ++k) {
      if (xs[k].tensor.defined() && xs[k].tensor.unique() && shapes[k] == all.shape)
        out = std::move(xs[k].tensor);
    }
    if (!out.defined()) out = Tensor::uninitialized(all.shape, all.dtype);
    compute(op, from, shapes, all.shape, out.mutable_data<T>());
    return out;
  });
}
Tensor combine(const char* name, Binary op, TensorOperand& a, TensorOperand& b) {
  return combine(name, op, std::array{std::move(a), std::move(b)});
}

/// x = op(x, y), in x's memory unless another Tensor shares it. x is as before when this throws.
Tensor& update(const char* name, Binary op, Tensor& x, TensorOperand y) {
  std::array<TensorOperand, 2> xs{TensorOperand(x), std::move(y)};
  std::array<Shape, 2> shapes;
  const Common all = common(name, xs, shapes);
  if (all.shape != shapes[0]) {
    fail<ShapeError>(
        "{}: the left side of shape {} would have to grow to {} for the right side of shape {}; write x = x "
        "{:.1} y",
        name, shapes[0], all.shape, shapes[1], name);
  }
  visit_dtype(all.dtype, [&](auto tag) {
    using T = decltype(tag);
    const Sources<T, 2> from(xs);
    xs[0].tensor = Tensor();
    Tensor out = x.unique() ? std::move(x) : Tensor::uninitialized(all.shape, all.dtype);
    compute(op, from, shapes, all.shape, out.mutable_data<T>());
    x = std::move(out);
  });
  return x;
}

}  // namespace

Tensor operator+(TensorOperand a, TensorOperand b) {
  return combine("add", Binary::add, a, b);
}
Tensor operator-(TensorOperand a, TensorOperand b) {
  return combine("sub", Binary::sub, a, b);
}
Tensor operator*(TensorOperand a, TensorOperand b) {
  return combine("mul", Binary::mul, a, b);
}
Tensor operator/(TensorOperand a, TensorOperand b) {
  return combine("div", Binary::div, a, b);
}
Tensor maximum(TensorOperand a, TensorOperand b) {
  return combine("maximum", Binary::maximum, a, b);
}
Tensor minimum(TensorOperand a, TensorOperand b) {
  return combine("minimum", Binary::minimum, a, b);
}
Tensor pow(TensorOperand a, TensorOperand b) {
  return combine("pow", Binary::pow, a, b);
}
Tensor atan2(TensorOperand a, TensorOperand b) {
  return combine("atan2", Binary::atan2, a, b);
}
Tensor fmod(TensorOperand a, TensorOperand b) {
  return combine("fmod", Binary::fmod, a, b);
}
Tensor less(TensorOperand a, TensorOperand b) {
  return combine("less", Binary::less, a, b);
}
Tensor less_equal(TensorOperand a, TensorOperand b) {
  return combine("less_equal", Binary::less_equal, a, b);
}
Tensor greater(TensorOperand a, TensorOperand b) {
  return combine("greater", Binary::less, b, a);
}
Tensor greater_equal(TensorOperand a, TensorOperand b) {
  return combine("greater_equal", Binary::less_equal, b, a);
}
Tensor equal(TensorOperand a, TensorOperand b) {
  return combine("equal", Binary::equal, a, b);
}
Tensor not_equal(TensorOperand a, TensorOperand b) {
  return combine("not_equal", Binary::not_equal, a, b);
}
Tensor operator<(TensorOperand a, TensorOperand b) {
  return less(std::move(a), std::move(b));
}
Tensor operator<=(TensorOperand a, TensorOperand b) {
  return less_equal(std::move(a), std::move(b));
}
Tensor operator>(TensorOperand a, TensorOperand b) {
  return greater(std::move(a), std::move(b));
}
Tensor operator>=(TensorOperand a, TensorOperand b) {
  return greater_equal(std::move(a), std::move(b));
}

Tensor& operator+=(Tensor& x, TensorOperand y) {
  return update("+=", Binary::add, x, std::move(y));
}
Tensor& operator-=(Tensor& x, TensorOperand y) {
  return update("-=", Binary::sub, x, std::move(y));
}
Tensor& operator*=(Tensor& x, TensorOperand y) {
  return update("*=", Binary::mul, x, std::move(y));
}
Tensor& operator/=(Tensor& x, TensorOperand y) {
  return update("/=", Binary::div, x, std::move(y));
}

Tensor polygamma(int n, Tensor x) {
  if (n < 0) fail<ArgumentError>("polygamma({}, x): the order counts derivatives of digamma, from 0", n);
  return combine("polygamma", Binary::polygamma, std::array{TensorOperand(n), TensorOperand(std::move(x))});
}
Tensor digamma(Tensor x) {
  return polygamma(0, std::move(x));
}

Tensor fma(TensorOperand a, TensorOperand b, TensorOperand c) {
  return combine("fma", Ternary::fma, std::array{std::move(a), std::move(b), std::move(c)});
}
Tensor where(TensorOperand condition, TensorOperand a, TensorOperand b) {
  return combine("where", Ternary::where, std::array{std::move(condition), std::move(a), std::move(b)});
}
Tensor clamp(TensorOperand x, TensorOperand low, TensorOperand high) {
  TensorOperand raised = combine("clamp", Binary::maximum, x, low);
  return combine("clamp", Binary::minimum, raised, high);
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
Tensor rsqrt(Tensor x) {
  return map(Unary::rsqrt, std::move(x));
}
Tensor reciprocal(Tensor x) {
  return map(Unary::reciprocal, std::move(x));
}
Tensor exp(Tensor x) {
  return map(Unary::exp, std::move(x));
}
Tensor expm1(Tensor x) {
  return map(Unary::expm1, std::move(x));
}
Tensor log(Tensor x) {
  return map(Unary::log, std::move(x));
}
Tensor log1p(Tensor x) {
  return map(Unary::log1p, std::move(x));
}
Tensor log2(Tensor x) {
  return map(Unary::log2, std::move(x));
}
Tensor sin(Tensor x) {
  return map(Unary::sin, std::move(x));
}
Tensor cos(Tensor x) {
  return map(Unary::cos, std::move(x));
}
Tensor tan(Tensor x) {
  return map(Unary::tan, std::move(x));
}
Tensor asin(Tensor x) {
  return map(Unary::asin, std::move(x));
}
Tensor acos(Tensor x) {
  return map(Unary::acos, std::move(x));
}
Tensor atan(Tensor x) {
  return map(Unary::atan, std::move(x));
}
Tensor sinh(Tensor x) {
  return map(Unary::sinh, std::move(x));
}
Tensor cosh(Tensor x) {
  return map(Unary::cosh, std::move(x));
}
Tensor tanh(Tensor x) {
  return map(Unary::tanh, std::move(x));
}
Tensor asinh(Tensor x) {
  return map(Unary::asinh, std::move(x));
}
Tensor acosh(Tensor x) {
  return map(Unary::acosh, std::move(x));
}
Tensor atanh(Tensor x) {
  return map(Unary::atanh, std::move(x));
}
Tensor erf(Tensor x) {
  return map(Unary::erf, std::move(x));
}
Tensor erfc(Tensor x) {
  return map(Unary::erfc, std::move(x));
}
Tensor lgamma(Tensor x) {
  return map(Unary::lgamma, std::move(x));
}
Tensor sigmoid(Tensor x) {
  return map(Unary::sigmoid, std::move(x));
}
Tensor relu(Tensor x) {
  return map(Unary::relu, std::move(x));
}
Tensor floor(Tensor x) {
  return map(Unary::floor, std::move(x));
}
Tensor ceil(Tensor x) {
  return map(Unary::ceil, std::move(x));
}
Tensor round(Tensor x) {
  return map(Unary::round, std::move(x));
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
