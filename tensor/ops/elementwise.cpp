#include <array>
#include <optional>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using kernels::Binary;
using kernels::Ternary;
using kernels::Unary;

Tensor map(Unary op, const TensorArgument& x) {
  const Tensor& from = x.tensor();
  const std::int64_t n = from.size();
  return visit_dtype(from.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const values = from.data<T>();
    Tensor out = x.reusable() ? x.reuse() : Tensor::uninitialized_like(from);
    kernels::unary<T>(op, values, out.mutable_data<T>(), n);
    return out;
  });
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

/// Runs the kernel over the innermost axis for each place of the outer ones.
template <class T, class Op, std::size_t N>
void run_broadcast(Op op, const Walk<N>& w, const Pointers<T, N>& x, T* y) {
  const std::size_t outer_axes = w.rank - 1;
  const std::int64_t length = w.axes[outer_axes].length;
  Flags<N> scalar{};
  for (std::size_t k = 0; k < N; ++k) scalar[k] = w.axes[outer_axes].strides[k] == 0;
  std::int64_t rows = 1;
  for (std::size_t axis = 0; axis < outer_axes; ++axis) rows *= w.axes[axis].length;

  const auto run_rows = [&](std::int64_t begin, std::int64_t end) {
    std::array<std::int64_t, Shape::max_rank> index{};
    Pointers<T, N> from = x;
    const auto step = [&](std::size_t axis, std::int64_t count) {
      for (std::size_t k = 0; k < N; ++k) from[k] += count * w.axes[axis].strides[k];
    };
    std::int64_t rest = begin;
    for (std::size_t axis = outer_axes; axis-- > 0; rest /= w.axes[axis].length) {
      index[axis] = rest % w.axes[axis].length;
      step(axis, index[axis]);
    }
    for (std::int64_t row = begin; row < end; ++row) {
      run(op, from, scalar, y + row * length, length);
      for (std::size_t axis = outer_axes; axis-- > 0;) {
        step(axis, 1);
        if (++index[axis] < w.axes[axis].length) break;
        step(axis, -index[axis]);
        index[axis] = 0;
      }
    }
  };
  if (length >= parallel::grain) return run_rows(0, rows);  // the rows themselves are shared out
  parallel::for_range(rows, length * kernels::cost(op), run_rows);
}

template <std::size_t N>
using Operands = std::array<const TensorOperand*, N>;

/// The dtype and the shape that the operands of an op have together.
struct Common {
  Dtype dtype = Dtype::f64;  // of numbers alone
  Shape shape;
};

