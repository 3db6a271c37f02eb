#pragma once

#include <array>
#include <cstdint>

#include "tensor/kernels/elementwise.hpp"
#include "tensor/kernels/instruction_set.hpp"
#include "tensor/kernels/reduction.hpp"
#include "tensor/kernels/softmax.hpp"

/// The serial kernels of one instruction set. Everything compiled for a wider one is reached through these
/// pointers only.
namespace gradus::kernels {

/// log(sum(exp(x))) = shift + log_total, kept apart so that neither is rounded to the other's size.
template <class T>
struct LogSum {
  T shift;  // the largest x, when it is finite
  double log_total;
};

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
  const T* bias;  // (cols) or null
};
inline constexpr std::int64_t most_tile_rows = 14;
template <class T>
using TileKernel = void (*)(const Tile<T>& tile);

template <class T>
struct Table {
  void (*unary)(Unary op, const T* x, T* y, std::int64_t n);
  void (*binary)(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n);
  void (*ternary)(Ternary op, const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar,
                  T* y, std::int64_t n);
  // y[i] = a[i] * b[i] * c[i]: what programs make of two products, so that rows are read and written less.
  void (*product)(const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar, T* y,
                  std::int64_t n);
  void (*add_scaled)(T scale, const T* x, T* y, std::int64_t n);
  void (*fill)(T value, T* y, std::int64_t n);
  bool (*all_finite)(const T* x, std::int64_t n);
  double (*sum_squares)(const T* x, std::int64_t n);    // of a block
  double (*fold)(Fold op, const T* x, std::int64_t n);  // of a block; n > 0
  // y[c] = the fold over r of x[r * stride + c]; rows > 0
  void (*fold_rows)(Fold op, const T* x, std::int64_t stride, std::int64_t rows, std::int64_t cols, T* y);
  // Of each row; y may be x itself. Past the caches: y may be written so.
  void (*softmax)(Softmax kind, const T* x, T* y, std::int64_t rows, std::int64_t cols, bool past_caches);
  void (*softmax_backward)(Softmax kind, const T* g, const T* y, T* dx, std::int64_t cols);
  // Down each of `cols` columns of `rows` elements, `stride` apart.
  void (*softmax_columns)(Softmax kind, const T* x, T* y, std::int64_t stride, std::int64_t rows,
                          std::int64_t cols);
  void (*softmax_backward_columns)(Softmax kind, const T* g, const T* y, T* dx, std::int64_t stride,
                                   std::int64_t rows, std::int64_t cols);
  void (*log_sum_exp_columns)(const T* x, T* y, std::int64_t stride, std::int64_t rows, std::int64_t cols);
  LogSum<T> (*log_sum_exp)(const T* x, std::int64_t cols);
  // The same, and y = exp(x - shift), which may be x itself.
  LogSum<T> (*exp_shifted)(const T* x, T* y, std::int64_t cols);
  void (*scale)(T factor, T* x, std::int64_t n);
  // scale * exp(x - shift - log_total)
  void (*softmax_scaled)(const T* x, T log_total, T scale, T* y, std::int64_t cols);
  // Of `count` units; the gates' parts are `width` apart.
  void (*lstm_forward)(T* gates, const T* c_before, T* c, T* tanh_c, T* h, std::int64_t width,
                       std::int64_t count);
  void (*lstm_backward)(const T* gates, const T* c_before, const T* tanh_c, const T* dh, T* dc, T* d_gates,
                        std::int64_t width, std::int64_t count);
  void (*gru_forward)(T* gates, T* from_h, const T* h_before, T* h, std::int64_t width, std::int64_t count);
  void (*gru_backward)(const T* gates, const T* from_h, const T* h_before, T* dh, T* d_gates, T* d_from_h,
                       std::int64_t width, std::int64_t count);
  void (*rnn_backward)(Unary f, const T* h, const T* dh, T* d_pre, std::int64_t count);
  // out[r] = x . row r of b
  void (*dots)(const T* x, const T* b, std::int64_t ldb, std::int64_t rows, std::int64_t k, T* out);
  // c += the rows of b times a
  void (*add_rows)(const T* a, const T* b, std::int64_t ldb, std::int64_t rows, T* c, std::int64_t cols);
  /// The largest register tile: tile_rows by tile_cols of C.
  std::int64_t tile_rows, tile_cols;
  /// tiles[r - 1] has r rows. An element of C is summed in the order of k in every one.
  std::array<TileKernel<T>, most_tile_rows> tiles;
  std::array<TileKernel<T>, most_tile_rows> narrow_tiles;  // for up to `lanes` columns
  // The same with A and B where they stand: for products too small to be worth packing.
  std::array<TileKernel<T>, most_tile_rows> tiles_in_place;         // for all tile_cols columns
  std::array<TileKernel<T>, most_tile_rows> narrow_tiles_in_place;  // for up to `lanes` columns
  std::int64_t lanes;                                               // elements of one register
  /// Groups of `width` entries across, `depth` of them, zeros past `count`: out[group][p][w]. Entry (w, p)
  /// stands at x[w * across + p * along].
  void (*pack)(const T* x, std::int64_t across, std::int64_t along, std::int64_t count, std::int64_t depth,
               std::int64_t width, T* out);
};

/// The kernels of one instruction set.
struct KernelSet {
  const Table<float>* f32;
  const Table<double>* f64;
};
/// Each defined by kernels.simd.cpp, where it is compiled for that instruction set.
template <InstructionSet set>
const KernelSet& kernel_set();
template <>
const KernelSet& kernel_set<InstructionSet::baseline>();
template <>
const KernelSet& kernel_set<InstructionSet::avx2>();
template <>
const KernelSet& kernel_set<InstructionSet::avx512>();

}  // namespace gradus::kernels
