#include "tensor/ops/movement.hpp"

#include <algorithm>
#include <array>
#include <numeric>

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

std::size_t index(int axis) {
  return static_cast<std::size_t>(axis);
}

/// The view's elements as a tensor of the view's shape.
Tensor read(const Tensor& x, const Strided& view) {
  Tensor out = Tensor::uninitialized(view.shape(), x.dtype());
  visit_elements([&](auto* to, const auto* from) { kernels::read_strided(from, view, to); }, out, x);
  return out;
}

/// Adds x to the part of sum that the view shows.
void add(const char* op, Tensor& sum, const Tensor& x, const Strided& view) {
  if (x.shape() != view.shape()) {
    fail<ShapeError>("{}: {} does not fit into the part {} of {}", op, x.shape(), view.shape(), sum.shape());
  }
  if (x.dtype() != sum.dtype()) {
    fail<DtypeError>("{}: {} into {}; convert one with to()", op, name_of(x.dtype()), name_of(sum.dtype()));
  }
  visit_elements([&](auto* to, const auto* from) { kernels::add_strided(from, to, view); }, sum, x);
}

/// Narrows the view to the slice of one of its axes.
void cut(Strided& view, const Shape& shape, int axis, const Slice& which) {
  const auto a = index(named_axis("slice", shape, axis));
  const std::int64_t length = view.length[a];
  if (which.step == 0) fail<ShapeError>("slice: a step of 0 on axis {} of shape {}", axis, shape);
  const bool forward = which.step > 0;
  // The largest value of a bound: `length`, the end, or for backward steps the last entry.
  const std::int64_t most = forward ? length : length - 1;
  const auto bound = [&](std::optional<std::int64_t> given, std::int64_t open, const char* name) {
    if (!given) return open;
    if (*given < -length || *given > most) {
      fail<ShapeError>("slice: {} {} is not in {}..{}, for axis {} of shape {}", name, *given, -length, most,
                       axis, shape);
    }
    return *given < 0 ? *given + length : *given;
  };
  const std::int64_t begin = bound(which.begin, forward ? 0 : length - 1, "begin");
  const std::int64_t end = bound(which.end, forward ? length : -1, "end");
  if (forward ? end < begin : end > begin) {
    fail<ShapeError>("slice: {}..{} by {} of axis {} of shape {}: begin lies behind end", begin, end,
                     which.step, axis, shape);
  }
  // Steps beyond the axis lead to one entry, however far they go.
  const std::int64_t step = std::clamp(which.step, -length - 1, length + 1), size = std::abs(step);
  view.length[a] = ((forward ? end - begin : begin - end) + size - 1) / size;
  if (view.length[a] > 0) view.offset += begin * view.stride[a];
  view.stride[a] *= step;
}

Strided cut_all(const Shape& shape, List<Slice> which) {
  if (static_cast<int>(which.size()) > shape.rank()) {
    fail<ShapeError>("slice: {} slices for a tensor of shape {}", which.size(), shape);
  }
  Strided view(shape);
  for (std::size_t i = 0; i < which.size(); ++i) cut(view, shape, static_cast<int>(i), which[i]);
  return view;
}

/// The view of one slice of `shape` in which x stands.
Strided cut_for(const char* op, const Shape& shape, const Tensor& x, int axis, std::int64_t begin) {
  if (x.rank() != shape.rank()) fail<ShapeError>("{}: {} does not fit into {}", op, x.shape(), shape);
  const std::int64_t length = shape[axis], first = begin < 0 ? begin + length : begin;
  const std::int64_t end = std::min(first, length) + x.dim(axis);
  if (first < 0 || end > length)
    fail<ShapeError>("{}: {} from {} of axis {} does not fit into {}", op, x.shape(), begin, axis, shape);
  Strided view(shape);
  cut(view, shape, axis, Slice{first, end});
  return view;
}

/// to[i] = 0 + from[i], which makes 0 of -0.
template <class T>
void add_zero(const T* from, std::int64_t n, T* to) {
  if (n > 32) {
    const T zero{0};
    return kernels::selected<T>().binary(kernels::Binary::add, from, false, &zero, true, to, n);
  }
  for (std::int64_t i = 0; i < n; ++i) to[i] = from[i] + T{0};
}

