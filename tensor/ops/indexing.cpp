#include "tensor/ops/indexing.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <span>
#include <type_traits>

#include "tensor/axes.hpp"
#include "tensor/kernels/copy.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/kernels/strided.hpp"
#include "tensor/ops.hpp"
#include "tensor/ops/compact.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using kernels::Strided;

/// The shape with the axis replaced by the ids' axes.
Shape selected(const Shape& shape, int axis, const Indices& ids) {
  Shape out = shape.erased(axis);
  for (int i = ids.rank(); i-- > 0;) out = out.inserted(axis, ids.dim(i));
  return out;
}

void check_dtypes(const char* op, const Tensor& sum, const Tensor& x) {
  if (sum.dtype() != x.dtype()) {
    fail<DtypeError>("{}: {} into {}; convert one with to()", op, name_of(x.dtype()), name_of(sum.dtype()));
  }
}

/// A view of x with the ids' shape that stays at entry 0 of the axis; a gather adds the id times the axis's
/// stride. If `broadcast`, x's lengths of 1 stretch; otherwise the ids' lengths may be shorter than x's.
Strided lanes(const char* op, const Shape& shape, int axis, const Indices& ids, bool broadcast) {
  bool fits = ids.rank() == shape.rank();
  const Strided all(shape);
  Strided out;
  for (int i = 0; fits && i < shape.rank(); ++i) {
    const std::int64_t wanted = ids.dim(i), has = shape[i];
    fits = i == axis || (broadcast ? has == wanted || has == 1 : has >= wanted);
    const bool still = i == axis || (broadcast && has == 1);
    out.push_axis(wanted, still ? 0 : all.stride[static_cast<std::size_t>(i)]);
  }
  if (!fits) {
    fail<ShapeError>("{}: ids of shape {} for axis {} of a tensor of shape {}", op, ids.shape(), axis, shape);
  }
  return out;
}

/// The elements of x that the ids select along the axis, in the ids' shape.
Tensor gather_lanes(const Tensor& x, int axis, const Indices& ids, const Strided& view) {
  Tensor out = Tensor::uninitialized(ids.shape(), x.dtype());
  const std::int64_t step = runs_at(x.shape(), axis).inner;
  const std::int32_t* const id = ids.data();
  const auto take = [&](auto* to, const auto* from) {
    kernels::for_pieces(view, true,
                        [=](std::int64_t at, std::int64_t place, std::int64_t count, std::int64_t stride) {
                          for (std::int64_t i = 0; i < count; ++i)
                            to[at + i] = from[place + i * stride + id[at + i] * step];
                        });
  };
  visit_elements(take, out, x);
  return out;
}

/// Rows of `inner` elements, one for each id. Short ones are copied as a number of elements that the compiler
/// knows.
template <class T>
void take_rows(const T* from, const std::int32_t* id, std::int64_t count, std::int64_t inner, T* to) {
  const auto known = [&]<std::int64_t n>(std::integral_constant<std::int64_t, n>) {
    for (std::int64_t j = 0; j < count; ++j)
      std::memcpy(to + j * n, from + id[j] * n, static_cast<std::size_t>(n) * sizeof(T));
  };
  switch (inner) {
    case 1:
      return known(std::integral_constant<std::int64_t, 1>());
    case 2:
      return known(std::integral_constant<std::int64_t, 2>());
    case 3:
      return known(std::integral_constant<std::int64_t, 3>());
    case 4:
      return known(std::integral_constant<std::int64_t, 4>());
    default:
      for (std::int64_t j = 0; j < count; ++j) kernels::copy_run(from + id[j] * inner, inner, to + j * inner);
  }
}

}  // namespace

