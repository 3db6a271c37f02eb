#include <algorithm>
#include <array>
#include <numeric>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"
#include "tensor/parallel.hpp"

namespace gradus {

namespace {

void check_slice(const Shape& shape, int axis, std::int64_t begin, std::int64_t end) {
  if (begin < 0 || end < begin || end > shape[axis]) {
    fail<ShapeError>("slice: {}..{} of axis {} of shape {}", begin, end, axis, shape);
  }
}

}  // namespace

Tensor permute(const Tensor& x, std::span<const int> axes) {
  const Shape shape = x.shape();
  const int rank = shape.rank();
  if (static_cast<int>(axes.size()) != rank)
    fail<ShapeError>("permute: {} axes for a tensor of shape {}", axes.size(), shape);
  std::array<std::int64_t, Shape::max_rank> strides{}, lengths{}, step{};
  std::array<bool, Shape::max_rank> used{};
  for (int i = rank; i-- > 0;) {
    strides[static_cast<std::size_t>(i)] =
        i == rank - 1 ? 1 : strides[static_cast<std::size_t>(i + 1)] * shape[i + 1];
  }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto from = static_cast<std::size_t>(shape.normalize_axis(axes[i]));
    if (used[from]) fail<ShapeError>("permute: axis {} of shape {} is named twice", axes[i], shape);
    used[from] = true;
    lengths[i] = shape[static_cast<int>(from)];
    step[i] = strides[from];
  }
  Tensor out =
      Tensor::uninitialized(Shape(std::span<const std::int64_t>(lengths.data(), axes.size())), x.dtype());
  if (out.size() == 0) return out;
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const from = x.data<T>();
    T* const to = out.mutable_data<T>();
    if (rank == 0) {
      *to = *from;
      return;
    }
    const auto last = static_cast<std::size_t>(rank - 1);
    const std::int64_t run = lengths[last], rows = out.size() / run;
    parallel::for_range(rows, run, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        std::int64_t offset = 0, rest = row;
        for (std::size_t axis = last; axis-- > 0;) {
          offset += rest % lengths[axis] * step[axis];
          rest /= lengths[axis];
        }
        for (std::int64_t i = 0; i < run; ++i) to[row * run + i] = from[offset + i * step[last]];
      }
    });
  });
  return out;
}

Tensor transpose(const Tensor& x, int a, int b) {
  std::array<int, Shape::max_rank> axes{};
  std::iota(axes.begin(), axes.end(), 0);
  const Shape shape = x.shape();
  std::swap(axes[static_cast<std::size_t>(shape.normalize_axis(a))],
            axes[static_cast<std::size_t>(shape.normalize_axis(b))]);
  return permute(x, std::span<const int>(axes).first(static_cast<std::size_t>(shape.rank())));
}

Tensor concat(std::span<const Tensor> parts, int axis) {
  if (parts.empty()) fail<ShapeError>("concat: no parts");
  const Shape first = parts.front().shape();
  axis = first.normalize_axis(axis);
  std::int64_t length = 0;
  for (const Tensor& part : parts) {
    if (part.dtype() != parts.front().dtype())
      fail<DtypeError>("concat: parts of f32 and f64; convert one with to()");
    if (part.rank() != first.rank() || part.shape().with(axis, 0) != first.with(axis, 0)) {
      fail<ShapeError>("concat along axis {}: parts of shapes {} and {}", axis, first, part.shape());
    }
    length += part.dim(axis);
  }
  Tensor out = Tensor::uninitialized(first.with(axis, length), parts.front().dtype());
  const Runs all = runs_at(out.shape(), axis);
  visit_dtype(out.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* to = out.mutable_data<T>();
    for (const Tensor& part : parts) {
      const std::int64_t run = part.dim(axis) * all.inner;
      const T* const from = part.data<T>();
      for (std::int64_t i = 0; i < all.outer; ++i)
        std::copy_n(from + i * run, run, to + i * all.length * all.inner);
      to += run;
    }
  });
  return out;
}

Tensor stack(std::span<const Tensor> parts, int axis) {
  std::vector<Tensor> expanded;
  for (const Tensor& part : parts) {
    expanded.push_back(part.reshape(part.shape().inserted(axis < 0 ? axis + part.rank() + 1 : axis, 1)));
  }
  return concat(expanded, axis);
}

Tensor slice(const Tensor& x, int axis, std::int64_t begin, std::int64_t end) {
  const Shape shape = x.shape();
  axis = shape.normalize_axis(axis);
  check_slice(shape, axis, begin, end);
  if (axis == 0) return x.rows(begin, end);
  Tensor out = Tensor::uninitialized(shape.with(axis, end - begin), x.dtype());
  const Runs r = runs_at(shape, axis);
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const from = x.data<T>() + begin * r.inner;
    T* const to = out.mutable_data<T>();
    const std::int64_t run = (end - begin) * r.inner;
    for (std::int64_t i = 0; i < r.outer; ++i) std::copy_n(from + i * r.length * r.inner, run, to + i * run);
  });
  return out;
}

void add_to_slice(Tensor& sum, const Tensor& x, int axis, std::int64_t begin) {
  const Shape shape = sum.shape();
  axis = shape.normalize_axis(axis);
  if (x.rank() != shape.rank() || x.shape().with(axis, 0) != shape.with(axis, 0)) {
    fail<ShapeError>("add_to_slice along axis {}: {} does not fit into {}", axis, x.shape(), shape);
  }
  check_slice(shape, axis, begin, begin + x.dim(axis));
  const Runs r = runs_at(shape, axis);
  visit_dtype(sum.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* const to = sum.mutable_data<T>() + begin * r.inner;
    const T* const from = x.data<T>();
    const std::int64_t run = x.dim(axis) * r.inner;
    for (std::int64_t i = 0; i < r.outer; ++i) {
      kernels::add_scaled<T>(T{1}, from + i * run, to + i * r.length * r.inner, run);
    }
  });
}

}  // namespace gradus