/// Throws unless the operands are of one dtype and broadcast; numbers have rank 0 and any dtype.
template <std::size_t N>
Common common(const char* name, const Operands<N>& xs, std::array<Shape, N>& shapes) {
  Common out;
  const Tensor* first = nullptr;
  for (std::size_t k = 0; k < N; ++k) {
    if (xs[k]->is_number()) continue;
    const Tensor& x = xs[k]->tensor();
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

  explicit Sources(const Operands<N>& xs) {
    for (std::size_t k = 0; k < N; ++k) {
      if (xs[k]->is_number()) {
        numbers[k] = static_cast<T>(xs[k]->number());
        x[k] = &numbers[k];
        scalar[k] = true;
      } else {
        x[k] = xs[k]->tensor().template data<T>();
        scalar[k] = xs[k]->tensor().size() == 1;
      }
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
  run_broadcast(op, walk(shape, shapes), from.x, y);
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
Tensor combine_scalars(Op op, const Operands<N>& xs) {
  const Tensor* first = nullptr;
  const TensorOperand* dying = nullptr;
  for (const TensorOperand* x : xs) {
    if (x->is_number()) continue;
    if (x->tensor().rank() != 0 || (first != nullptr && first->dtype() != x->tensor().dtype())) return {};
    first = &x->tensor();
    if (x->reusable()) dying = x;
  }
  return visit_dtype(first != nullptr ? first->dtype() : Dtype::f64, [&](auto tag) {
    using T = decltype(tag);
    const T y = apply<T>(op, Sources<T, N>(xs).x);
    Tensor out = dying != nullptr ? dying->reuse() : Tensor::uninitialized_scalar(dtype_of<T>());
    *out.mutable_data<T>() = y;
    return out;
  });
}

bool alike(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.same_shape(b);
}

/// Tensors of one shape and numbers, where nothing is to be stretched. Undefined when an operand is another.
template <class Op, std::size_t N>
Tensor combine_alike(Op op, const Operands<N>& xs) {
  const Tensor* first = nullptr;
  const TensorOperand* dying = nullptr;
  for (const TensorOperand* x : xs) {
    if (x->is_number()) continue;
    if (first == nullptr) first = &x->tensor();
    if (!alike(*first, x->tensor())) return {};
    if (x->reusable()) dying = x;
  }
  return visit_dtype(first->dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Sources<T, N> from(xs);
    // A dying operand gives its buffer; each element is read before it is written.
    Tensor out = dying != nullptr ? dying->reuse() : Tensor::uninitialized_like(*first);
    T* const to = out.mutable_data<T>();
    run(op, from.x, from.scalar, to, out.size());
    return out;
  });
}

template <class Op, std::size_t N>
Tensor combine(const char* name, Op op, const Operands<N>& xs) {
  if (Tensor out = combine_scalars(op, xs); out.defined()) return out;
  if (Tensor out = combine_alike(op, xs); out.defined()) return out;
  std::array<Shape, N> shapes;
  const Common all = common(name, xs, shapes);
  return visit_dtype(all.dtype, [&](auto tag) {
    using T = decltype(tag);
    const Sources<T, N> from(xs);
    Tensor out;  // in the buffer of a dying operand of the result's shape, if there is one
    for (std::size_t k = 0; k < N && !out.defined(); ++k) {
      if (shapes[k] == all.shape && xs[k]->reusable()) out = xs[k]->reuse();
    }
    if (!out.defined()) out = Tensor::uninitialized(all.shape, all.dtype);
    compute(op, from, shapes, all.shape, out.mutable_data<T>());
    return out;
  });
}

/// The dtype of two operands that are numbers or of rank 0; nothing when they are not, or differ in dtype.
/// What a tape over scalars does most, so it is asked before the general machinery is set up.
std::optional<Dtype> scalars(const TensorOperand& a, const TensorOperand& b) {
  if (a.is_number() || b.is_number()) {
    if (a.is_number() && b.is_number()) return Dtype::f64;
    const Tensor& x = a.is_number() ? b.tensor() : a.tensor();
    return x.rank() == 0 ? std::optional(x.dtype()) : std::nullopt;
  }
  const bool both =
      a.tensor().rank() == 0 && b.tensor().rank() == 0 && a.tensor().dtype() == b.tensor().dtype();
  return both ? std::optional(a.tensor().dtype()) : std::nullopt;
}
template <class T>
Tensor combine_two_scalars(Binary op, const TensorOperand& a, const TensorOperand& b) {
  const auto value = [](const TensorOperand& x) {
    return x.is_number() ? static_cast<T>(x.number()) : *x.tensor().template data<T>();
  };
  const T x = value(a), y = value(b);
  Tensor out = !a.is_number() && a.reusable()   ? a.reuse()
               : !b.is_number() && b.reusable() ? b.reuse()
                                                : Tensor::uninitialized_scalar(dtype_of<T>());
  *out.mutable_data<T>() = apply<T>(op, {&x, &y});
  return out;
}
Tensor combine(const char* name, Binary op, const TensorOperand& a, const TensorOperand& b) {
  if (const std::optional<Dtype> dtype = scalars(a, b)) {
    return *dtype == Dtype::f32 ? combine_two_scalars<float>(op, a, b)
                                : combine_two_scalars<double>(op, a, b);
  }
  return combine(name, op, Operands<2>{&a, &b});
}

/// x = op(x, y), in x's memory unless another Tensor shares it. x is as before when this throws.
Tensor& update(const char* name, Binary op, Tensor& x, const TensorOperand& y) {
  const TensorOperand left(x);
  const Operands<2> xs{&left, &y};
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
    if (x.unique()) return compute(op, from, shapes, all.shape, x.mutable_data<T>());
    Tensor out = Tensor::uninitialized(all.shape, all.dtype);
    compute(op, from, shapes, all.shape, out.mutable_data<T>());
    x = std::move(out);
  });
  return x;
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
  if (b.is_number() && !a.is_number()) {
    if (b.number() == 2) return square(a);
    if (b.number() == -1) return reciprocal(a);
  }
  return combine("pow", Binary::pow, a, b);
}
Tensor atan2(const TensorOperand& a, const TensorOperand& b) {
  return combine("atan2", Binary::atan2, a, b);
}
Tensor fmod(const TensorOperand& a, const TensorOperand& b) {
  return combine("fmod", Binary::fmod, a, b);
}
Tensor less(const TensorOperand& a, const TensorOperand& b) {
  return combine("less", Binary::less, a, b);
}
Tensor less_equal(const TensorOperand& a, const TensorOperand& b) {
  return combine("less_equal", Binary::less_equal, a, b);
}
Tensor greater(const TensorOperand& a, const TensorOperand& b) {
  return combine("greater", Binary::less, b, a);
}
Tensor greater_equal(const TensorOperand& a, const TensorOperand& b) {
  return combine("greater_equal", Binary::less_equal, b, a);
}
Tensor equal(const TensorOperand& a, const TensorOperand& b) {
  return combine("equal", Binary::equal, a, b);
}
Tensor not_equal(const TensorOperand& a, const TensorOperand& b) {
  return combine("not_equal", Binary::not_equal, a, b);
}
Tensor operator<(const TensorOperand& a, const TensorOperand& b) {
  return less(a, b);
}
Tensor operator<=(const TensorOperand& a, const TensorOperand& b) {
  return less_equal(a, b);
}
Tensor operator>(const TensorOperand& a, const TensorOperand& b) {
  return greater(a, b);
}
Tensor operator>=(const TensorOperand& a, const TensorOperand& b) {
  return greater_equal(a, b);
}

Tensor& operator+=(Tensor& x, const TensorOperand& y) {
  return update("+=", Binary::add, x, y);
}
Tensor& operator-=(Tensor& x, const TensorOperand& y) {
  return update("-=", Binary::sub, x, y);
}
Tensor& operator*=(Tensor& x, const TensorOperand& y) {
  return update("*=", Binary::mul, x, y);
}
Tensor& operator/=(Tensor& x, const TensorOperand& y) {
  return update("/=", Binary::div, x, y);
}

Tensor polygamma(int n, const TensorArgument& x) {
  if (n < 0) fail<ArgumentError>("polygamma({}, x): the order counts derivatives of digamma, from 0", n);
  const TensorOperand order(n);
  if (x.reusable()) return combine("polygamma", Binary::polygamma, order, x.reuse());
  return combine("polygamma", Binary::polygamma, order, x.tensor());
}
Tensor digamma(const TensorArgument& x) {
  return polygamma(0, x);
}

Tensor fma(const TensorOperand& a, const TensorOperand& b, const TensorOperand& c) {
  return combine("fma", Ternary::fma, Operands<3>{&a, &b, &c});
}
Tensor where(const TensorOperand& condition, const TensorOperand& a, const TensorOperand& b) {
  return combine("where", Ternary::where, Operands<3>{&condition, &a, &b});
}
Tensor clamp(const TensorOperand& x, const TensorOperand& low, const TensorOperand& high) {
  return combine("clamp", Binary::minimum, combine("clamp", Binary::maximum, x, low), high);
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
Tensor rsqrt(const TensorArgument& x) {
  return map(Unary::rsqrt, x);
}
Tensor reciprocal(const TensorArgument& x) {
  return map(Unary::reciprocal, x);
}
Tensor exp(const TensorArgument& x) {
  return map(Unary::exp, x);
}
Tensor expm1(const TensorArgument& x) {
  return map(Unary::expm1, x);
}
Tensor log(const TensorArgument& x) {
  return map(Unary::log, x);
}
Tensor log1p(const TensorArgument& x) {
  return map(Unary::log1p, x);
}
Tensor log2(const TensorArgument& x) {
  return map(Unary::log2, x);
}
Tensor sin(const TensorArgument& x) {
  return map(Unary::sin, x);
}
Tensor cos(const TensorArgument& x) {
  return map(Unary::cos, x);
}
Tensor tan(const TensorArgument& x) {
  return map(Unary::tan, x);
}
Tensor asin(const TensorArgument& x) {
  return map(Unary::asin, x);
}
Tensor acos(const TensorArgument& x) {
  return map(Unary::acos, x);
}
Tensor atan(const TensorArgument& x) {
  return map(Unary::atan, x);
}
Tensor sinh(const TensorArgument& x) {
  return map(Unary::sinh, x);
}
Tensor cosh(const TensorArgument& x) {
  return map(Unary::cosh, x);
}
Tensor tanh(const TensorArgument& x) {
  return map(Unary::tanh, x);
}
Tensor asinh(const TensorArgument& x) {
  return map(Unary::asinh, x);
}
Tensor acosh(const TensorArgument& x) {
  return map(Unary::acosh, x);
}
Tensor atanh(const TensorArgument& x) {
  return map(Unary::atanh, x);
}
Tensor erf(const TensorArgument& x) {
  return map(Unary::erf, x);
}
Tensor erfc(const TensorArgument& x) {
  return map(Unary::erfc, x);
}
Tensor lgamma(const TensorArgument& x) {
  return map(Unary::lgamma, x);
}
Tensor sigmoid(const TensorArgument& x) {
  return map(Unary::sigmoid, x);
}
Tensor relu(const TensorArgument& x) {
  return map(Unary::relu, x);
}
Tensor floor(const TensorArgument& x) {
  return map(Unary::floor, x);
}
Tensor ceil(const TensorArgument& x) {
  return map(Unary::ceil, x);
}
Tensor round(const TensorArgument& x) {
  return map(Unary::round, x);
}

void add_to(Tensor& sum, const Tensor& x) {
  if (!sum.defined()) {
    sum = x;
    return;
  }
  if (sum.dtype() == x.dtype() && sum.same_shape(x)) {
    visit_dtype(sum.dtype(), [&](auto tag) {
      using T = decltype(tag);
      T* const to = sum.mutable_data<T>();
      if (sum.rank() == 0) {
        *to += *x.data<T>();
        return;
      }
      kernels::add_scaled<T>(T{1}, x.data<T>(), to, sum.size());
    });
    return;
  }
  const Shape shape = sum.shape();
  if (broadcast_shapes("add_to", shape, x.shape()) != shape) {
    fail<ShapeError>("add_to: a sum of shape {} cannot take {}", shape, x.shape());
  }
  sum = sum + x;
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
