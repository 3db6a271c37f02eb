#include "tensor/ops/pool.hpp"

#include <algorithm>
#include <limits>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops/creation.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace detail {

namespace {

/// The options along one axis.
struct AxisOptions {
  std::int64_t kernel, stride, padding, dilation;
  bool ceil;
};

void check_x(const char* op, const Tensor& x, int rank) {
  if (x.rank() != rank + 2) {
    fail<ShapeError>("{}: x of shape {}; it must be {}", op, x.shape(),
                     rank == 1 ? "(batch, channels, length)" : "(batch, channels, height, width)");
  }
  std::int64_t plane = x.dim(-1);
  if (rank == 2) plane *= x.dim(2);
  check_length(op, "the size of a plane", plane);
}

void check_options(const char* op, const AxisOptions& o) {
  const auto check = [&](const char* name, std::int64_t value, std::int64_t least) {
    if (value < least) fail<ArgumentError>("{}: {} is {}; it must be at least {}", op, name, value, least);
    check_length(op, name, value);
  };
  check("the kernel", o.kernel, 1);
  check("stride", o.stride, 0);
  check("padding", o.padding, 0);
  check("dilation", o.dilation, 1);
  const std::int64_t reach = o.dilation * (o.kernel - 1) + 1;
  if (2 * o.padding > reach) {
    fail<ArgumentError>(
        "{}: padding is {}; it must be at most half of the {} entries that the kernel reaches over", op,
        o.padding, reach);
  }
}

/// The windows along an axis of x.
storage::PoolVector<PoolWindow> windows_along(const char* op, const Tensor& x, int axis, AxisOptions o,
                                              bool count_padding) {
  check_options(op, o);
  if (o.stride == 0) o.stride = o.kernel;
  const std::int64_t length = x.dim(axis), reach = o.dilation * (o.kernel - 1) + 1;
  const std::int64_t room = length + 2 * o.padding - reach + (o.ceil ? o.stride - 1 : 0);
  if (room < 0 || length == 0) {
    fail<ShapeError>("{}: x of shape {}: {} entries with padding, the kernel reaches over {}", op, x.shape(),
                     length + 2 * o.padding, reach);
  }
  std::int64_t count = room / o.stride + 1;
  if (o.ceil && (count - 1) * o.stride >= length + o.padding) --count;
  storage::PoolVector<PoolWindow> out;
  out.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t start = i * o.stride - o.padding, end = start + reach;
    const std::int64_t skipped = start < 0 ? (-start + o.dilation - 1) / o.dilation : 0;
    const PoolWindow window{.first = start + skipped * o.dilation,
                            .last = std::min(end, length),
                            .count = count_padding
                                         ? std::min(end, length + o.padding) - start
                                         : std::min(end, length) - std::max(start, std::int64_t{0})};
    if (window.first >= window.last)
      fail<ShapeError>("{}: x of shape {}: window {} sees nothing but padding", op, x.shape(), i);
    out.push_back(window);
  }
  return out;
}

storage::PoolVector<PoolWindow> one_row() {
  return {{0, 1, 1}};
}

storage::PoolVector<PoolWindow> adaptive_along(const char* op, const Tensor& x, int axis,
                                               std::int64_t count) {
  const std::int64_t length = x.dim(axis);
  if (count < 1) fail<ArgumentError>("{}: {} windows; there must be at least 1", op, count);
  check_length(op, "the number of windows", count);
  if (length == 0) fail<ShapeError>("{}: x of shape {} has no elements along axis {}", op, x.shape(), axis);
  storage::PoolVector<PoolWindow> out;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t first = i * length / count, last = ((i + 1) * length + count - 1) / count;
    out.push_back({first, last, last - first});
  }
  return out;
}

PoolWindows with_shapes(const Tensor& x, storage::PoolVector<PoolWindow> down,
                        storage::PoolVector<PoolWindow> across) {
  PoolWindows out;
  out.x_shape = x.shape();
  out.y_shape = x.shape().with(x.rank() - 1, static_cast<std::int64_t>(across.size()));
  if (x.rank() == 4) out.y_shape = out.y_shape.with(2, static_cast<std::int64_t>(down.size()));
  out.y = std::move(down);
  out.x = std::move(across);
  return out;
}

AxisOptions down(const auto& o) {
  return {o.kernel.height, o.stride.height, o.padding.height, 1, o.ceil};
}
AxisOptions across(const auto& o) {
  return {o.kernel.width, o.stride.width, o.padding.width, 1, o.ceil};
}

std::int64_t work_of(const PoolWindows& w) {
  return w.height() * w.width() + static_cast<std::int64_t>(w.y.size() * w.x.size()) + 1;
}

/// Calls f(plane) for each plane of x.
template <class F>
void for_planes(const PoolWindows& w, const F& f) {
  parallel::for_each(w.planes(), 2 * work_of(w), f);
}