/// x added to zeros of `shape` where the view shows, each element written once unless the view has steps.
Tensor place(const Tensor& x, const Shape& shape, const Strided& view) {
  if (x.shape() != view.shape())
    fail<ShapeError>("place_slice: {} does not fit into the part {} of {}", x.shape(), view.shape(), shape);
  const Strided all(shape);
  int last = -1;  // the last axis that is cut; what follows it is one run
  bool steps = false;
  for (int i = 0; i < shape.rank(); ++i) {
    steps |= view.stride[index(i)] != all.stride[index(i)];
    if (view.length[index(i)] != shape[i]) last = i;
  }
  if (x.size() == 0 || steps) {
    Tensor out = zeros(shape, x.dtype());
    visit_elements([&](auto* to, const auto* from) { kernels::add_strided(from, to, view); }, out, x);
    return out;
  }
  if (last < 0) return x + 0;
  std::array<std::int64_t, Shape::max_rank> begin{};
  for (int i = 0; i <= last; ++i) begin[index(i)] = view.offset / all.stride[index(i)] % shape[i];
  const std::int64_t inner = all.stride[index(last)], whole = shape[last] * inner;
  const std::int64_t before = begin[index(last)] * inner, count = view.length[index(last)] * inner;
  Tensor out = Tensor::uninitialized(shape, x.dtype());
  const auto rows = [&]<class T>(T* to, const T* from) {
    parallel::for_each(out.size() / whole, whole, [&](std::int64_t row) {
      std::int64_t of_x = 0, step = 1, rest = row;  // the row of x, if it has this one
      bool inside = true;
      for (int i = last; i-- > 0; rest /= shape[i], step *= view.length[index(i)]) {
        const std::int64_t at = rest % shape[i] - begin[index(i)];
        inside &= at >= 0 && at < view.length[index(i)];
        of_x += at * step;
      }
      T* const line = to + row * whole;
      if (!inside) return static_cast<void>(std::fill_n(line, whole, T{0}));
      std::fill_n(line, before, T{0});
      add_zero(from + of_x * count, count, line + before);
      std::fill_n(line + before + count, whole - before - count, T{0});
    });
  };
  visit_elements(rows, out, x);
  return out;
}

/// True when the view's elements lie in order and without gaps, so that the view can share storage.
bool is_contiguous(const Strided& view) {
  if (view.size() == 0) return false;
  const Strided merged = view.merged();
  return merged.rank == 1 && (merged.stride[0] == 1 || merged.length[0] == 1);
}

Tensor read_or_share(const Tensor& x, const Strided& view) {
  if (!is_contiguous(view)) return read(x, view);
  return x.part(view.offset, view.shape());
}

Strided diagonal_view(const char* op, const Shape& shape, const DiagonalOptions& options) {
  if (shape.rank() < 2) fail<ShapeError>("{}: a tensor of shape {} has fewer than two axes", op, shape);
  const int a = named_axis(op, shape, options.axis1), b = named_axis(op, shape, options.axis2);
  if (a == b)
    fail<ShapeError>("{}: axes {} and {} of shape {} are the same", op, options.axis1, options.axis2, shape);
  const Strided all(shape);
  const std::int64_t offset = options.offset;  // whose negative exists
  const std::int64_t down = std::max<std::int64_t>(0, -offset), right = std::max<std::int64_t>(0, offset);
  const std::int64_t length = std::max<std::int64_t>(0, std::min(shape[a] - down, shape[b] - right));
  Strided view;
  if (length > 0) view.offset = down * all.stride[index(a)] + right * all.stride[index(b)];
  for (int i = 0; i < shape.rank(); ++i) {
    if (i != a && i != b) view.push_axis(all.length[index(i)], all.stride[index(i)]);
  }
  view.push_axis(length, all.stride[index(a)] + all.stride[index(b)]);
  return view;
}

/// x with 0 outside of columns begin..end-1 of row i, where keep(i) is {begin, end}.
template <class Keep>
Tensor triangle(const char* op, const Tensor& x, Keep keep) {
  if (x.rank() < 2) fail<ShapeError>("{}: a tensor of shape {} is not a matrix", op, x.shape());
  const std::int64_t rows = x.dim(-2), cols = x.dim(-1);
  Tensor out = Tensor::uninitialized_like(x);
  if (out.size() == 0) return out;
  const auto keep_rows = [&]<class T>(T* to, const T* from) {
    parallel::for_each(x.size() / cols, cols, [&](std::int64_t row) {
      const auto [begin, end] = keep(row % rows);
      T* const y = to + row * cols;
      std::fill(y, y + begin, T{0});
      std::copy(from + row * cols + begin, from + row * cols + end, y + begin);
      std::fill(y + end, y + cols, T{0});
    });
  };
  visit_elements(keep_rows, out, x);
  return out;
}

