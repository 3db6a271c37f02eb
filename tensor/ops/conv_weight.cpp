#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"
#include "tensor/ops/conv_layout.hpp"
#include "tensor/support/parallel.hpp"

// The weight from x and y: products of planes (conv_layout.hpp) by y.
namespace gradus::detail {

namespace {

/// Sums the weight's gradient: for each group (taps down, channels, taps across, outs).
template <class T>
class WeightSum {
 public:
  WeightSum(const ConvLengths& c, const ConvPlan& plan, bool parallel)
      : c_(c),
        p_(plan),
        parallel_(parallel),
        outs_(c.out / c.groups),
        panel_(kernels::selected<T>().tiles().cols),
        panels_((outs_ + panel_ - 1) / panel_),
        offsets_(static_cast<std::size_t>(p_.channels_block * p_.taps())),
        planes_(Tensor::uninitialized({p_.scratch_size()}, dtype_of<T>())),
        packed_(Tensor::uninitialized({panels_ * panel_ * p_.rows_block * p_.cols_block}, dtype_of<T>())),
        sums_(zeros(c.weight_shape(), dtype_of<T>())) {
    p_.fill_offsets(offsets_.data());
  }

  /// x and y: of one group of one batch entry.
  void add(std::int64_t group, const T* x, const T* y) {
    for (std::int64_t index = 0; index < p_.blocks(); ++index) {
      const StepBlock block(p_, index);
      const T* const y_block = y + block.row * p_.x.steps + block.col;
      if (!single()) pack(block, y_block);
      T* const sums = sums_.mutable_data<T>() + group * outs_ * p_.channels * p_.taps();
      for (std::int64_t begin = 0; begin < p_.channels; begin += p_.channels_block) {
        const std::int64_t channels = std::min(p_.channels_block, p_.channels - begin);
        lay_planes(p_, block, channels, x + begin * c_.length(), planes_.mutable_data<T>());
        if (single()) {
          dot(block, y_block, sums);
        } else {
          multiply(block, channels, sums + begin * p_.x.taps * outs_);
        }
      }
    }
  }

  /// Writes the sum in the layout of the weight, a cache line of outs at a time.
  void finish(T* weight) const {
    constexpr std::int64_t line = 64 / sizeof(T);
    const std::int64_t taps = p_.taps(), across = p_.x.taps, size = outs_ * p_.channels * taps;
    const T* from = sums_.data<T>();
    for (std::int64_t group = 0; group < c_.groups; ++group, weight += size, from += size) {
      for (std::int64_t out = 0; out < outs_; out += line) {
        const std::int64_t some = std::min(line, outs_ - out);
        for (std::int64_t i = 0; i < p_.channels * taps; ++i) {
          const std::int64_t channel = i / taps, a = i % taps / across, b = i % across;
          const T* const sums = from + ((a * p_.channels + channel) * across + b) * outs_ + out;
          T* const to = weight + out * p_.channels * taps + i;
          for (std::int64_t o = 0; o < some; ++o) to[o * p_.channels * taps] = sums[o];
        }
      }
    }
  }

 private:
  /// One channel to one: no product to speak of.
  bool single() const { return p_.channels == 1 && outs_ == 1; }

  void dot(const StepBlock& block, const T* y, T* sums) {
    kernels::selected<T>().dot_taps({.taps = p_.taps(),
                                     .rows = block.rows,
                                     .cols = block.cols,
                                     .x = planes_.data<T>(),
                                     .x_row = p_.pitch(),
                                     .offsets = offsets_.data(),
                                     .weights = nullptr,
                                     .y = nullptr,
                                     .y_row = p_.x.steps},
                                    y, sums);
  }

  /// y in panels of a few outs, for each run of the block (steps, panel).
  void pack(const StepBlock& block, const T* y) {
    T* to = packed_.mutable_data<T>();
    for_runs(p_, block, 1, [&](std::int64_t row, std::int64_t n) {
      kernels::selected<T>().pack(kernels::Side::right, y + row * p_.x.steps, c_.steps(), 1, outs_, n, panel_,
                                  to);
      to += panels_ * panel_ * n;
    });
  }

