#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <type_traits>

#include "tensor/kernels/copy.hpp"
#include "tensor/kernels/elementwise.hpp"
#include "tensor/shape.hpp"
#include "tensor/support/parallel.hpp"

/// Copies between a dense array and a strided view of another one, which is what transposing, slicing,
/// flipping and repeating are. For the files of tensor/ops.
namespace gradus::kernels {

/// A view of a dense array. Its element (i0, i1, ...) stands at offset + i0 * stride[0] + i1 * stride[1] +
/// ... of the array. A stride of 0 repeats, a negative one goes backwards.
struct Strided {
  std::int64_t offset = 0;
  int rank = 0;
  std::array<std::int64_t, Shape::max_rank> length{}, stride{};

  Strided() = default;
  /// All of a dense array of that shape.
  explicit Strided(const Shape& shape) : rank(shape.rank()) {
    std::int64_t step = 1;
    for (int i = rank; i-- > 0; step *= shape[i]) {
      length[static_cast<std::size_t>(i)] = shape[i];
      stride[static_cast<std::size_t>(i)] = step;
    }
  }
  std::int64_t size() const {
    std::int64_t size = 1;
    for (int i = 0; i < rank; ++i) size *= length[static_cast<std::size_t>(i)];
    return size;
  }
  Shape shape() const {
    return Shape(std::span<const std::int64_t>(length.data(), static_cast<std::size_t>(rank)));
  }
  void push_axis(std::int64_t axis_length, std::int64_t axis_stride) {
    length[static_cast<std::size_t>(rank)] = axis_length;
    stride[static_cast<std::size_t>(rank++)] = axis_stride;
  }
  /// Where the element at a row-major position stands.
  std::int64_t place(std::int64_t position) const {
    std::int64_t at = offset;
    for (auto i = static_cast<std::size_t>(rank); i-- > 0;) {
      at += position % length[i] * stride[i];
      position /= length[i];
    }
    return at;
  }
  /// The same view with neighbouring axes merged where they can be; at least one axis.
  Strided merged() const {
    Strided out;
    out.offset = offset;
    for (std::size_t i = 0; i < static_cast<std::size_t>(rank); ++i) {
      if (length[i] == 1) continue;
      const auto last = static_cast<std::size_t>(out.rank - 1);
      if (out.rank > 0 && out.stride[last] == stride[i] * length[i]) {
        out.length[last] *= length[i];
        out.stride[last] = stride[i];
      } else {
        out.push_axis(length[i], stride[i]);
      }
    }
    if (out.rank == 0) out.push_axis(1, 1);
    return out;
  }
};

/// A dense array of shape `from` repeated up to a shape it broadcasts to.
inline Strided broadcast_view(const Shape& from, const Shape& to) {
  const Strided all(from);
  Strided out;
  for (int i = 0; i < to.rank(); ++i) {
    const int at = i - to.rank() + from.rank();
    out.push_axis(to[i], at < 0 || from[at] == 1 ? 0 : all.stride[static_cast<std::size_t>(at)]);
  }
  return out;
}

/// Calls run(dense, place, count, stride) for pieces of the view that together are all of it: the elements at
/// `dense`, `dense` + 1, ... in row-major order are those at `place`, `place` + stride, ... On the library's
/// threads when `threaded`: the pieces are cut by the view alone.
template <class Run>
void for_pieces(const Strided& view, bool threaded, Run&& run) {
  if (view.size() == 0) return;
  const Strided v = view.merged();
  const auto last = static_cast<std::size_t>(v.rank - 1);
  constexpr std::int64_t longest = 1 << 14;
  const std::int64_t row = v.length[last], step = v.stride[last];
  const std::int64_t pieces = (row + longest - 1) / longest, rows = v.size() / row;
  Strided heads = v;
  heads.rank = v.rank - 1;
  const auto piece = [&](std::int64_t item) {
    const std::int64_t r = item / pieces, from = item % pieces * longest;
    run(r * row + from, heads.place(r) + from * step, std::min(longest, row - from), step);
  };
  if (threaded) return parallel::for_each(rows * pieces, std::min(row, longest), piece);
  for (std::int64_t item = 0; item < rows * pieces; ++item) piece(item);
}

/// What read_part does where each of some numbers, `stride` apart, stands `row` times: `most` or less, which
/// is how many are written where there is room, as what follows writes over them.
template <int most, class T>
void read_repeated(const T* seen, std::int64_t stride, std::int64_t row, std::int64_t begin,
                   std::int64_t count, T* dense) {
  const T* from = seen + begin / row * stride;
  for (std::int64_t left = row - begin % row; count > 0; left = row, from += stride) {
    const std::int64_t n = std::min(count, left);
    const T value = *from;  // read once, as for all that the compiler knows it may be among those written
    if (count >= most) {
      for (int i = 0; i < most; ++i) dense[i] = value;
    } else {
      fill_run(value, n, dense);
    }
    dense += n;
    count -= n;
  }
}

/// The elements of a merged view from `begin` on in row-major order, to dense memory; on the caller's thread.
template <class T>
void read_part(const T* seen, const Strided& v, std::int64_t begin, std::int64_t count, T* dense) {
  const auto last = static_cast<std::size_t>(v.rank - 1);
  const std::int64_t row = v.length[last], step = v.stride[last];
  if (v.rank == 2 && step == 0 && row <= 16) {
    const auto read = row <= 4    ? read_repeated<4, T>
                      : row <= 8  ? read_repeated<8, T>
                      : row <= 12 ? read_repeated<12, T>
                                  : read_repeated<16, T>;
    return read(seen + v.offset, v.stride[0], row, begin, count, dense);
  }
  std::array<std::int64_t, Shape::max_rank> index{};
  const T* from = seen + v.offset;
  for (std::size_t i = last + 1, rest = static_cast<std::size_t>(begin); i-- > 0;) {
    const auto length = static_cast<std::size_t>(v.length[i]);
    index[i] = static_cast<std::int64_t>(rest % length);
    from += index[i] * v.stride[i];
    rest /= length;
  }
  while (count > 0) {
    const std::int64_t n = std::min(count, row - index[last]);
    if (step == 1) {
      copy_run(from, n, dense);
    } else if (step == 0) {
      n > 32 ? fill(*from, dense, n) : fill_run(*from, n, dense);
    } else {
      for (std::int64_t i = 0; i < n; ++i) dense[i] = from[i * step];
    }
    dense += n;
    count -= n;
    from -= index[last] * step;
    index[last] = 0;
    for (std::size_t i = last; i-- > 0;) {
      from += v.stride[i];
      if (++index[i] < v.length[i]) break;
      from -= index[i] * v.stride[i];
      index[i] = 0;
    }
  }
}

/// What to do with each pair of an element of the view and its dense counterpart.
struct ReadElements {
  template <class T>
  void operator()(const T& seen, T& dense) const {
    dense = seen;
  }
};
struct WriteElements {
  template <class T>
  void operator()(T& seen, const T& dense) const {
    seen = dense;
  }
};
struct AddElements {
  template <class T>
  void operator()(T& seen, const T& dense) const {
    seen += dense;
  }
};

/// For views whose last axis has a stride while another axis is contiguous, as in a transposed matrix: walks
/// square tiles, so that whole cache lines of both sides are used. False when the view is not of that kind.
template <class Seen, class Dense, class Each>
bool walk_tiles(Seen* seen, Dense* dense, const Strided& v, Each each) {
  const auto last = static_cast<std::size_t>(v.rank - 1);
  std::size_t other = last;
  for (std::size_t i = 0; i < last; ++i) {
    if (std::abs(v.stride[i]) == 1) other = i;
  }
  if (other == last || std::abs(v.stride[last]) <= 1) return false;
  constexpr std::int64_t tile = 16;
  const std::int64_t height = v.length[other], width = v.length[last];
  const std::int64_t down = (height + tile - 1) / tile, across = (width + tile - 1) / tile;
  Strided outer = v, outer_dense = v;  // the axes that are not tiled
  outer_dense.offset = 0;
  std::int64_t dense_step = 1, dense_down = 0;
  for (std::size_t i = last + 1; i-- > 0; dense_step *= v.length[i]) {
    if (i == other) dense_down = dense_step;
    outer_dense.stride[i] = dense_step;
  }
  outer.length[other] = outer.length[last] = outer_dense.length[other] = outer_dense.length[last] = 1;
  parallel::for_each(outer.size() * down * across, tile * tile, [&](std::int64_t item) {
    const std::int64_t plane = item / (down * across), place = item % (down * across);
    const std::int64_t r0 = place / across * tile, c0 = place % across * tile;
    Seen* const s = seen + outer.place(plane) + r0 * v.stride[other] + c0 * v.stride[last];
    Dense* const d = dense + outer_dense.place(plane) + r0 * dense_down + c0;
    const std::int64_t rows = std::min(tile, height - r0), cols = std::min(tile, width - c0);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < cols; ++c)
        each(s[r * v.stride[other] + c * v.stride[last]], d[r * dense_down + c]);
    }
  });
  return true;
}