/// The shape with an axis of length 1 put in; a negative one counts from the result's end.
Shape unsqueezed(const Shape& shape, int axis) {
  const int rank = shape.rank(), at = axis < 0 ? axis + rank + 1 : axis;
  if (at < 0 || at > rank) {
    fail<ShapeError>("unsqueeze: a new axis {} for a tensor of shape {}: it may go from {} to {}", axis,
                     shape, -rank - 1, rank);
  }
  return shape.inserted(at, 1);
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  return x.reshape(shape);
}
Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> dims) {
  return x.reshape(dims);
}
Tensor flatten(const Tensor& x, int first, int last) {
  const Shape shape = x.shape();
  if (shape.rank() == 0) return x.reshape({1});
  const int a = named_axis("flatten", shape, first), b = named_axis("flatten", shape, last);
  if (b < a)
    fail<ShapeError>("flatten: axes {} to {} of shape {}: the first lies behind the last", first, last,
                     shape);
  std::int64_t merged = 1;
  Shape out = shape;
  for (int axis = b; axis >= a; --axis) {
    merged *= shape[axis];
    out = out.erased(axis);
  }
  return x.reshape(out.inserted(a, merged));
}
Tensor squeeze(const Tensor& x, int axis) {
  if (x.shape()[named_axis("squeeze", x.shape(), axis)] != 1)
    fail<ShapeError>("squeeze: axis {} of shape {} has {} entries, not one", axis, x.shape(), x.dim(axis));
  return x.reshape(x.shape().erased(axis));
}
Tensor squeeze(const Tensor& x) {
  Shape out = x.shape();
  for (int axis = out.rank(); axis-- > 0;) {
    if (out[axis] == 1) out = out.erased(axis);
  }
  return x.reshape(out);
}
Tensor unsqueeze(const Tensor& x, int axis) {
  return x.reshape(unsqueezed(x.shape(), axis));
}

Tensor permute(const Tensor& x, List<int> axes) {
  const Shape shape = x.shape();
  if (static_cast<int>(axes.size()) != shape.rank())
    fail<ShapeError>("permute: {} axes for a tensor of shape {}", axes.size(), shape);
  Axes(axes).of("permute", shape);  // checks that each is named once
  const Strided all(shape);
  Strided view;
  for (const int axis : axes) {
    const std::size_t from = index(shape.normalize_axis(axis));
    view.push_axis(all.length[from], all.stride[from]);
  }
  return read_or_share(x, view);
}

Tensor transpose(const Tensor& x, int a, int b) {
  std::array<int, Shape::max_rank> axes{};
  std::iota(axes.begin(), axes.end(), 0);
  const Shape shape = x.shape();
  std::swap(axes[index(named_axis("transpose", shape, a))], axes[index(named_axis("transpose", shape, b))]);
  return permute(x, std::span<const int>(axes).first(index(shape.rank())));
}

Tensor flip(const Tensor& x, List<int> axes) {
  const Shape shape = x.shape();
  Axes(axes).of("flip", shape);  // checks that each is named once
  Strided view(shape);
  for (const int axis : axes) {
    const std::size_t a = index(shape.normalize_axis(axis));
    if (view.length[a] > 0) view.offset += (view.length[a] - 1) * view.stride[a];
    view.stride[a] = -view.stride[a];
  }
  return read_or_share(x, view);
}

