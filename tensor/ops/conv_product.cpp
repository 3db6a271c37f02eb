#include <span>

#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"
#include "tensor/ops/conv_layout.hpp"
#include "tensor/support/parallel.hpp"

// Convolutions from x to y and from y to x, which are convolutions too, or with a stride one for each
// remainder that an entry of x can have: products of the weight by planes (conv_layout.hpp).
namespace gradus::detail {

namespace {

/// True when the convolution is a product of the weight by x as it stands.
bool is_plain(const ConvLengths& c) {
  const auto plain = [](const ConvAxis& a) {
    return a.width == 1 && a.stride == 1 && a.left == 0 && a.steps == a.length;
  };
  return plain(c.y) && plain(c.x);
}

/// Fills each channel with its bias, or zeros.
void fill_with_bias(Tensor& out, const Tensor& bias) {
  if (!bias.defined()) {
    out = zeros(out.shape(), out.dtype());
  } else {
    out = broadcast_to(bias.reshape(out.rank() == 3 ? Shape{bias.size(), 1} : Shape{bias.size(), 1, 1}),
                       out.shape());
  }
}

/// The weight of a Convolution: entry (group, out, channel, ky, kx), at the last axis side by side.
template <class T>
struct Weight {
  const T* data;
  std::int64_t group, out, channel, row;
};

/// The result of a Convolution: entry (group, out, row, col), the batch and the groups being one axis.
template <class T>
struct Result {
  T* data;
  std::int64_t group, out;
  std::int64_t length;  // of a row
  const T* bias;        // (groups * outs), or null
};

template <class T>
struct Convolution {
  std::int64_t batch, groups, outs;
  const T* x;
  Weight<T> weight;
  Result<T> result;
};

/// A Convolution, or from y to x the one for some of the phases. Phases that read the same entries of y are
/// computed together as if they were channels, outs * phases_y * phases_x: the taps of phase (i, j) are i
/// further down in the weight and j further to the right, and so are its results in x.
struct Job {
  ConvPlan plan;
  std::int64_t outs;
  std::int64_t phases_y = 1, phases_x = 1;
  std::int64_t down = 0, right = 0, stride_y = 1, stride_x = 1;  // of its results

  std::int64_t rows() const { return outs * phases_y * phases_x; }
  std::int64_t depth() const { return plan.channels * plan.taps(); }
};

/// Packs a tile of the weight, rows first..first + rows - 1 of `channels` channels: (channels * taps, rows).
template <class T>
void pack_tile(const Job& job, const Weight<T>& weight, const T* from, std::int64_t first, std::int64_t rows,
               std::int64_t channels, T* to) {
  const ConvPlan& p = job.plan;
  const std::int64_t phases = job.phases_y * job.phases_x;
  const bool in_order = weight.channel == p.taps() && p.y.weight_step == 1 && p.x.weight_step == 1;
  if (in_order && phases == 1) {  // channels and taps are one axis
    kernels::selected<T>().pack(kernels::Side::left, from + first * weight.out, weight.out, 1, rows,
                                channels * p.taps(), rows, to);
    return;
  }
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    for (std::int64_t a = 0; a < p.y.taps; ++a) {
      for (std::int64_t b = 0; b < p.x.taps; ++b, to += rows) {
        const T* const tap = from + channel * weight.channel +
                             (p.y.weight + a * p.y.weight_step) * weight.row + p.x.weight +
                             b * p.x.weight_step;
        if (phases == 1) {
          const T* const top = tap + first * weight.out;
          for (std::int64_t r = 0; r < rows; ++r) to[r] = top[r * weight.out];
          continue;
        }
        for (std::int64_t r = 0; r < rows; ++r) {
          const std::int64_t out = (first + r) / phases, phase = (first + r) % phases;
          to[r] = tap[out * weight.out + phase / job.phases_x * weight.row + phase % job.phases_x];
        }
      }
    }
  }
}

/// The weight in tiles for OffsetProduct: for each group and each block of channels (rows, channels * taps).
template <class T>
Tensor pack_weight(const Job& job, std::int64_t groups, const Weight<T>& weight) {
  const ConvPlan& p = job.plan;
  const std::int64_t rows = job.rows(), height = tile_height<T>(rows), tiles = (rows + height - 1) / height;
  Tensor packed = Tensor::uninitialized({groups * rows * job.depth()}, dtype_of<T>());
  T* const data = packed.mutable_data<T>();
  parallel::for_each(
      groups * p.channel_blocks() * tiles, height * p.channels_block * p.taps(), [&](std::int64_t i) {
        const std::int64_t group = i / tiles / p.channel_blocks(), first = i % tiles * height;
        const std::int64_t begin = i / tiles % p.channel_blocks() * p.channels_block;
        const std::int64_t channels = std::min(p.channels_block, p.channels - begin);
        pack_tile(job, weight, weight.data + group * weight.group + begin * weight.channel, first,
                  std::min(height, rows - first), channels,
                  data + group * rows * job.depth() + (rows * begin + first * channels) * p.taps());
      });
  return packed;
}

/// Copies a block's results to where they stand in x; `from` has a row for each channel, ld apart.
template <class T>
void scatter(const Job& job, const StepBlock& block, const T* from, std::int64_t ld, const T* bias,
             const Result<T>& to, T* y) {
  const std::int64_t phases = job.phases_y * job.phases_x;
  for (std::int64_t row = 0; row < job.rows(); ++row, from += ld) {
    const std::int64_t out = row / phases, phase = row % phases;
    const std::int64_t first_row = job.down + phase / job.phases_x + block.row * job.stride_y;
    T* const start = y + out * to.out + first_row * to.length + job.right + phase % job.phases_x +
                     block.col * job.stride_x;
    const T more = bias == nullptr ? T{0} : bias[out];
    for (std::int64_t i = 0; i < block.rows; ++i)
      kernels::selected<T>().spread(from + i * block.cols, block.cols, more,
                                    start + i * job.stride_y * to.length, job.stride_x);
  }
}

/// Computes a Job.
template <class T>
class Convolver {
 public:
  Convolver(const Convolution<T>& convolution, const Job& job)
      : c_(convolution),
        job_(job),
        rows_(job_.rows()),
        height_(tile_height<T>(rows_)),
        direct_(job_.stride_y == 1 && job_.stride_x == 1 && plan().entries == 1),
        packed_(pack_weight(job_, c_.groups, c_.weight)),
        offsets_(static_cast<std::size_t>(plan().channels_block * plan().taps())) {
    plan().fill_offsets(offsets_.data());
  }