void check_ids(const char* op, const Indices& ids, std::int64_t length) {
  const std::int32_t* const values = ids.data();
  // An id or what is left to the last one has its sign bit set if it is out of range. No branch in the loop,
  // and a number of parts that the compiler knows, so that it uses vector instructions.
  constexpr std::int64_t known = 16;
  const auto last = static_cast<std::uint32_t>(length - 1);
  std::array<std::uint32_t, known> wrong{};
  const auto look = [&](std::int64_t i, std::int64_t part) {
    const auto id = static_cast<std::uint32_t>(values[i]);
    wrong[static_cast<std::size_t>(part)] |= id | (last - id);
  };
  std::int64_t i = 0;
  for (; i + known <= ids.size(); i += known) {
    for (std::int64_t part = 0; part < known; ++part) look(i + part, part);
  }
  for (; i < ids.size(); ++i) look(i, 0);
  std::uint32_t any = length == 0 && ids.size() > 0 ? ~0u : 0u;
  for (const std::uint32_t part : wrong) any |= part;
  if ((any >> 31) == 0) return;
  for (i = 0; i < ids.size(); ++i) {
    if (values[i] < 0 || values[i] >= length) {
      fail<ShapeError>("{}: id {} at position {} is not in 0..{}", op, values[i], i, length - 1);
    }
  }
}

Indices broadcast_to(const Indices& ids, const Shape& shape) {
  if (ids.shape() == shape) return ids;
  if (broadcast_shapes("broadcast_to", ids.shape(), shape) != shape)
    fail<ShapeError>("broadcast_to: ids of shape {} do not broadcast to {}", ids.shape(), shape);
  std::vector<std::int32_t> out(static_cast<std::size_t>(shape.size()));
  const Strided view = kernels::broadcast_view(ids.shape(), shape);
  kernels::read_strided<std::int32_t>(ids.data(), view, out.data());
  return Indices(std::move(out), shape);
}

Tensor index_select(const Tensor& x, int axis, const Indices& ids) {
  axis = named_axis("index_select", x.shape(), axis);
  check_ids("index_select", ids, x.dim(axis));
  Tensor out = Tensor::uninitialized(selected(x.shape(), axis, ids), x.dtype());
  if (out.size() == 0) return out;
  const Runs r = runs_at(x.shape(), axis);
  const std::int64_t count = ids.size();
  const auto take = [&]<class T>(T* to, const T* from) {
    const auto range = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end;) {  // the ids of one block of the outer axes at a time
        const T* const block = from + i / count * r.length * r.inner;
        const std::int32_t* const id = ids.data() + i % count;
        const std::int64_t some = std::min(count - i % count, end - i);
        take_rows(block, id, some, r.inner, to + i * r.inner);
        i += some;
      }
    };
    parallel::for_range(r.outer * count, r.inner, range);
  };
  visit_elements(take, out, x);
  return out;
}

void index_add(Tensor& sum, int axis, const Indices& ids, const Tensor& x) {
  axis = named_axis("index_add", sum.shape(), axis);
  check_ids("index_add", ids, sum.dim(axis));
  check_dtypes("index_add", sum, x);
  if (x.shape() != selected(sum.shape(), axis, ids)) {
    fail<ShapeError>("index_add: {} at ids of shape {} along axis {} of {}; it should be {}", x.shape(),
                     ids.shape(), axis, sum.shape(), selected(sum.shape(), axis, ids));
  }
  if (x.size() == 0) return;
  const Runs r = runs_at(sum.shape(), axis);
  const std::int64_t count = ids.size();
  const auto add = [&]<class T>(T* to, const T* from) {
    // Each column of each block is summed by one thread, in the order of the ids.
    const auto add_columns = [&](std::int64_t block, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = 0; i < count; ++i) {
        const T* const entry = from + (block * count + i) * r.inner;
        T* const total = to + (block * r.length + ids.data()[i]) * r.inner;
        if (r.inner == 1) {
          *total += *entry;
        } else {
          kernels::add_scaled<T>(T{1}, entry + begin, total + begin, end - begin);
        }
      }
    };
    if (r.outer == 1) {
      parallel::for_range(
          r.inner, count, [&](std::int64_t begin, std::int64_t end) { add_columns(0, begin, end); }, 16);
    } else {
      parallel::for_each(r.outer, count * r.inner,
                         [&](std::int64_t block) { add_columns(block, 0, r.inner); });
    }
  };
  visit_elements(add, sum, x);
}