Tensor roll(const Tensor& x, std::int64_t shift, int axis) {
  axis = named_axis("roll", x.shape(), axis);
  const std::int64_t length = x.dim(axis);
  if (x.size() == 0) return x;
  const std::int64_t first = length - ((shift % length) + length) % length;  // the entry that comes to 0
  if (first == length) return x;
  Tensor out = Tensor::uninitialized_like(x);
  const Runs all = runs_at(x.shape(), axis);
  const std::int64_t whole = length * all.inner, before = first * all.inner, after = whole - before;
  const std::int64_t fewer = std::min(before, after);
  const auto turn = [&]<class T>(T* to, const T* from) {
    const auto each = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin * whole; at < end * whole; at += whole) {
        kernels::copy_run(from + at + before, after, to + at);
        kernels::copy_run(from + at, before, to + at + after);
      }
    };
    // Where few elements come from the other end, blocks of several runs are copied as if none did, and these
    // afterwards.
    const auto shifted = [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t at = begin * whole, count = (end - begin) * whole - fewer;
      if (fewer == before) {
        kernels::copy_run(from + at + before, count, to + at);
        for (std::int64_t row = at; row < end * whole; row += whole)
          kernels::copy_run(from + row, before, to + row + after);
      } else {
        kernels::copy_run(from + at, count, to + at + after);
        for (std::int64_t row = at; row < end * whole; row += whole)
          kernels::copy_run(from + row + before, after, to + row);
      }
    };
    const std::int64_t together = std::max(std::int64_t{1}, 2048 / whole);
    parallel::for_range(all.outer, whole, [&](std::int64_t begin, std::int64_t end) {
      if (fewer > 32 || 4 * fewer > whole) return each(begin, end);
      for (std::int64_t row = begin; row < end; row += together) shifted(row, std::min(row + together, end));
    });
  };
  visit_elements(turn, out, x);
  return out;
}

Tensor concat(List<Tensor> parts, int axis) {
  if (parts.empty()) fail<ShapeError>("concat: no parts");
  const Shape first = parts.front().shape();
  axis = named_axis("concat", first, axis);
  std::int64_t length = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Tensor& part = parts[i];
    if (part.dtype() != parts.front().dtype())
      fail<DtypeError>("concat: parts of f32 and f64; convert one with to()");
    const Shape shape = part.shape();
    bool fits = shape.rank() == first.rank();
    for (int a = 0; fits && a < first.rank(); ++a) fits = a == axis || shape[a] == first[a];
    if (!fits) {
      fail<ShapeError>(
          "concat along axis {}: part 0 of shape {} and part {} of shape {}; they may differ along that axis "
          "only",
          axis, first, i, shape);
    }
    length += shape[axis];
  }
  Tensor out = Tensor::uninitialized(first.with(axis, length), parts.front().dtype());
  const Runs all = runs_at(out.shape(), axis);
  if (out.size() == 0) return out;
  const auto join = [&]<class T>(T* to) {
    parallel::for_range(all.outer, all.length * all.inner, [&](std::int64_t begin, std::int64_t end) {
      std::int64_t at = 0;  // of the part, along a block of the output
      for (const Tensor& part : parts) {
        const std::int64_t run = part.dim(axis) * all.inner;
        const T* const from = part.data<T>();
        for (std::int64_t i = begin; i < end; ++i)
          kernels::copy_run(from + i * run, run, to + i * all.length * all.inner + at);
        at += run;
      }
    });
  };
  visit_elements(join, out);
  return out;
}

Tensor stack(List<Tensor> parts, int axis) {
  if (parts.empty()) fail<ShapeError>("stack: no parts");
  const Shape first = parts.front().shape();
  const Shape wider = unsqueezed(first, axis);
  storage::PoolVector<Tensor> expanded;
  expanded.reserve(parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].shape() != first) {
      fail<ShapeError>("stack: part 0 of shape {} and part {} of shape {}; they must be equal", first, i,
                       parts[i].shape());
    }
    expanded.push_back(parts[i].reshape(wider));
  }
  return concat(expanded, axis);
}