template <class Seen, class Dense, class Each>
void walk(Seen* seen, Dense* dense, const Strided& view, Each each) {
  if (view.size() == 0 || walk_tiles(seen, dense, view.merged(), each)) return;
  for_pieces(view, true, [=](std::int64_t at, std::int64_t place, std::int64_t count, std::int64_t stride) {
    Seen* const s = seen + place;
    Dense* const d = dense + at;
    if constexpr (std::is_same_v<Each, ReadElements>) {
      if (stride == 1) return static_cast<void>(std::copy_n(s, count, d));
      if (stride == 0) return static_cast<void>(std::fill_n(d, count, *s));
    } else if constexpr (std::is_same_v<Each, WriteElements>) {
      if (stride == 1) return static_cast<void>(std::copy_n(d, count, s));
    } else {
      if (stride == 1) return add_scaled<Seen>(Seen{1}, d, s, count);
    }
    for (std::int64_t i = 0; i < count; ++i) each(s[i * stride], d[i]);
  });
}

/// dense = the view of `seen`
template <class T>
void read_strided(const T* seen, const Strided& view, T* dense) {
  walk(seen, dense, view, ReadElements{});
}
/// the view of `seen` = dense; no stride is 0
template <class T>
void write_strided(const T* dense, T* seen, const Strided& view) {
  walk(seen, dense, view, WriteElements{});
}
/// the view of `seen` += dense; no stride is 0
template <class T>
void add_strided(const T* dense, T* seen, const Strided& view) {
  walk(seen, dense, view, AddElements{});
}

}  // namespace gradus::kernels