Tensor gather_rows(const Tensor& table, const Indices& ids) {
  if (table.rank() == 0) fail<ShapeError>("gather_rows: a scalar has no rows");
  check_ids("gather_rows", ids, table.dim(0));
  if (is_compact(table.dtype())) return detail::compact_rows(detail::compact_matrix(table), ids);
  return index_select(table, 0, ids);
}

void scatter_add_rows(Tensor& table, const Indices& ids, const Tensor& values) {
  if (table.rank() == 0) fail<ShapeError>("scatter_add_rows: a scalar has no rows");
  check_ids("scatter_add_rows", ids, table.dim(0));
  const Shape wanted = selected(table.shape(), 0, ids);
  if (values.size() != wanted.size()) {
    fail<ShapeError>("scatter_add_rows: values of shape {} for {} rows of a table of shape {}",
                     values.shape(), ids.size(), table.shape());
  }
  index_add(table, 0, ids, values.reshape(wanted));
}

Tensor gather(const Tensor& x, int axis, const Indices& ids) {
  axis = named_axis("gather", x.shape(), axis);
  const Strided view = lanes("gather", x.shape(), axis, ids, false);
  check_ids("gather", ids, x.dim(axis));
  return gather_lanes(x, axis, ids, view);
}

void scatter_add(Tensor& sum, int axis, const Indices& ids, const Tensor& x) {
  axis = named_axis("scatter_add", sum.shape(), axis);
  const Strided view = lanes("scatter_add", sum.shape(), axis, ids, false);
  check_ids("scatter_add", ids, sum.dim(axis));
  check_dtypes("scatter_add", sum, x);
  if (x.shape() != ids.shape())
    fail<ShapeError>("scatter_add: values of shape {} for ids of shape {}", x.shape(), ids.shape());
  const std::int64_t step = runs_at(sum.shape(), axis).inner;
  const std::int32_t* const id = ids.data();
  const auto add = [&](auto* to, const auto* from) {
    // On one thread, in the order of the ids, so that the values of equal ids are always added in one order.
    kernels::for_pieces(view, false,
                        [=](std::int64_t at, std::int64_t place, std::int64_t count, std::int64_t stride) {
                          for (std::int64_t i = 0; i < count; ++i)
                            to[place + i * stride + id[at + i] * step] += from[at + i];
                        });
  };
  visit_elements(add, sum, x);
}

Shape detail::taken_along(const Shape& shape, int axis, const Indices& ids) {
  axis = named_axis("take_along", shape, axis);
  if (ids.rank() != shape.rank()) {
    fail<ShapeError>("take_along: ids of shape {} for a tensor of shape {}; they must have one rank",
                     ids.shape(), shape);
  }
  return broadcast_shapes("take_along", shape.with(axis, 1), ids.shape().with(axis, 1))
      .with(axis, ids.dim(axis));
}

Tensor take_along(const Tensor& x, int axis, const Indices& ids) {
  axis = named_axis("take_along", x.shape(), axis);
  const Indices wide = broadcast_to(ids, detail::taken_along(x.shape(), axis, ids));
  check_ids("take_along", ids, x.dim(axis));
  return gather_lanes(x, axis, wide, lanes("take_along", x.shape(), axis, wide, true));
}

Tensor pick(const Tensor& x, int axis, const Indices& ids) {
  if (x.rank() == 0 || x.shape().erased(axis) != ids.shape()) {
    fail<ShapeError>(
        "pick along axis {}: ids of shape {} for a tensor of shape {}; give one for each position of "
        "the other axes",
        axis, ids.shape(), x.shape());
  }
  axis = named_axis("pick", x.shape(), axis);
  check_ids("pick", ids, x.dim(axis));
  const Indices kept = ids.reshape(x.shape().with(axis, 1));
  return gather_lanes(x, axis, kept, lanes("pick", x.shape(), axis, kept, false)).reshape(ids.shape());
}

Tensor repeat_interleave(const Tensor& x, const Indices& counts, int axis) {
  return index_select(x, axis, detail::interleaved_ids(counts, x.dim(axis)));
}