/// The largest of each window of a plane and, unless null, its position in it.
template <class T>
void largest_of_plane(const PoolWindows& w, const T* x, T* y, std::int32_t* at) {
  const std::int64_t width = w.width();
  for (const PoolWindow& rows : w.y) {
    for (const PoolWindow& columns : w.x) {
      T best = -std::numeric_limits<T>::infinity();
      std::int64_t position = rows.first * width + columns.first;
      for (std::int64_t r = rows.first; r < rows.last; r += w.y_dilation) {
        for (std::int64_t c = columns.first; c < columns.last; c += w.x_dilation) {
          const T v = x[r * width + c];
          const bool more = v > best || v != v;
          best = more ? v : best;
          position = more ? r * width + c : position;
        }
      }
      *y++ = best;
      if (at != nullptr) *at++ = static_cast<std::int32_t>(position);
    }
  }
}

/// Calls f(first, columns) for each row of a window, from x[first] on, or once where rows lie side by side.
template <class F>
void for_window_rows(const PoolWindow& rows, const PoolWindow& columns, std::int64_t width, F f) {
  if (columns.first == 0 && columns.last == width)
    return f(rows.first * width, (rows.last - rows.first) * width);
  for (std::int64_t r = rows.first; r < rows.last; ++r)
    f(r * width + columns.first, columns.last - columns.first);
}

/// So many elements are worth a call of a kernel.
constexpr std::int64_t long_row = 16;

template <class T>
void means_of_plane(const PoolWindows& w, const T* x, T* y) {
  const auto& kernel = kernels::selected<T>();
  for (const PoolWindow& rows : w.y) {
    for (const PoolWindow& columns : w.x) {
      double total = 0;
      for_window_rows(rows, columns, w.width(), [&](std::int64_t first, std::int64_t count) {
        if (count >= long_row) {
          total += kernel.fold(kernels::Fold::sum, x + first, count);
        } else {
          T sum = 0;
          for (std::int64_t c = 0; c < count; ++c) sum += x[first + c];
          total += static_cast<double>(sum);
        }
      });
      *y++ = static_cast<T>(total / static_cast<double>(rows.count * columns.count));
    }
  }
}

/// Whether each entry of an axis is in one window.
bool is_split(const storage::PoolVector<PoolWindow>& windows, std::int64_t length) {
  std::int64_t at = 0;
  for (const PoolWindow& window : windows) {
    if (window.first != at) return false;
    at = window.last;
  }
  return at == length;
}

/// Adds to x, or with `alone` sets the elements of x, each of which is in one window.
template <bool alone, class T>
void spread_over_plane(const PoolWindows& w, const T* y, T* x) {
  const auto& kernel = kernels::selected<T>();
  for (const PoolWindow& rows : w.y) {
    for (const PoolWindow& columns : w.x) {
      const T share = *y++ / static_cast<T>(rows.count * columns.count) + T{0};  // not -0
      for_window_rows(rows, columns, w.width(), [&](std::int64_t first, std::int64_t count) {
        if (alone && count >= long_row) return kernel.fill(share, x + first, count);
        for (std::int64_t c = 0; c < count; ++c) x[first + c] = alone ? share : x[first + c] + share;
      });
    }
  }
}

}  // namespace

PoolWindows pool_windows(const Tensor& x, const MaxPool1dOptions& o) {
  check_x("max_pool1d", x, 1);
  const AxisOptions axis{o.kernel, o.stride, o.padding, o.dilation, o.ceil};
  PoolWindows out = with_shapes(x, one_row(), windows_along("max_pool1d", x, 2, axis, false));
  out.x_dilation = o.dilation;
  return out;
}

PoolWindows pool_windows(const Tensor& x, const MaxPool2dOptions& o) {
  check_x("max_pool2d", x, 2);
  AxisOptions height = down(o), width = across(o);
  height.dilation = o.dilation.height;
  width.dilation = o.dilation.width;
  PoolWindows out = with_shapes(x, windows_along("max_pool2d", x, 2, height, false),
                                windows_along("max_pool2d", x, 3, width, false));
  out.y_dilation = o.dilation.height;
  out.x_dilation = o.dilation.width;
  return out;
}

PoolWindows pool_windows(const Tensor& x, const AvgPool1dOptions& o) {
  check_x("avg_pool1d", x, 1);
  const AxisOptions axis{o.kernel, o.stride, o.padding, 1, o.ceil};
  return with_shapes(x, one_row(), windows_along("avg_pool1d", x, 2, axis, o.count_include_pad));
}

PoolWindows pool_windows(const Tensor& x, const AvgPool2dOptions& o) {
  check_x("avg_pool2d", x, 2);
  return with_shapes(x, windows_along("avg_pool2d", x, 2, down(o), o.count_include_pad),
                     windows_along("avg_pool2d", x, 3, across(o), o.count_include_pad));
}

PoolWindows adaptive_windows(const char* op, const Tensor& x, HeightWidth lengths, int rank) {
  check_x(op, x, rank);
  return with_shapes(x, rank == 1 ? one_row() : adaptive_along(op, x, 2, lengths.height),
                     adaptive_along(op, x, rank + 1, lengths.width));
}

