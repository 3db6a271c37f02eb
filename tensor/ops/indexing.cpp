#include <algorithm>
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

}  // namespace

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
