#include <algorithm>
#include <array>
#include <numeric>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"
#include "tensor/parallel.hpp"

namespace gradus {

namespace {

/// The elements of one row of a (height, width...) tensor.
std::int64_t row_size(const Shape& shape) {
  return shape.erased(0).size();
}

void check_ids(const char* op, const Indices& ids, std::int64_t height) {
  const std::int32_t* const values = ids.data();
  for (std::int64_t i = 0; i < ids.size(); ++i) {
    if (values[i] < 0 || values[i] >= height) {
      fail<ShapeError>("{}: id {} at position {} is not in 0..{}, the rows of the table", op, values[i], i,
                       height - 1);
    }
  }
}

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

Tensor gather_rows(const Tensor& table, const Indices& ids) {
  if (table.rank() == 0) fail<ShapeError>("gather_rows: a scalar has no rows");
  check_ids("gather_rows", ids, table.dim(0));
  Shape shape = table.shape().erased(0);
  for (int i = ids.rank(); i-- > 0;) shape = shape.inserted(0, ids.dim(i));
  Tensor out = Tensor::uninitialized(shape, table.dtype());
  const std::int64_t width = row_size(table.shape());
  visit_dtype(table.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const from = table.data<T>();
    T* const to = out.mutable_data<T>();
    parallel::for_range(ids.size(), width, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        std::copy_n(from + ids.data()[i] * width, width, to + i * width);
    });
  });
  return out;
}

void scatter_add_rows(Tensor& table, const Indices& ids, const Tensor& values) {
  if (table.rank() == 0) fail<ShapeError>("scatter_add_rows: a scalar has no rows");
  check_ids("scatter_add_rows", ids, table.dim(0));
  const std::int64_t width = row_size(table.shape());
  if (values.size() != ids.size() * width) {
    fail<ShapeError>("scatter_add_rows: values of shape {} for {} rows of a table of shape {}",
                     values.shape(), ids.size(), table.shape());
  }
  visit_dtype(table.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* const to = table.mutable_data<T>();
    const T* const from = values.data<T>();
    // In the order of the ids, so that equal rows add up the same way every time.
    for (std::int64_t i = 0; i < ids.size(); ++i) {
      kernels::add_scaled<T>(T{1}, from + i * width, to + ids.data()[i] * width, width);
    }
  });
}

Tensor take_along_last(const Tensor& x, const Indices& ids) {
  if (x.rank() == 0 || x.shape().erased(-1) != ids.shape()) {
    fail<ShapeError>("take_along_last: ids of shape {} for a tensor of shape {}", ids.shape(), x.shape());
  }
  check_ids("take_along_last", ids, x.dim(-1));
  Tensor out = Tensor::uninitialized(ids.shape(), x.dtype());
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* from = x.data<T>();
    T* const to = out.mutable_data<T>();
    for (std::int64_t i = 0; i < ids.size(); ++i, from += x.dim(-1)) to[i] = from[ids.data()[i]];
  });
  return out;
}

Tensor Rows::dense() const {
  Tensor out = zeros(values.shape().with(0, height), values.dtype());
  scatter_add_rows(out, ids, values);
  return out;
}

Rows Rows::merged() const {
  std::vector<std::int32_t> order(static_cast<std::size_t>(ids.size()));
  std::iota(order.begin(), order.end(), 0);
  const std::int32_t* const id = ids.data();
  std::stable_sort(order.begin(), order.end(),
                   [id](std::int32_t a, std::int32_t b) { return id[a] < id[b]; });
  std::vector<std::int32_t> unique_ids, row_of(order.size());
  for (const std::int32_t i : order) {
    if (unique_ids.empty() || unique_ids.back() != id[i]) unique_ids.push_back(id[i]);
    row_of[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(unique_ids.size()) - 1;
  }
  Tensor sums = zeros(values.shape().with(0, static_cast<std::int64_t>(unique_ids.size())), values.dtype());
  scatter_add_rows(sums, Indices(std::move(row_of)), values);
  return {Indices(std::move(unique_ids)), std::move(sums), height};
}

}  // namespace gradus