  const ConvPlan& plan() const { return job_.plan; }
  std::int64_t work() const { return rows_ * job_.depth() * plan().y.steps * plan().x.steps; }
  /// Of the results that do not stand in the Result at once.
  std::int64_t results_size() const {
    return direct_ ? 0 : rows_ * plan().entries * plan().rows_block * plan().cols_block;
  }

  /// Computes a block of a group of some entries of the batch, the first of which is `entry`, on one thread
  /// or with `parallel` each of its products on several. `planes` and `results` are scratch memory.
  void operator()(std::int64_t entry, std::int64_t group, const StepBlock& block, bool parallel, T* planes,
                  T* results) const {
    const ConvPlan& p = plan();
    const Result<T>& out = c_.result;
    const std::int64_t entries = std::min(p.entries, c_.batch - entry), length = p.y.length * p.x.length;
    const std::int64_t part = entry * c_.groups + group, steps = block.rows * block.cols;
    const T* const bias = out.bias == nullptr ? nullptr : out.bias + group * c_.outs;
    T* const base = out.data + part * out.group;
    const Target to = direct_ ? Target{base + block.row * p.x.steps + block.col, out.out, p.x.steps}
                              : Target{results, entries * steps, block.cols};
    for (std::int64_t begin = 0; begin < p.channels; begin += p.channels_block) {
      const std::int64_t channels = std::min(p.channels_block, p.channels - begin);
      lay_planes(p, block, channels, c_.x + (part * p.channels + begin) * length, planes, entries,
                 c_.groups * p.channels * length);
      const T* const weights = packed_.data<T>() + rows_ * (group * job_.depth() + begin * p.taps());
      const Terms terms{channels * p.taps(), weights, planes, direct_ && begin == 0 ? bias : nullptr,
                        begin != 0};
      if (rows_ == 1) {
        sum(block, entries, terms, to);
      } else {
        multiply(block, entries, terms, parallel, to);
      }
    }
    for (std::int64_t i = 0; i < entries && !direct_; ++i)
      scatter(job_, block, results + i * steps, entries * steps, bias, out, base + i * c_.groups * out.group);
  }

 private:
  /// Where a block's results stand: the channels are ld apart, the rows `row`.
  struct Target {
    T* data;
    std::int64_t ld, row;
  };
  /// What a block of channels adds to them.
  struct Terms {
    std::int64_t depth;
    const T *weights, *planes, *bias;
    bool add;
  };