std::vector<Tensor> split(const Tensor& x, List<std::int64_t> lengths, int axis) {
  const Shape shape = x.shape();
  std::int64_t sum = 0;
  for (const std::int64_t length : lengths) {
    check_length("split", "a part", length);
    sum += length;
  }
  if (sum != shape[named_axis("split", shape, axis)])
    fail<ShapeError>("split: lengths of {} in all for axis {} of shape {}", sum, axis, shape);
  std::vector<Tensor> out;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    out.push_back(slice(x, axis, begin, begin + length));
    begin += length;
  }
  return out;
}
std::vector<Tensor> split(const Tensor& x, std::int64_t parts, int axis) {
  const std::int64_t length = x.shape()[named_axis("split", x.shape(), axis)];
  check_length("split", "a number of parts", parts);
  if (parts < 1 || length % parts != 0) {
    fail<ShapeError>("split: {} equal parts of axis {} of shape {}; chunk allows a shorter last one", parts,
                     axis, x.shape());
  }
  return split(x, std::vector<std::int64_t>(static_cast<std::size_t>(parts), length / parts), axis);
}
std::vector<Tensor> chunk(const Tensor& x, std::int64_t parts, int axis) {
  const Shape shape = x.shape();
  if (parts < 1) fail<ShapeError>("chunk: {} parts of axis {} of shape {}", parts, axis, shape);
  const std::int64_t length = shape[named_axis("chunk", shape, axis)];
  const std::int64_t each = std::max<std::int64_t>(1, length / parts + (length % parts > 0 ? 1 : 0));
  std::vector<std::int64_t> lengths;
  for (std::int64_t begin = 0; begin < length; begin += each)
    lengths.push_back(std::min(each, length - begin));
  if (lengths.empty()) lengths.push_back(0);
  return split(x, lengths, axis);
}

Tensor slice(const Tensor& x, int axis, std::int64_t begin, std::int64_t end) {
  return slice(x, axis, Slice{begin, end});
}

Tensor slice(const Tensor& x, int axis, const Slice& which) {
  const Shape shape = x.shape();
  if (is_compact(x.dtype())) {
    const std::int64_t begin = which.begin.value_or(0), end = which.end.value_or(shape[axis]);
    const bool rows = axis == 0 && which.step == 1 && begin >= 0 && begin <= end && end <= shape[0];
    if (rows) return detail::compact_rows(detail::compact_matrix(x), begin, end);
    return slice(x.to(Dtype::f32), axis, which);
  }
  Strided view(shape);
  cut(view, shape, axis, which);
  return read_or_share(x, view);
}

Tensor slice(const Tensor& x, List<Slice> which) {
  return read_or_share(x, cut_all(x.shape(), which));
}

void add_to_slice(Tensor& sum, const Tensor& x, int axis, std::int64_t begin) {
  add("add_to_slice", sum, x, cut_for("add_to_slice", sum.shape(), x, axis, begin));
}

void add_to_slice(Tensor& sum, const Tensor& x, List<Slice> which) {
  add("add_to_slice", sum, x, cut_all(sum.shape(), which));
}

Tensor detail::placed(const Tensor& x, const Shape& shape, int axis, std::int64_t begin) {
  return place(x, shape, cut_for("place_slice", shape, x, axis, begin));
}
Tensor detail::placed(const Tensor& x, const Shape& shape, List<Slice> which) {
  return place(x, shape, cut_all(shape, which));
}

Tensor select(const Tensor& x, int axis, std::int64_t i) {
  const std::int64_t length = x.shape()[named_axis("select", x.shape(), axis)];
  if (i < -length || i >= length) {
    fail<ShapeError>("select: entry {} of axis {} of shape {}: entries go from {} to {}", i, axis, x.shape(),
                     -length, length - 1);
  }
  const std::int64_t at = i < 0 ? i + length : i;
  return slice(x, axis, at, at + 1).reshape(x.shape().erased(axis));
}

std::vector<Tensor> unstack(const Tensor& x, int axis) {
  std::vector<Tensor> out;
  const std::int64_t length = x.shape()[named_axis("unstack", x.shape(), axis)];
  for (std::int64_t i = 0; i < length; ++i) out.push_back(select(x, axis, i));
  return out;
}

Tensor pad(const Tensor& x, List<Padding> widths, PadOptions options) {
  const Shape shape = x.shape();
  detail::check_padding(shape, widths);
  if (options.mode != PadMode::constant) {
    Tensor out = x;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const Padding width = widths[index(axis)];
      if (width.before == 0 && width.after == 0) continue;
      out = index_select(out, axis, Indices(detail::padded_sources(options.mode, shape[axis], width)));
    }
    return out;
  }
  Shape padded = shape;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const Padding width = widths[index(axis)];
    padded = padded.with(axis, width.before + shape[axis] + width.after);
  }
  Tensor out = full(padded, options.value, x.dtype());
  Strided view(padded);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    view.offset += widths[index(axis)].before * view.stride[index(axis)];
    view.length[index(axis)] = shape[axis];
  }
  visit_elements([&](auto* to, const auto* from) { kernels::write_strided(from, to, view); }, out, x);
  return out;
}

