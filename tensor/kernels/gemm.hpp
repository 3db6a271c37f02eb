#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "tensor/matmul_precision.hpp"
#include "tensor/support/blocks.hpp"
#include "tensor/support/function_ref.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/tensor.hpp"

/// Products of matrices, split among threads. T is float or double.
namespace gradus::kernels {

/// C = alpha * op(A) op(B) + beta * C (beta = 0 writes C without reading it), + bias along each row when
/// given. op(A) is (m, k), op(B) is (k, n), C is (m, n), row-major with leading dimensions; transposed
/// operands are read in place. The bits do not depend on the number of threads: work is split over m and n
/// only.
template <class T>
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  std::int64_t lda = 0;
  bool a_transposed = false;
  const T* b = nullptr;
  std::int64_t ldb = 0;
  bool b_transposed = false;
  T* c = nullptr;
  std::int64_t ldc = 0;
  T alpha = 1;
  T beta = 0;
  const T* bias = nullptr;  // (n)
  MatmulPrecision precision =
      MatmulPrecision::exact;  // that of the thread which asked, and not of one that helps it
};
template <class T>
void gemm(const Gemm<T>& call);

template <class T>
struct TileKernels;

/// The right-hand side of a product, laid out for the kernel once and used many times: op(B) is (k, n).
template <class T>
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(const T* b, std::int64_t ldb, bool transposed, std::int64_t k, std::int64_t n,
               MatmulPrecision precision = matmul_precision());
  std::int64_t k() const { return k_; }
  std::int64_t n() const { return n_; }
  /// The packed columns from one on that is the first of a tile's.
  const T* from_col(std::int64_t col) const { return data_.data<T>() + col * packed_depth_; }
  /// What it is packed for.
  const TileKernels<T>& kernels() const { return *kernels_; }

 private:
  std::int64_t k_ = 0, n_ = 0, packed_depth_ = 0;
  const TileKernels<T>* kernels_ = nullptr;
  Tensor data_;  // from the pool: packing in every training step takes nothing from the heap
};
/// C = A B + beta C, with A (m, k) row-major and B packed, by the kernels that it is packed for.
template <class T>
void gemm_packed(std::int64_t m, const T* a, std::int64_t lda, const PackedMatrix<T>& b, T* c,
                 std::int64_t ldc, T beta);
/// The same by several matrices of one size, whose results stand side by side in C, each n wide. Then calls
/// done(begin, end) for columns that are ready in all of the results, on the thread that made them.
template <class T>
void gemm_packed(std::int64_t m, const T* a, std::int64_t lda, std::span<const PackedMatrix<T>> bs, T* c,
                 std::int64_t ldc, T beta, FunctionRef<void(std::int64_t, std::int64_t)> done);

/// A register tile of C = alpha * A B + beta * C + bias.
template <class T>
struct Tile {
  std::int64_t k;
  const T* a;                         // element (i, p) at a[i * a_row + p * a_col]; packed tiles are
  std::int64_t a_row = 0, a_col = 0;  // (k, rows) and need no strides
  const T* b;                         // (k, tile_cols) packed, zeros beyond `cols`; else rows ldb apart
  std::int64_t ldb = 0;
  T* c;
  std::int64_t ldc;
  std::int64_t cols;
  T alpha, beta;
  const T* bias;          // (cols) or null
  std::int64_t rows = 0;  // for kernels that compute several numbers of them
  // What will be read next, which kernels may fetch meanwhile: so many bytes of it a word of k.
  const char* ahead = nullptr;
  std::int64_t ahead_step = 0;
};
inline constexpr std::int64_t most_tile_rows = 32;
template <class T>
using TileKernel = void (*)(const Tile<T>& tile);
/// How much of a product is packed at once, so that it stays in a cache.
struct Blocks {
  std::int64_t depth;  // words of k; C is read and written once for each block
  std::int64_t rows;   // of A, in the second-level cache
  std::int64_t cols;   // of B, in the third-level cache
};
/// The kernels of the register tiles. `packed[r - 1]` has r rows; an element of C is summed in the order of k
/// in all.
template <class T>
struct Tiles {
  using Kernels = std::array<TileKernel<T>, most_tile_rows>;
  std::int64_t rows, cols;  // of the largest
  std::int64_t lanes;       // elements of one register
  Kernels packed;           // for all columns
  Kernels packed_narrow;    // for up to `lanes` columns
  // The same with A and B where they stand: for products too small to be worth packing.
  Kernels in_place, in_place_narrow;
  std::int64_t row_unit = 1;    // packed rows of A are filled up with zeros to a multiple of this
  std::int64_t depth_unit = 2;  // blocks of k are multiples of this many elements, all but the last
  Blocks blocks{.depth = static_cast<std::int64_t>(4096 / sizeof(T)), .rows = 126, .cols = 1024};
  // What a thread calls before it runs packed kernels, and after that; null where there is nothing to do.
  void (*begin)() = nullptr;
  void (*end)() = nullptr;
};

/// Rows of a matrix that `dots` takes at once: enough for it to read from several places far from each other.
constexpr std::int64_t dots_strip = 256;
/// Runs body(begin, count) for strips of n rows, split among threads. `cost` is the work of a row.
template <class Body>
void for_strips(std::int64_t n, std::int64_t cost, Body&& body) {
  constexpr std::int64_t unit = 64;
  parallel::for_range(
      n, cost,
      [&](std::int64_t from, std::int64_t to) {
        const std::int64_t strip =
            gradus::detail::round_up(gradus::detail::balanced(to - from, dots_strip), unit);
        for (std::int64_t begin = from; begin < to; begin += strip)
          body(begin, begin + strip < to ? strip : to - begin);
      },
      unit);
}

enum class Side : std::uint8_t { left, right };

/// Register tiles and the layout that they read, on the caller's thread. The unit of a packed matrix is a
/// word of the size of T: an element, or what has been made of several (bf16.hpp).
template <class T>
struct TileKernels {
  virtual const Tiles<T>& tiles() const = 0;
  /// The words that `depth` elements along take.
  virtual std::int64_t packed_depth(std::int64_t depth) const = 0;
  /// Groups of `width` entries across, zeros past `count`: out[group][p][w], for the words p of `depth`
  /// elements; or another order of the same number of words, if the kernels read that. Element (w, p) stands
  /// at x[w * across + p * along]; of `across` and `along`, one is 1.
  virtual void pack(Side side, const T* x, std::int64_t across, std::int64_t along, std::int64_t count,
                    std::int64_t depth, std::int64_t width, T* out) const = 0;
};

/// What each instruction set provides, on the caller's thread.
template <class T>
struct GemmKernels : TileKernels<T> {
  /// out[i][r] = x row i . b row r: m rows of x, ldx apart, to rows of out, ldo apart. The order of a sum
  /// depends on k alone, not on the numbers of rows.
  virtual void dots(const T* x, std::int64_t ldx, std::int64_t m, const T* b, std::int64_t ldb,
                    std::int64_t rows, std::int64_t k, T* out, std::int64_t ldo) const = 0;
  /// c += a[0] * row 0 of b + a[1] * row 1 + ...
  virtual void add_rows(const T* a, const T* b, std::int64_t ldb, std::int64_t rows, T* c,
                        std::int64_t cols) const = 0;
};

}  // namespace gradus::kernels
