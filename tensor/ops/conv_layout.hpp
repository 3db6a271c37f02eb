#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <cstdint>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops/conv.hpp"
#include "tensor/support/parallel.hpp"

/// How the entries of x that a convolution reads are laid out for its products.
///
/// What a tap reads at the steps of a convolution is x, shifted. So a convolution is a product of the weight,
/// (outs, channels * taps), by a matrix whose row for each channel and tap is a part of x that begins at some
/// offset; the matrix need not be made, if the kernel is given the offsets. This asks that neighbouring steps
/// read entries side by side, and zeros beyond the ends of x. A plane is a copy of a channel for which this
/// holds: with zeros around it, and with a stride of 2 of every second entry.
namespace gradus::detail {

/// One axis of a convolution. At step t tap k, 0 <= k < taps, reads entry t * stride + start + k * step of x,
/// a zero outside of 0..length-1; it is entry weight + k * weight_step of the weight. step is at least 1.
struct TapAxis {
  std::int64_t length = 1, steps = 1, stride = 1;
  std::int64_t taps = 1, start = 0, step = 1;
  std::int64_t weight = 0, weight_step = 1;
  // Between neighbouring entries of x there are spacing - 1 zeros, which count among its entries.
  std::int64_t spacing = 1;

  /// From x to y.
  static TapAxis forward(const ConvAxis& axis);
  /// From y to the entries of x at phase, phase + stride, phase + 2 stride and so on: those that the same
  /// taps read, maybe none. Neighbouring ones were read at neighbouring steps.
  static TapAxis backward(const ConvAxis& axis, std::int64_t phase);
  /// From y to all entries of x, with zeros between the entries of y: more work in fewer pieces.
  static TapAxis spaced(const ConvAxis& axis);
};

/// What neighbouring steps of one axis need of x: tap k stands in plane k % planes, k / planes * shift
/// further on; a plane is `extent` entries long.
struct PlaneAxis {
  std::int64_t planes, shift, extent;

  /// For so many steps. Unless `shared`, each tap has a plane of its own.
  PlaneAxis(const TapAxis& axis, std::int64_t steps, bool shared);
};

/// When the rows of a block are made to follow each other in its planes: if they do not fill whole registers,
/// if they are short, or never.
enum class Join { if_ragged, if_narrow, never };
/// The elements in a register and in a cache line.
struct Registers {
  std::int64_t lanes, line;
};

/// A convolution of one group, its steps and channels in blocks whose planes fit into the second-level cache.
/// The blocks, and so the order of each sum, depend only on the lengths and on the instruction set.
struct ConvPlan {
  TapAxis y, x;           // down and across
  std::int64_t channels;  // of x
  std::int64_t channels_block, rows_block, cols_block;
  // Where a block's rows follow each other without gaps, its steps are those of one long row, which fills
  // registers but for its end. This takes a plane for each tap across.
  bool joined;
  PlaneAxis down, across;
  std::int64_t plane_size;
  // So many entries of the batch are laid out together, where one has too few steps to fill registers. This
  // takes a plane for each tap.
  std::int64_t entries = 1;

  ConvPlan(const TapAxis& down, const TapAxis& across, std::int64_t channels, Join join, Registers registers,
           std::int64_t batch = 1);

  std::int64_t taps() const { return y.taps * x.taps; }
  std::int64_t pitch() const { return across.extent; }
  std::int64_t channel_size() const { return down.planes * across.planes * plane_size; }
  /// Of the planes of a block, with what registers may reach beyond them.
  std::int64_t scratch_size() const { return channels_block * channel_size() + 64; }
  std::int64_t row_blocks() const { return (y.steps + rows_block - 1) / rows_block; }
  std::int64_t col_blocks() const { return (x.steps + cols_block - 1) / cols_block; }
  std::int64_t blocks() const { return row_blocks() * col_blocks(); }
  std::int64_t channel_blocks() const { return (channels + channels_block - 1) / channels_block; }
  /// Where tap (a, b) of the first channel begins in the planes.
  std::int64_t offset(std::int64_t a, std::int64_t b) const {
    return (a % down.planes * across.planes + b % across.planes) * plane_size +
           a / down.planes * down.shift * pitch() + b / across.planes * across.shift;
  }
  /// offsets[(channel, a, b)] for a block of channels.
  void fill_offsets(std::int64_t* offsets) const;

 private:
  void choose_block(Registers registers);
  void join_entries(std::int64_t batch, Registers registers);
};

/// Of the instruction set in use.
template <class T>
Registers registers() {
  return {.lanes = kernels::selected<T>().tiles().lanes, .line = 64 / static_cast<std::int64_t>(sizeof(T))};
}

/// The height of the tiles that m rows are cut into, at most that of the largest.
template <class T>
std::int64_t tile_height(std::int64_t m) {
  const std::int64_t most = kernels::selected<T>().tiles().rows, tiles = (m + most - 1) / most;
  return std::max<std::int64_t>((m + tiles - 1) / std::max<std::int64_t>(tiles, 1), 1);
}

/// A block of steps.
struct StepBlock {
  std::int64_t row, rows, col, cols;

  StepBlock(const ConvPlan& plan, std::int64_t index)
      : row(index / plan.col_blocks() * plan.rows_block),
        rows(std::min(plan.rows_block, plan.y.steps - row)),
        col(index % plan.col_blocks() * plan.cols_block),
        cols(std::min(plan.cols_block, plan.x.steps - col)) {}
};

/// The parts of a block that are products of their own: all of its rows, if they are joined, or each.
template <class F>
void for_runs(const ConvPlan& plan, const StepBlock& block, std::int64_t entries, F f) {
  if (plan.joined) return f(std::int64_t{0}, entries * block.rows * block.cols);
  for (std::int64_t row = 0; row < block.rows; ++row) f(row, block.cols);
}

/// Runs body(begin, end) for 0..n-1: with `parallel` in parts for the threads, which begin at multiples of
/// `align`.
template <class Body>
void split_if(bool parallel, std::int64_t n, std::int64_t cost, std::int64_t align, Body body) {
  if (parallel) {
    parallel::for_range(n, cost, body, align);
  } else {
    body(std::int64_t{0}, n);
  }
}

/// Lays out the planes of some channels for a block of steps; x is the first of the channels. Several entries
/// of the batch, which are x_entry apart, follow each other in each plane.
template <class T>
void lay_planes(const ConvPlan& plan, const StepBlock& block, std::int64_t channels, const T* x, T* planes,
                std::int64_t entries = 1, std::int64_t x_entry = 0);

}  // namespace gradus::detail