Indices detail::interleaved_ids(const Indices& counts, std::int64_t length) {
  if (counts.rank() != 1 || counts.dim(0) != length) {
    fail<ShapeError>("repeat_interleave: counts of shape {} for an axis of length {}; give one an entry",
                     counts.shape(), length);
  }
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < length; ++i) {
    const std::int32_t count = counts.data()[i];
    if (count < 0) fail<ShapeError>("repeat_interleave: a count of {} at position {}", count, i);
    ids.insert(ids.end(), static_cast<std::size_t>(count), i);
  }
  return Indices(std::move(ids));
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  if (broadcast_shapes("masked_fill", x.shape(), mask.shape()) != x.shape())
    fail<ShapeError>("masked_fill: a mask of shape {} for a tensor of shape {}", mask.shape(), x.shape());
  return where(mask.dtype() == x.dtype() ? mask : not_equal(mask, 0).to(x.dtype()), value, x);
}

Tensor Rows::dense() const {
  Tensor out = zeros(values.shape().with(0, height), values.dtype());
  scatter_add_rows(out, ids, values);
  return out;
}

namespace {

/// The positions of ids, by rising id and then by position. Eight bits of the ids at a time, from the lowest
/// on: less than comparing, and std::stable_sort would take memory from the heap.
storage::PoolVector<std::int32_t> sorted_positions(std::span<const std::int32_t> ids) {
  storage::PoolVector<std::int32_t> order(ids.size()), next(ids.size());
  std::iota(order.begin(), order.end(), 0);
  if (ids.empty()) return order;
  const auto [least, most] = std::ranges::minmax(ids);
  const auto key = [&, low = std::int64_t{least}](std::int32_t position) {
    return static_cast<std::uint64_t>(std::int64_t{ids[static_cast<std::size_t>(position)]} - low);
  };
  for (int shift = 0; static_cast<std::uint64_t>(std::int64_t{most} - least) >> shift != 0; shift += 8) {
    std::array<std::int32_t, 257> begin{};
    for (const std::int32_t i : order) ++begin[(key(i) >> shift & 0xFF) + 1];
    for (std::size_t digit = 0; digit < 256; ++digit) begin[digit + 1] += begin[digit];
    for (const std::int32_t i : order) next[static_cast<std::size_t>(begin[key(i) >> shift & 0xFF]++)] = i;
    order.swap(next);
  }
  return order;
}

}  // namespace

Rows Rows::merged() const {
  const storage::PoolVector<std::int32_t> order = sorted_positions(ids.values());
  storage::PoolVector<std::int32_t> unique_ids;
  storage::PoolVector<std::int64_t> first;  // of each id in `order`, and the end
  unique_ids.reserve(order.size());
  first.reserve(order.size() + 1);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::int32_t id = ids.data()[order[i]];
    if (!unique_ids.empty() && unique_ids.back() == id) continue;
    unique_ids.push_back(id);
    first.push_back(static_cast<std::int64_t>(i));
  }
  first.push_back(ids.size());
  const auto count = static_cast<std::int64_t>(unique_ids.size());
  Tensor sums = Tensor::uninitialized(values.shape().with(0, count), values.dtype());
  const std::int64_t width = count == 0 ? 0 : sums.size() / count;
  const auto add_up = [&]<class T>(T* to, const T* from) {
    const auto& kernel = kernels::selected<T>();
    const T zero = 0;  // which makes 0 of -0
    parallel::for_each(count, width, [&](std::int64_t row) {
      const auto at = static_cast<std::size_t>(row);
      T* const total = to + row * width;
      for (std::int64_t i = first[at]; i < first[at + 1]; ++i) {
        const T* const part = from + order[static_cast<std::size_t>(i)] * width;
        const bool begins = i == first[at];
        kernel.binary(kernels::Binary::add, part, false, begins ? &zero : total, begins, total, width);
      }
    });
  };
  visit_elements(add_up, sums, values);
  return {Indices::from_pool(std::move(unique_ids)), std::move(sums), height};
}

}  // namespace gradus