Tensor repeat(const Tensor& x, List<std::int64_t> counts) {
  if (static_cast<int>(counts.size()) < x.rank())
    fail<ShapeError>("repeat: {} counts for a tensor of shape {}; give one an axis", counts.size(),
                     x.shape());
  for (const std::int64_t count : counts) {
    check_length("repeat", "a count", count);
  }
  Shape shape = x.shape();
  while (shape.rank() < static_cast<int>(counts.size())) shape = shape.inserted(0, 1);
  Tensor out = x.reshape(shape);
  // From the last axis on, so that what is copied in the end comes in long runs.
  for (int axis = shape.rank(); axis-- > 0;) {
    const std::int64_t count = counts[index(axis)];
    if (count == 1) continue;
    const Runs r = runs_at(out.shape(), axis);
    const Shape repeated = out.shape().with(axis, r.length * count);
    out = broadcast_to(out.reshape({r.outer, 1, r.length * r.inner}), {r.outer, count, r.length * r.inner})
              .reshape(repeated);
  }
  return out;
}

Tensor repeat_interleave(const Tensor& x, std::int64_t count, int axis) {
  check_length("repeat_interleave", "a count", count);
  axis = named_axis("repeat_interleave", x.shape(), axis);
  const Shape repeated = x.shape().with(axis, x.dim(axis) * count);
  const Runs r = runs_at(x.shape(), axis);
  return broadcast_to(x.reshape({r.outer * r.length, 1, r.inner}), {r.outer * r.length, count, r.inner})
      .reshape(repeated);
}

Tensor diagonal(const Tensor& x, DiagonalOptions options) {
  return read(x, diagonal_view("diagonal", x.shape(), options));
}

void add_to_diagonal(Tensor& sum, const Tensor& x, DiagonalOptions options) {
  add("add_to_diagonal", sum, x, diagonal_view("add_to_diagonal", sum.shape(), options));
}

Tensor diag(const Tensor& x, int offset) {
  if (x.rank() == 2) return diagonal(x, {.offset = offset});
  if (x.rank() != 1) fail<ShapeError>("diag: a tensor of shape {}; give a vector or a matrix", x.shape());
  const std::int64_t rows = x.dim(0) + std::abs(std::int64_t{offset});
  Tensor out = zeros({rows, rows}, x.dtype());
  add_to_diagonal(out, x, {.offset = offset});
  return out;
}

Tensor tril(const Tensor& x, int offset) {
  return triangle("tril", x, [cols = x.rank() < 2 ? 0 : x.dim(-1), offset](std::int64_t row) {
    return std::pair(std::int64_t{0}, std::clamp<std::int64_t>(row + offset + 1, 0, cols));
  });
}

Tensor triu(const Tensor& x, int offset) {
  return triangle("triu", x, [cols = x.rank() < 2 ? 0 : x.dim(-1), offset](std::int64_t row) {
    return std::pair(std::clamp<std::int64_t>(row + offset, 0, cols), cols);
  });
}

namespace detail {

std::vector<std::int32_t> padded_sources(PadMode mode, std::int64_t length, Padding width) {
  const bool reflect = mode == PadMode::reflect;
  const std::int64_t most = reflect ? length - 1 : length > 0 ? width.before + width.after : -1;
  if (width.before > most || width.after > most) {
    fail<ShapeError>("pad: {} and {} {} entries around an axis of length {}", width.before, width.after,
                     reflect ? "reflected" : "replicated", length);
  }
  std::vector<std::int32_t> out;
  for (std::int64_t i = -width.before; i < length + width.after; ++i) {
    std::int64_t from = std::clamp<std::int64_t>(i, 0, length - 1);
    if (reflect) from -= i - from;
    out.push_back(static_cast<std::int32_t>(from));
  }
  return out;
}

void check_padding(const Shape& shape, List<Padding> widths) {
  if (static_cast<int>(widths.size()) != shape.rank())
    fail<ShapeError>("pad: {} paddings for a tensor of shape {}; give one an axis", widths.size(), shape);
  for (const Padding& width : widths) {
    if (width.before < 0 || width.after < 0)
      fail<ShapeError>("pad: {} and {} entries around an axis; slice takes some away", width.before,
                       width.after);
    check_length("pad", "a width", width.before);
    check_length("pad", "a width", width.after);
  }
}

}  // namespace detail

}  // namespace gradus