  void multiply(const StepBlock& block, std::int64_t channels, T* sums) {
    const std::int64_t across = p_.x.taps;
    const bool alike = p_.down.planes == 1 && p_.across.planes == across;  // a plane for each channel and tap
    const T* y = packed_.data<T>();
    for_runs(p_, block, 1, [&](std::int64_t row, std::int64_t n) {
      for (std::int64_t a = 0; a < p_.y.taps; ++a) {
        T* const to = sums + a * p_.channels * across * outs_;
        const T* const x = planes_.data<T>() + row * p_.pitch();
        if (alike) {
          multiply(channels * across, n, x + p_.offset(a, 0), p_.plane_size, y, to, outs_);
          continue;
        }
        for (std::int64_t b = 0; b < across; ++b)
          multiply(channels, n, x + p_.offset(a, b), p_.channel_size(), y, to + b * outs_, across * outs_);
      }
      y += panels_ * panel_ * n;
    });
  }

  /// sums (rows, outs) += x (rows, steps) y (steps, outs), where x stands as it is and y in panels.
  void multiply(std::int64_t rows, std::int64_t steps, const T* x, std::int64_t x_row, const T* y, T* sums,
                std::int64_t ld) {
    const kernels::Tiles<T>& tiles = kernels::selected<T>().tiles();
    const std::int64_t height = tile_height<T>(rows);
    split_if(parallel_, rows, steps * outs_, height, [&](std::int64_t top, std::int64_t end) {
      for (std::int64_t j = 0; j < outs_; j += panel_) {
        const std::int64_t cols = std::min(panel_, outs_ - j);
        const auto& column = cols <= tiles.lanes ? tiles.in_place_narrow : tiles.in_place;
        for (std::int64_t i = top; i < end; i += height) {
          for (std::int64_t r = i; r < std::min(i + height, end); ++r) {  // they may be in no near cache
            __builtin_prefetch(sums + r * ld + j, 1);
            __builtin_prefetch(sums + r * ld + j + cols - 1, 1);
          }
          column[static_cast<std::size_t>(std::min(height, end - i) - 1)]({.k = steps,
                                                                           .a = x + i * x_row,
                                                                           .a_row = x_row,
                                                                           .a_col = 1,
                                                                           .b = y + j * steps,
                                                                           .ldb = panel_,
                                                                           .c = sums + i * ld + j,
                                                                           .ldc = ld,
                                                                           .cols = cols,
                                                                           .alpha = 1,
                                                                           .beta = 1,
                                                                           .bias = nullptr});
        }
      }
    });
  }

  const ConvLengths& c_;
  const ConvPlan& p_;
  bool parallel_;
  std::int64_t outs_, panel_, panels_;
  storage::PoolVector<std::int64_t> offsets_;
  Tensor planes_, packed_, sums_;
};

}  // namespace

Tensor conv_to_weight(const ConvLengths& c, const Tensor& x, const Tensor& y) {
  // Up to 8 parts of the batch are summed in parallel, then their sums in order, unless the weight is so
  // large that its products are split among threads instead. This depends on the lengths alone, so that the
  // order of the sum is always the same.
  const std::int64_t most = c.weight_shape().size() <= (std::int64_t{1} << 18) ? 8 : 1;
  const std::int64_t runs = std::min<std::int64_t>(c.batch, most);
  if (runs == 0 || c.weight_shape().size() == 0 || c.steps() == 0) return zeros(c.weight_shape(), x.dtype());
  Tensor sums = Tensor::uninitialized(c.weight_shape().inserted(0, runs), x.dtype());
  const auto compute = [&]<class T>(T* to, const T* xs, const T* ys) {
    const std::int64_t in = c.channels / c.groups, outs = c.out / c.groups;
    const Join join = in == 1 && outs == 1 ? Join::never : Join::if_narrow;
    const ConvPlan plan(TapAxis::forward(c.y), TapAxis::forward(c.x), in, join, registers<T>());
    const bool inside = runs < threads();
    const auto run = [&](std::int64_t index) {
      WeightSum<T> sum(c, plan, inside);
      for (std::int64_t entry = c.batch * index / runs; entry < c.batch * (index + 1) / runs; ++entry) {
        for (std::int64_t group = 0; group < c.groups; ++group) {
          const std::int64_t part = entry * c.groups + group;
          sum.add(group, xs + part * in * c.length(), ys + part * outs * c.steps());
        }
      }
      sum.finish(to + index * c.weight_shape().size());
    };
    parallel::for_chunks(runs, run);
  };
  visit_elements(compute, sums, x, y);
  return runs == 1 ? sums.reshape(c.weight_shape()) : sum(sums, 0);
}

}  // namespace gradus::detail