  /// To one channel, as in a convolution of each channel by itself.
  void sum(const StepBlock& block, std::int64_t entries, const Terms& terms, const Target& to) const {
    const bool joined = plan().joined;
    kernels::selected<T>().sum_taps({.taps = terms.depth,
                                     .rows = joined ? 1 : block.rows,
                                     .cols = joined ? entries * block.rows * block.cols : block.cols,
                                     .x = terms.planes,
                                     .x_row = plan().pitch(),
                                     .offsets = offsets_.data(),
                                     .weights = terms.weights,
                                     .y = to.data,
                                     .y_row = to.row,
                                     .bias = terms.bias == nullptr ? T{0} : *terms.bias,
                                     .add = terms.add});
  }

  void multiply(const StepBlock& block, std::int64_t entries, const Terms& terms, bool parallel,
                const Target& to) const {
    const std::int64_t steps = entries * block.rows * block.cols;
    split_if(parallel, rows_, terms.depth * steps, height_, [&](std::int64_t top, std::int64_t end) {
      for_runs(plan(), block, entries, [&](std::int64_t row, std::int64_t n) {
        kernels::selected<T>().multiply_offsets({.m = end - top,
                                                 .n = n,
                                                 .k = terms.depth,
                                                 .a = terms.weights + top * terms.depth,
                                                 .height = height_,
                                                 .b = terms.planes + row * plan().pitch(),
                                                 .offsets = offsets_.data(),
                                                 .c = to.data + top * to.ld + row * to.row,
                                                 .ldc = to.ld,
                                                 .bias = terms.bias == nullptr ? nullptr : terms.bias + top,
                                                 .add = terms.add});
      });
    });
  }

  const Convolution<T>& c_;
  Job job_;
  std::int64_t rows_, height_;
  bool direct_;
  Tensor packed_;
  storage::PoolVector<std::int64_t> offsets_;
};

/// Computes Jobs that make up a Convolution, all of them for a part of x while it is in a cache.
template <class T>
void convolve(const Convolution<T>& c, std::span<const Convolver<T>> jobs) {
  std::int64_t entries = 1, blocks = 1, work = 1, planes_size = 0, results_size = 0;
  for (const Convolver<T>& job : jobs) {
    entries = std::max(entries, job.plan().entries);
    blocks = std::max(blocks, job.plan().blocks());
    work += job.work();
    planes_size = std::max(planes_size, job.plan().scratch_size());
    results_size = std::max(results_size, job.results_size());
  }
  const std::int64_t items = (c.batch + entries - 1) / entries * c.groups * blocks;
  parallel::for_range(items, work * entries / blocks, [&](std::int64_t first, std::int64_t last) {
    Tensor planes = Tensor::uninitialized({planes_size}, dtype_of<T>());
    Tensor results = Tensor::uninitialized({results_size}, dtype_of<T>());
    T *const to_planes = planes.mutable_data<T>(), *const to_results = results.mutable_data<T>();
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t begin = i / blocks / c.groups * entries, end = std::min(begin + entries, c.batch);
      for (const Convolver<T>& job : jobs) {
        if (i % blocks >= job.plan().blocks()) continue;
        const StepBlock block(job.plan(), i % blocks);
        for (std::int64_t entry = begin; entry < end; entry += job.plan().entries)
          job(entry, i / blocks % c.groups, block, items < threads(), to_planes, to_results);
      }
    }
  });
}

/// Neighbouring phases of one axis that read the same entries of y by neighbouring taps.
struct Phases {
  std::int64_t count;
  TapAxis taps;

  Phases(const ConvAxis& axis, std::int64_t phase) : count(1), taps(TapAxis::backward(axis, phase)) {
    for (; phase + count < axis.stride; ++count) {
      const TapAxis next = TapAxis::backward(axis, phase + count);
      const bool alike = next.steps == taps.steps && next.taps == taps.taps && next.start == taps.start &&
                         next.weight == taps.weight + count;
      if (!alike) break;
    }
  }
};

/// True when some tap reads each entry of x.
bool reads_all(const ConvAxis& axis) {
  for (std::int64_t phase = 0; phase < std::min(axis.stride, axis.length); ++phase)
    if (TapAxis::backward(axis, phase).taps == 0) return false;
  return true;
}

