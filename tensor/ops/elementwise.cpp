#include <algorithm>
#include <array>
#include <optional>

#include "tensor/kernels/elementwise.hpp"
#include "tensor/kernels/reduction.hpp"
#include "tensor/kernels/strided.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using kernels::Binary;
using kernels::Ternary;
using kernels::Unary;

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

/// Where the innermost axis is short, the kernel runs over blocks of many of its rows, for which the operands
/// that are stretched are spread out.
template <class T, class Op, std::size_t N>
void run_short_rows(Op op, const Walk<N>& w, const Pointers<T, N>& x, std::int64_t size, T* y) {
  constexpr std::int64_t block = 1024;
  std::array<kernels::Strided, N> views;
  Flags<N> scalar{}, dense{};
  for (std::size_t k = 0; k < N; ++k) {
    kernels::Strided view;
    for (std::size_t axis = 0; axis < w.rank; ++axis)
      view.push_axis(w.axes[axis].length, w.axes[axis].strides[k]);
    views[k] = view.merged();
    scalar[k] = views[k].rank == 1 && views[k].stride[0] == 0;
    dense[k] = views[k].rank == 1 && views[k].stride[0] == 1;
  }
  parallel::for_range(
      size, kernels::cost(op),
      [&](std::int64_t begin, std::int64_t end) {
        std::array<std::array<T, block>, N> spread;
        for (std::int64_t at = begin; at < end; at += block) {
          const std::int64_t count = std::min(block, end - at);
          Pointers<T, N> from = x;
          for (std::size_t k = 0; k < N; ++k) {
            if (scalar[k]) continue;
            if (!dense[k]) kernels::read_part(x[k], views[k], at, count, spread[k].data());
            from[k] = dense[k] ? x[k] + at : spread[k].data();
          }
          run(op, from, scalar, y + at, count);
        }
      },
      block);
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
  constexpr std::int64_t short_row = 64;
  if (length < short_row && rows > 1) return run_short_rows(op, w, x, rows * length, y);

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

/// What the operands have together, and the shape of each; numbers have rank 0 and any dtype.
template <std::size_t N>
detail::Common common(const char* name, const Operands<N>& xs, std::array<Shape, N>& shapes) {
  std::array<const Tensor*, N> tensors{};
  for (std::size_t k = 0; k < N; ++k) {
    if (xs[k]->is_number()) continue;
    tensors[k] = &xs[k]->tensor();
    shapes[k] = tensors[k]->shape();
  }
  return {name, tensors};
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
T value(Ternary op, const T (&x)[3]) {
  T y{};
  kernels::ternary<T>(op, x, true, x + 1, true, x + 2, true, &y, 1);
  return y;
}
template <class T>
T value(Binary op, const T (&x)[2]) {
  switch (op) {
    case Binary::add:
      return x[0] + x[1];
    case Binary::sub:
      return x[0] - x[1];
    case Binary::mul:
      return x[0] * x[1];
    case Binary::div:
      return x[0] / x[1];
    default:
      T y{};
      kernels::binary<T>(op, x, true, x + 1, true, &y, 1);
      return y;
  }
}

/// The dtype of numbers and scalars of rank 0; nothing when another operand is there, or the dtypes differ.
template <std::size_t N>
inline std::optional<Dtype> dtype_of_scalars(const Operands<N>& xs) {
  std::optional<Dtype> out;
  for (const TensorOperand* x : xs) {
    if (x->is_number()) continue;
    const Dtype dtype = x->tensor().dtype();
    if (x->tensor().rank() != 0 || (out && *out != dtype)) return {};
    out = dtype;
  }
  return out ? out : Dtype::f64;
}
template <class T, class Op, std::size_t N>
[[gnu::always_inline]] inline Tensor combine_scalars(Op op, const Operands<N>& xs) {
  T x[N];
  const TensorOperand* dying = nullptr;
  for (std::size_t k = 0; k < N; ++k) {
    if (xs[k]->is_number()) {
      x[k] = static_cast<T>(xs[k]->number());
    } else {
      x[k] = *xs[k]->tensor().template data<T>();
      if (xs[k]->reusable()) dying = xs[k];
    }
  }
  Tensor out = dying != nullptr ? dying->reuse() : Tensor::uninitialized_scalar(dtype_of<T>());
  *out.mutable_data<T>() = value(op, x);
  return out;
}

/// True for tensors of one dtype and shape, and numbers.
template <std::size_t N>
bool are_alike(const Operands<N>& xs) {
  const Tensor* first = nullptr;
  for (const TensorOperand* x : xs) {
    if (x->is_number()) continue;
    if (first == nullptr) first = &x->tensor();
    if (first->dtype() != x->tensor().dtype() || !first->same_shape(x->tensor())) return false;
  }
  return true;
}
template <class Op, std::size_t N>
[[gnu::noinline]] Tensor combine_alike(Op op, const Operands<N>& xs) {
  const Tensor* first = nullptr;
  const TensorOperand* dying = nullptr;
  for (const TensorOperand* x : xs) {
    if (x->is_number()) continue;
    first = &x->tensor();
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
[[gnu::noinline]] Tensor combine_broadcast(Op op, const Operands<N>& xs) {
  std::array<Shape, N> shapes;
  const detail::Common all = common(kernels::name_of(op), xs, shapes);
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

/// op(xs...): scalars, the most frequent operands of small networks; tensors between which nothing is
/// stretched; and the others.
template <class Op, std::size_t N>
[[gnu::always_inline]] inline Tensor combine(Op op, const Operands<N>& xs) {
  if (const std::optional<Dtype> dtype = dtype_of_scalars(xs)) {
    return *dtype == Dtype::f32 ? combine_scalars<float>(op, xs) : combine_scalars<double>(op, xs);
  }
  return are_alike(xs) ? combine_alike(op, xs) : combine_broadcast(op, xs);
}
[[gnu::always_inline]] inline Tensor combine(Binary op, const TensorOperand& a, const TensorOperand& b) {
  return combine(op, Operands<2>{&a, &b});
}

/// x = op(x, y), in x's memory unless another Tensor shares it. x is as before when this throws.
Tensor& update(const char* name, Binary op, Tensor& x, const TensorOperand& y) {
  const TensorOperand left(x);
  const Operands<2> xs{&left, &y};
  std::array<Shape, 2> shapes;
  const detail::Common all = common(name, xs, shapes);
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

detail::Common::Common(const char* op, std::span<const Tensor* const> operands) {
  const Tensor* first = nullptr;
  for (const Tensor* x : operands) {
    if (x == nullptr || !x->defined()) continue;
    if (first == nullptr) {
      first = x;
      shape = x->shape();
      dtype = x->dtype();
    } else if (x->dtype() != dtype) {
      fail<DtypeError>("{}: {} of shape {} and {} of shape {}; convert one with to()", op, name_of(dtype),
                       first->shape(), name_of(x->dtype()), x->shape());
    } else if (x->rank() > 0 && !x->has_shape(shape)) {
      shape = broadcast_shapes(op, shape, x->shape());
    }
  }
}

Tensor operator+(const TensorOperand& a, const TensorOperand& b) {
  return combine(Binary::add, a, b);
}
Tensor operator-(const TensorOperand& a, const TensorOperand& b) {
  return combine(Binary::sub, a, b);
}
Tensor operator*(const TensorOperand& a, const TensorOperand& b) {
  return combine(Binary::mul, a, b);
}
Tensor operator/(const TensorOperand& a, const TensorOperand& b) {
  return combine(Binary::div, a, b);
}
Tensor operator<(const TensorOperand& a, const TensorOperand& b) {
  return combine(Binary::less, a, b);
}
Tensor operator<=(const TensorOperand& a, const TensorOperand& b) {
  return combine(Binary::less_equal, a, b);
}
Tensor operator>(const TensorOperand& a, const TensorOperand& b) {
  return combine(Binary::greater, a, b);
}
Tensor operator>=(const TensorOperand& a, const TensorOperand& b) {
  return combine(Binary::greater_equal, a, b);
}
Tensor operator-(const TensorArgument& x) {
  return apply(Unary::neg, x);
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

Tensor apply(Unary op, const TensorArgument& x, Where) {
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
Tensor apply(Binary op, const TensorOperand& a, const TensorOperand& b, Where) {
  if (op == Binary::polygamma && a.is_number() && a.number() < 0) {
    fail<ArgumentError>("polygamma({}, x): the order counts derivatives of digamma, from 0", a.number());
  }
  return combine(op, a, b);
}
Tensor apply(Ternary op, const TensorOperand& a, const TensorOperand& b, const TensorOperand& c, Where) {
  return combine(op, Operands<3>{&a, &b, &c});
}

void add_to(Tensor& sum, const Tensor& x) {
  if (!sum.defined()) {
    sum = x;
    return;
  }
  if (sum.dtype() == x.dtype() && sum.same_shape(x)) {
    const auto add = [&]<class T>(T* to, const T* from) {
      if (sum.rank() > 0) return kernels::add_scaled(T{1}, from, to, sum.size());
      *to += *from;
    };
    return visit_elements(add, sum, x);
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
