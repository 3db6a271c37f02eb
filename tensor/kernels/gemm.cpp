#include <algorithm>
#include <array>
#include <memory>
#include <new>

#include "tensor/kernels/bf16.hpp"
#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/support/blocks.hpp"
#include "tensor/support/error.hpp"
#include "tensor/support/parallel.hpp"

// The product by register tiles: the left side is packed in tiles of a few rows, the right side in panels of
// a few columns, and a kernel multiplies a tile by a panel over the whole depth of a block (Goto and van de
// Geijn, "Anatomy of high-performance matrix multiplication", 2008). Every element of C is summed in the
// order of k, whatever the split, so its bits do not depend on the number of threads.
namespace gradus::kernels {

using gradus::detail::balanced;
using gradus::detail::round_up;

namespace {

constexpr std::int64_t few_cols = 256;                      // up to here packing A costs more than it saves
constexpr std::int64_t few_rows = 32;                       // up to here packing B costs more than it saves
constexpr std::int64_t small_work = std::int64_t{1} << 19;  // multiply-adds
constexpr std::int64_t parallel_work = std::int64_t{1} << 20;  // multiply-adds
constexpr std::int64_t parallel_step = std::int64_t{1}
                                       << 19;  // for a recurrent step, whose gates are work too

/// Aligned scratch memory, which a thread keeps for its next call.
template <class T>
class Scratch {
 public:
  T* get(std::int64_t count) {
    if (count > size_) {
      memory_.reset(static_cast<T*>(
          ::operator new (static_cast<std::size_t>(count) * sizeof(T), std::align_val_t{64})));
      size_ = count;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(T* memory) const { ::operator delete (memory, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Free> memory_;
  std::int64_t size_ = 0;
};
template <class T>
Scratch<T>& left_scratch() {
  thread_local Scratch<T> scratch;
  return scratch;
}
template <class T>
Scratch<T>& right_scratch() {
  thread_local Scratch<T> scratch;
  return scratch;
}

/// A matrix as it is read: element (i, j) of op(X).
template <class T>
struct Source {
  const T* data;
  std::int64_t row_stride, col_stride;
  const T* at(std::int64_t i, std::int64_t j) const { return data + i * row_stride + j * col_stride; }
};
template <class T>
Source<T> source(const T* x, std::int64_t ld, bool transposed) {
  return transposed ? Source<T>{x, 1, ld} : Source<T>{x, ld, 1};
}

/// A block of A: packed in tiles of `height` rows, or as it stands.
template <class T>
struct Left {
  const T* data;
  std::int64_t height;
  bool packed = true;
  std::int64_t row_stride = 0, col_stride = 0;  // as it stands
};
/// A block of B: packed in panels, or as it stands, its rows ld apart.
template <class T>
struct Right {
  const T* data;
  bool packed = true;
  std::int64_t ld = 0;
};

/// The product of one block; `depth` counts words where the sides are packed, else elements.
template <class T>
void multiply_block(const Tiles<T>& tiles, std::int64_t rows, std::int64_t cols, std::int64_t depth,
                    const Left<T>& a, const Right<T>& b, T* c, std::int64_t ldc, T alpha, T beta,
                    const T* bias) {
  const bool packed = a.packed && b.packed;
  const auto& wide = packed ? tiles.packed : tiles.in_place;
  const auto& narrow = packed ? tiles.packed_narrow : tiles.in_place_narrow;
  // The next panel of B may be far away: each of the tiles of a panel fetches a share of it.
  const std::int64_t shares = (rows + a.height - 1) / a.height;
  const std::int64_t share =
      tiles.cols * static_cast<std::int64_t>(sizeof(T)) / shares;  // bytes a word of the depth
  for (std::int64_t j = 0; j < cols; j += tiles.cols) {
    const std::int64_t width = std::min(tiles.cols, cols - j);
    const auto& column = width <= tiles.lanes ? narrow : wide;
    const T* const panel = b.data + j * (b.packed ? depth : 1);
    const bool fetches = packed && j + tiles.cols < cols;
    const auto* const next = reinterpret_cast<const char*>(panel + (fetches ? tiles.cols * depth : 0));
    for (std::int64_t i = 0; i < rows; i += a.height) {
      const std::int64_t tall = std::min(a.height, rows - i);
      column[static_cast<std::size_t>(tall - 1)](
          {.k = depth,
           .a = a.data + i * (a.packed ? depth : a.row_stride),
           .a_row = a.packed ? 1 : a.row_stride,
           .a_col = a.packed ? tall : a.col_stride,
           .b = panel,
           .ldb = b.packed ? tiles.cols : b.ld,
           .c = c + i * ldc + j,
           .ldc = ldc,
           .cols = width,
           .alpha = alpha,
           .beta = beta,
           .bias = bias == nullptr ? nullptr : bias + j,
           .rows = tall,
           .ahead = next + (fetches ? i / a.height * depth * share : 0),
           .ahead_step = fetches ? share : 0});
    }
  }
}

/// Readies the calling thread for packed kernels while it lives.
template <class T>
class Ready {
 public:
  explicit Ready(const Tiles<T>& tiles) : end_(tiles.end) {
    if (tiles.begin != nullptr) tiles.begin();
  }
  ~Ready() {
    if (end_ != nullptr) end_();
  }
  Ready(const Ready&) = delete;
  Ready& operator=(const Ready&) = delete;

 private:
  void (*end_)();
};

/// The rows of the packed tiles that so many rows of A are cut into.
template <class T>
std::int64_t tile_height(const Tiles<T>& tiles, std::int64_t rows) {
  return round_up(balanced(rows, tiles.rows), tiles.row_unit);
}

/// Rows of A in tiles of `height`; the last tile holds no more rows than are left, and what fills them up.
template <class T>
void pack_left(const TileKernels<T>& kernels, const Source<T>& a, std::int64_t row, std::int64_t p,
               std::int64_t rows, std::int64_t depth, std::int64_t height, T* out) {
  const std::int64_t whole = rows / height * height, rest = rows - whole;
  kernels.pack(Side::left, a.at(row, p), a.row_stride, a.col_stride, whole, depth, height, out);
  kernels.pack(Side::left, a.at(row + whole, p), a.row_stride, a.col_stride, rest, depth,
               round_up(rest, kernels.tiles().row_unit), out + whole * kernels.packed_depth(depth));
}

/// True when the rows that a tile reads side by side, which are `ld` elements apart, fall into different sets
/// of the first-level cache. At multiples of large powers of two they do not.
template <class T>
bool reads_well(std::int64_t ld) {
  return ld * static_cast<std::int64_t>(sizeof(T)) % 512 != 0;
}
/// Up to how many columns packing a left side of this leading dimension costs more than it saves. Up to half
/// as many that also holds of rows of which a few fall into each set.
template <class T>
std::int64_t cols_in_place(std::int64_t lda) {
  if (reads_well<T>(lda)) return few_cols;
  return lda * static_cast<std::int64_t>(sizeof(T)) % 2048 != 0 ? few_cols / 2 : 0;
}

/// Of how many elements of k a block is, for all of them: blocks alike, whose words fit.
template <class T>
std::int64_t depth_block(const TileKernels<T>& kernels, std::int64_t k) {
  const Tiles<T>& tiles = kernels.tiles();
  const std::int64_t unit = tiles.depth_unit;
  const std::int64_t most = tiles.blocks.depth * unit / kernels.packed_depth(unit) / unit * unit;
  return round_up(balanced(k, most), unit);
}

/// One thread's part: rows and columns of C, over all of k.
template <class T>
void multiply(const TileKernels<T>& kernels, const Gemm<T>& call, std::int64_t row, std::int64_t rows,
              std::int64_t col, std::int64_t cols) {
  const Tiles<T>& tiles = kernels.tiles();
  const Ready<T> ready(tiles);
  const bool as_it_stands = tiles.in_place.front() != nullptr;
  const Source<T> a = source(call.a, call.lda, call.a_transposed),
                  b = source(call.b, call.ldb, call.b_transposed);
  // A side that is read only a few times is not worth packing.
  const bool left_in_place = as_it_stands && !call.a_transposed && cols <= cols_in_place<T>(call.lda);
  const bool right_in_place =
      as_it_stands && !call.b_transposed && rows <= few_rows && reads_well<T>(call.ldb);
  const std::int64_t cols_block = tiles.blocks.cols / tiles.cols * tiles.cols;
  const std::int64_t rows_at_once = round_up(balanced(rows, tiles.blocks.rows), tiles.row_unit),
                     depth_at_once = depth_block(kernels, call.k);
  for (std::int64_t j = 0; j < cols; j += cols_block) {
    const std::int64_t width = std::min(cols_block, cols - j);
    for (std::int64_t p = 0; p < call.k; p += depth_at_once) {
      const std::int64_t depth = std::min(depth_at_once, call.k - p);
      const std::int64_t words = kernels.packed_depth(depth);
      const bool last = p + depth == call.k;
      Right<T> right{b.at(p, col + j), false, call.ldb};
      if (!right_in_place) {
        T* const packed = right_scratch<T>().get(round_up(width, tiles.cols) * words);
        kernels.pack(Side::right, right.data, b.col_stride, b.row_stride, width, depth, tiles.cols, packed);
        right = {packed};
      }
      for (std::int64_t i = 0; i < rows; i += rows_at_once) {
        const std::int64_t some = std::min(rows_at_once, rows - i);
        const std::int64_t height = tile_height(tiles, some);
        Left<T> left{a.at(row + i, p), height, false, a.row_stride, a.col_stride};
        if (!left_in_place) {
          T* const packed = left_scratch<T>().get(round_up(some, tiles.row_unit) * words);
          pack_left(kernels, a, row + i, p, some, depth, height, packed);
          left = {packed, height};
        }
        multiply_block(tiles, some, width, words, left, right, call.c + (row + i) * call.ldc + col + j,
                       call.ldc, call.alpha, p == 0 ? call.beta : T{1},
                       last && call.bias != nullptr ? call.bias + col + j : nullptr);
      }
    }
  }
}

/// The same for a product too small to be worth packing. Only a transposed right side is packed, since a
/// register must load elements of its rows that lie side by side. The sums run in the same order.
template <class T>
void multiply_small(const Gemm<T>& call) {
  const Kernels<T>& kernels = selected<T>();
  const Tiles<T>& tiles = kernels.tiles();
  const std::int64_t height = balanced(call.m, tiles.rows);
  Tile<T> t{.k = call.k,
            .a = call.a,
            .a_row = call.a_transposed ? 1 : call.lda,
            .a_col = call.a_transposed ? call.lda : 1,
            .b = call.b,
            .ldb = call.ldb,
            .c = call.c,
            .ldc = call.ldc,
            .cols = 0,
            .alpha = call.alpha,
            .beta = call.beta,
            .bias = call.bias};
  const T* panels = nullptr;
  if (call.b_transposed) {
    const Source<T> right = source(call.b, call.ldb, true);
    T* const packed = right_scratch<T>().get(round_up(call.n, tiles.lanes) * call.k);
    kernels.pack(Side::right, right.data, right.col_stride, right.row_stride, call.n, call.k, tiles.lanes,
                 packed);
    panels = packed;
    t.ldb = tiles.lanes;
  }
  for (std::int64_t j = 0; j < call.n; j += t.cols) {
    const bool wide = !call.b_transposed && call.n - j >= tiles.cols;
    t.cols = wide ? tiles.cols : std::min(tiles.lanes, call.n - j);
    t.b = panels == nullptr ? call.b + j : panels + j * call.k;
    t.bias = call.bias == nullptr ? nullptr : call.bias + j;
    const auto& column = wide ? tiles.in_place : tiles.in_place_narrow;
    for (std::int64_t i = 0; i < call.m; i += height) {
      const std::int64_t tall = std::min(height, call.m - i);
      t.a = call.a + i * t.a_row;
      t.c = call.c + i * call.ldc + j;
      column[static_cast<std::size_t>(tall - 1)](t);
    }
  }
}

constexpr std::int64_t few_tokens = 8;  // up to here dot products are faster than packing the right side

/// A few rows by a transposed right side, such as the tokens of as many texts by a weight: dot products, for
/// which the right side is read once. Those of a row are the same for any number of rows.
template <class T>
void multiply_rows(const Gemm<T>& call) {
  for_strips(call.n, call.m * call.k / 4 + 1, [&](std::int64_t begin, std::int64_t width) {
    std::array<T, dots_strip * few_tokens> products;
    selected<T>().dots(call.a, call.lda, call.m, call.b + begin * call.ldb, call.ldb, width, call.k,
                       products.data(), dots_strip);
    for (std::int64_t i = 0; i < call.m; ++i) {
      const T* const product = products.data() + i * dots_strip;
      T* const c = call.c + i * call.ldc + begin;
      for (std::int64_t j = 0; j < width; ++j) {
        const T scaled = call.alpha * product[j];
        c[j] = (call.beta == T{0} ? scaled : scaled + call.beta * c[j]) +
               (call.bias == nullptr ? T{0} : call.bias[begin + j]);
      }
    }
  });
}

/// One row by a matrix: the weighted sum of the matrix's rows, a strip of columns at a time.
template <class T>
void multiply_row(const Gemm<T>& call) {
  constexpr std::int64_t strip = 1024, depth = 64;
  parallel::for_range(
      call.n, call.k,
      [&](std::int64_t from, std::int64_t to) {
        std::array<T, depth> scales;
        for (std::int64_t begin = from; begin < to; begin += strip) {
          const std::int64_t width = std::min(strip, to - begin);
          T* const c = call.c + begin;
          for (std::int64_t j = 0; j < width; ++j) {
            c[j] = (call.beta == T{0} ? T{0} : call.beta * c[j]) +
                   (call.bias == nullptr ? T{0} : call.bias[begin + j]);
          }
          for (std::int64_t p = 0; p < call.k; p += depth) {
            const std::int64_t rows = std::min(depth, call.k - p);
            std::transform(call.a + p, call.a + p + rows, scales.begin(),
                           [&](T x) { return call.alpha * x; });
            selected<T>().add_rows(scales.data(), call.b + p * call.ldb + begin, call.ldb, rows, c, width);
          }
        }
      },
      64);
}

/// A product whose result is one column, as one whose result is one row: its elements lie side by side.
template <class T>
Gemm<T> turned(const Gemm<T>& call) {
  Gemm<T> out = call;
  out.m = 1;
  out.n = call.m;
  out.a = call.b;
  out.lda = call.k;
  out.a_transposed = false;
  out.b = call.a;
  out.ldb = call.lda;
  out.b_transposed = !call.a_transposed;
  out.ldc = call.m;
  return out;
}

/// k = 0: C = beta * C + bias
template <class T>
void scale_only(const Gemm<T>& call) {
  for (std::int64_t i = 0; i < call.m; ++i) {
    for (std::int64_t j = 0; j < call.n; ++j) {
      T& to = call.c[i * call.ldc + j];
      to = (call.beta == T{0} ? T{0} : call.beta * to) + (call.bias == nullptr ? T{0} : call.bias[j]);
    }
  }
}

/// Splits C by its larger side, in whole tiles, and runs part(row, rows, col, cols).
template <class T, class Part>
void split(const Tiles<T>& tiles, std::int64_t m, std::int64_t n, std::int64_t k, Part&& part) {
  const std::int64_t count = threads();
  if (count == 1 || m * n * k < parallel_work) return part(std::int64_t{0}, m, std::int64_t{0}, n);
  const bool by_cols = n / tiles.cols >= m / tiles.rows;
  const std::int64_t unit = by_cols ? tiles.cols : tiles.rows, length = by_cols ? n : m;
  const std::int64_t units = (length + unit - 1) / unit;
  const std::int64_t chunks = std::min(count, units);
  parallel::for_chunks(chunks, [&](std::int64_t chunk) {
    const std::int64_t begin = units * chunk / chunks * unit;
    const std::int64_t end = std::min(length, units * (chunk + 1) / chunks * unit);
    if (by_cols) {
      part(std::int64_t{0}, m, begin, end - begin);
    } else {
      part(begin, end - begin, std::int64_t{0}, n);
    }
  });
}

/// Rows of A packed in tiles, in this thread's scratch.
template <class T>
struct PackedRows {
  const T* data;
  std::int64_t rows, height;

  PackedRows(const TileKernels<T>& kernels, const T* a, std::int64_t lda, std::int64_t count, std::int64_t k)
      : rows(count), height(tile_height(kernels.tiles(), count)) {
    T* const left = left_scratch<T>().get(round_up(rows, kernels.tiles().row_unit) * kernels.packed_depth(k));
    pack_left(kernels, source(a, lda, false), std::int64_t{0}, std::int64_t{0}, rows, k, height, left);
    data = left;
  }
};

/// Some columns of C = A B + beta C; the first is the first of a panel.
template <class T>
void multiply_packed(const PackedRows<T>& a, const PackedMatrix<T>& b, std::int64_t col, std::int64_t cols,
                     T* c, std::int64_t ldc, T beta) {
  const Ready<T> ready(b.kernels().tiles());
  multiply_block(b.kernels().tiles(), a.rows, cols, b.kernels().packed_depth(b.k()),
                 Left<T>{a.data, a.height}, Right<T>{b.from_col(col)}, c + col, ldc, T{1}, beta,
                 static_cast<const T*>(nullptr));
}

}  // namespace

template <class T>
void gemm(const Gemm<T>& call) {
  if (call.m == 0 || call.n == 0) return;
  if (call.k == 0) return scale_only(call);
  const bool column = call.n == 1 && call.m > 1 && call.ldc == 1 && call.bias == nullptr;
  if (column && (call.b_transposed || call.ldb == 1)) return gemm(turned(call));
  if (call.m == 1 && !call.a_transposed && !call.b_transposed) return multiply_row(call);
  if (call.m <= few_tokens && call.b_transposed && !call.a_transposed) return multiply_rows(call);
  if (call.m * call.n * call.k <= small_work) return multiply_small(call);
  const TileKernels<T>& kernels = tile_kernels<T>(call.precision);
  split(kernels.tiles(), call.m, call.n, call.k,
        [&](std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) {
          multiply(kernels, call, row, rows, col, cols);
        });
}
template void gemm(const Gemm<float>&);
template void gemm(const Gemm<double>&);

template <class T>
PackedMatrix<T>::PackedMatrix(const T* b, std::int64_t ldb, bool transposed, std::int64_t k, std::int64_t n,
                              MatmulPrecision precision)
    : k_(k), n_(n), kernels_(&tile_kernels<T>(precision)) {
  const TileKernels<T>& kernels = *kernels_;
  const Tiles<T>& tiles = kernels.tiles();
  packed_depth_ = kernels.packed_depth(k);
  data_ = Tensor::uninitialized({round_up(n, tiles.cols) * packed_depth_}, dtype_of<T>());
  const Source<T> from = source(b, ldb, transposed);
  T* const out = data_.template mutable_data<T>();
  parallel::for_range(
      n, k,
      [&](std::int64_t begin, std::int64_t end) {
        kernels.pack(Side::right, from.at(0, begin), from.col_stride, from.row_stride, end - begin, k,
                     tiles.cols, out + begin * packed_depth_);
      },
      tiles.cols);
}
template class PackedMatrix<float>;
template class PackedMatrix<double>;

template <class T>
void gemm_packed(std::int64_t m, const T* a, std::int64_t lda, const PackedMatrix<T>& b, T* c,
                 std::int64_t ldc, T beta) {
  if (m == 0 || b.n() == 0) return;
  if (b.k() == 0) return scale_only(Gemm<T>{.m = m, .n = b.n(), .c = c, .ldc = ldc, .beta = beta});
  split(b.kernels().tiles(), m, b.n(), b.k(),
        [&](std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) {
          const PackedRows<T> left(b.kernels(), a + row * lda, lda, rows, b.k());
          multiply_packed(left, b, col, cols, c + row * ldc, ldc, beta);
        });
}

template <class T>
void gemm_packed(std::int64_t m, const T* a, std::int64_t lda, std::span<const PackedMatrix<T>> bs, T* c,
                 std::int64_t ldc, T beta, FunctionRef<void(std::int64_t, std::int64_t)> done) {
  const TileKernels<T>& kernels = bs.front().kernels();
  const std::int64_t k = bs.front().k(), n = bs.front().n(), panel = kernels.tiles().cols;
  const auto columns = [&](std::int64_t begin, std::int64_t end) {
    const PackedRows<T> left(kernels, a, lda, m, k);
    T* to = c;
    for (const PackedMatrix<T>& b : bs) {
      multiply_packed(left, b, begin, end - begin, to, ldc, beta);
      to += n;
    }
    done(begin, end);
  };
  const std::int64_t panels = (n + panel - 1) / panel;
  const std::int64_t work = m * n * k * static_cast<std::int64_t>(bs.size());
  const std::int64_t chunks = work < parallel_step ? 1 : std::min<std::int64_t>(threads(), panels);
  parallel::for_chunks(chunks, [&](std::int64_t chunk) {
    columns(panels * chunk / chunks * panel, std::min(n, panels * (chunk + 1) / chunks * panel));
  });
}
template void gemm_packed(std::int64_t, const float*, std::int64_t, std::span<const PackedMatrix<float>>,
                          float*, std::int64_t, float, FunctionRef<void(std::int64_t, std::int64_t)>);
template void gemm_packed(std::int64_t, const double*, std::int64_t, std::span<const PackedMatrix<double>>,
                          double*, std::int64_t, double, FunctionRef<void(std::int64_t, std::int64_t)>);
template void gemm_packed(std::int64_t, const float*, std::int64_t, const PackedMatrix<float>&, float*,
                          std::int64_t, float);
template void gemm_packed(std::int64_t, const double*, std::int64_t, const PackedMatrix<double>&, double*,
                          std::int64_t, double);

}  // namespace gradus::kernels