/// What computes x from y, but for the entries that no tap reads.
template <class T>
storage::PoolVector<Convolver<T>> jobs_to_input(const ConvLengths& c, const Convolution<T>& convolution) {
  storage::PoolVector<Convolver<T>> jobs;
  const std::int64_t outs = c.out / c.groups;
  if (convolution.outs == 1 && outs == 1 && std::max(c.y.stride, c.x.stride) <= 2) {
    // So little work that it had better stay in one piece.
    const ConvPlan plan(TapAxis::spaced(c.y), TapAxis::spaced(c.x), 1, Join::never, registers<T>());
    jobs.emplace_back(convolution, Job{.plan = plan, .outs = 1});
    return jobs;
  }
  for (std::int64_t down = 0, rows = 0; down < std::min(c.y.stride, c.y.length); down += rows) {
    const Phases of_y(c.y, down);
    rows = of_y.count;
    for (std::int64_t right = 0, cols = 0; right < std::min(c.x.stride, c.x.length); right += cols) {
      const Phases of_x(c.x, right);
      cols = of_x.count;
      if (of_y.taps.taps == 0 || of_x.taps.taps == 0) continue;
      const ConvPlan plan(of_y.taps, of_x.taps, outs, Join::if_ragged, registers<T>(), c.batch);
      jobs.emplace_back(convolution, Job{.plan = plan,
                                         .outs = convolution.outs,
                                         .phases_y = rows,
                                         .phases_x = cols,
                                         .down = down,
                                         .right = right,
                                         .stride_y = c.y.stride,
                                         .stride_x = c.x.stride});
    }
  }
  return jobs;
}

/// A plain convolution's product: C = weight * b, or of the weight transposed.
template <class T>
void multiply_plain(const ConvLengths& c, const T* b, const T* weight, bool transposed, bool add, T* to) {
  const std::int64_t in = c.channels / c.groups, out = c.out / c.groups, steps = c.steps();
  const std::int64_t from_rows = transposed ? out : in, to_rows = transposed ? in : out;
  const auto range = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      kernels::gemm(kernels::Gemm<T>{.m = to_rows,
                                     .n = steps,
                                     .k = from_rows,
                                     .a = weight + i % c.groups * out * in,
                                     .lda = in,
                                     .a_transposed = transposed,
                                     .b = b + i * from_rows * steps,
                                     .ldb = steps,
                                     .c = to + i * to_rows * steps,
                                     .ldc = steps,
                                     .beta = add ? T{1} : T{0}});
    }
  };
  parallel::for_range(c.batch * c.groups, in * out * steps + 1, range);
}

}  // namespace

Tensor conv_forward(const ConvLengths& c, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor out = Tensor::uninitialized(c.y_shape(), x.dtype());
  if (out.size() == 0) return out;
  const bool plain = is_plain(c), add = bias.defined();
  if (c.channels == 0 || (plain && add)) fill_with_bias(out, bias);
  if (c.channels == 0) return out;
  const std::int64_t in = c.channels / c.groups, outs = c.out / c.groups;
  const auto compute = [&]<class T>(T* to, const T* from, const T* weights) {
    if (plain) return multiply_plain(c, from, weights, false, add, to);
    const Join join = in == 1 && outs == 1 ? Join::never : Join::if_ragged;
    const Convolution<T> convolution{
        .batch = c.batch,
        .groups = c.groups,
        .outs = outs,
        .x = from,
        .weight = {weights, outs * in * c.width(), in * c.width(), c.width(), c.x.width},
        .result = {.data = to,
                   .group = outs * c.steps(),
                   .out = c.steps(),
                   .length = c.x.steps,
                   .bias = add ? bias.data<T>() : nullptr}};
    const ConvPlan plan(TapAxis::forward(c.y), TapAxis::forward(c.x), in, join, registers<T>(), c.batch);
    const Convolver<T> job(convolution, {.plan = plan, .outs = outs});
    convolve(convolution, std::span(&job, 1));
  };
  visit_elements(compute, out, x, weight);
  return out;
}

Tensor conv_to_input(const ConvLengths& c, const Tensor& y, const Tensor& weight, const Tensor& bias) {
  Tensor out = Tensor::uninitialized(c.x_shape(), y.dtype());
  if (out.size() == 0) return out;
  const bool none = c.out == 0 || c.steps() == 0, plain = is_plain(c), add = bias.defined();
  if (none || (plain && add) || !reads_all(c.y) || !reads_all(c.x)) fill_with_bias(out, bias);
  if (none) return out;
  const std::int64_t in = c.channels / c.groups, outs = c.out / c.groups;
  const auto compute = [&]<class T>(T* to, const T* from, const T* weights) {
    if (plain) return multiply_plain(c, from, weights, true, add, to);
    const Convolution<T> convolution{
        .batch = c.batch,
        .groups = c.groups,
        .outs = in,
        .x = from,
        .weight = {weights, outs * in * c.width(), c.width(), in * c.width(), c.x.width},
        .result = {.data = to,
                   .group = in * c.length(),
                   .out = c.length(),
                   .length = c.x.length,
                   .bias = add ? bias.data<T>() : nullptr}};
    convolve(convolution, std::span<const Convolver<T>>(jobs_to_input(c, convolution)));
  };
  visit_elements(compute, out, y, weight);
  return out;
}

}  // namespace gradus::detail