Tensor pool_max(const PoolWindows& w, const Tensor& x, Indices* where) {
  Tensor out = Tensor::uninitialized(w.y_shape, x.dtype());
  storage::PoolVector<std::int32_t> at(static_cast<std::size_t>(where == nullptr ? 0 : out.size()));
  const auto compute = [&](auto* y, const auto* from) {
    const std::int64_t size = static_cast<std::int64_t>(w.y.size() * w.x.size());
    for_planes(w, [&](std::int64_t plane) {
      largest_of_plane(w, from + plane * w.height() * w.width(), y + plane * size,
                       where == nullptr ? nullptr : at.data() + plane * size);
    });
  };
  visit_elements(compute, out, x);
  if (where != nullptr) *where = Indices::from_pool(std::move(at));
  return out;
}

Tensor pool_pick(const PoolWindows& w, const Tensor& x, const Indices& where) {
  Tensor out = Tensor::uninitialized(w.y_shape, x.dtype());
  const auto compute = [&](auto* y, const auto* from) {
    const auto size = static_cast<std::int64_t>(w.y.size() * w.x.size());
    for_planes(w, [&](std::int64_t plane) {
      const auto* const x_plane = from + plane * w.height() * w.width();
      for (std::int64_t i = plane * size; i < (plane + 1) * size; ++i) y[i] = x_plane[where.data()[i]];
    });
  };
  visit_elements(compute, out, x);
  return out;
}

Tensor pool_place(const PoolWindows& w, const Tensor& y, const Indices& where) {
  Tensor out = zeros(w.x_shape, y.dtype());
  const auto compute = [&](auto* x, const auto* from) {
    const auto size = static_cast<std::int64_t>(w.y.size() * w.x.size());
    for_planes(w, [&](std::int64_t plane) {
      auto* const x_plane = x + plane * w.height() * w.width();
      for (std::int64_t i = plane * size; i < (plane + 1) * size; ++i) x_plane[where.data()[i]] += from[i];
    });
  };
  visit_elements(compute, out, y);
  return out;
}

Tensor pool_mean(const PoolWindows& w, const Tensor& x) {
  Tensor out = Tensor::uninitialized(w.y_shape, x.dtype());
  const auto compute = [&](auto* y, const auto* from) {
    const auto size = static_cast<std::int64_t>(w.y.size() * w.x.size());
    for_planes(w, [&](std::int64_t plane) {
      means_of_plane(w, from + plane * w.height() * w.width(), y + plane * size);
    });
  };
  visit_elements(compute, out, x);
  return out;
}

Tensor pool_spread(const PoolWindows& w, const Tensor& y) {
  const bool alone = is_split(w.y, w.height()) && is_split(w.x, w.width());
  Tensor out = alone ? Tensor::uninitialized(w.x_shape, y.dtype()) : zeros(w.x_shape, y.dtype());
  const auto compute = [&](auto* x, const auto* from) {
    const auto size = static_cast<std::int64_t>(w.y.size() * w.x.size());
    for_planes(w, [&](std::int64_t plane) {
      const auto* const shares = from + plane * size;
      auto* const to = x + plane * w.height() * w.width();
      alone ? spread_over_plane<true>(w, shares, to) : spread_over_plane<false>(w, shares, to);
    });
  };
  visit_elements(compute, out, y);
  return out;
}

}  // namespace detail

Tensor max_pool1d(const Tensor& x, MaxPool1dOptions options) {
  return detail::pool_max(detail::pool_windows(x, options), x, nullptr);
}
Tensor max_pool2d(const Tensor& x, MaxPool2dOptions options) {
  return detail::pool_max(detail::pool_windows(x, options), x, nullptr);
}
Tensor avg_pool1d(const Tensor& x, AvgPool1dOptions options) {
  return detail::pool_mean(detail::pool_windows(x, options), x);
}
Tensor avg_pool2d(const Tensor& x, AvgPool2dOptions options) {
  return detail::pool_mean(detail::pool_windows(x, options), x);
}
Tensor adaptive_avg_pool1d(const Tensor& x, std::int64_t length) {
  return detail::pool_mean(detail::adaptive_windows("adaptive_avg_pool1d", x, length, 1), x);
}
Tensor adaptive_avg_pool2d(const Tensor& x, HeightWidth lengths) {
  return detail::pool_mean(detail::adaptive_windows("adaptive_avg_pool2d", x, lengths, 2), x);
}
Tensor adaptive_max_pool1d(const Tensor& x, std::int64_t length) {
  return detail::pool_max(detail::adaptive_windows("adaptive_max_pool1d", x, length, 1), x, nullptr);
}
Tensor adaptive_max_pool2d(const Tensor& x, HeightWidth lengths) {
  return detail::pool_max(detail::adaptive_windows("adaptive_max_pool2d", x, lengths, 2), x, nullptr);
}

}  // namespace gradus
