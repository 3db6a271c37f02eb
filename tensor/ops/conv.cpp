#include "tensor/ops/conv.hpp"

#include <algorithm>

#include "tensor/kernels/gemm.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"

// Convolutions are computed as matrix products: the entries of x that a block of steps depends on are laid
// out as columns (channels * width, steps). The blocks, and so the order of each sum, depend only on the
// lengths.
namespace gradus {

namespace detail {

namespace {

void check_operands(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    std::int64_t bias_length) {
  if (x.rank() != 3 || weight.rank() != 3) {
    fail<ShapeError>(
        "{}: x of shape {}, weight of shape {}; x must be (batch, channels, length), the weight "
        "have three axes too",
        op, x.shape(), weight.shape());
  }
  if (x.dtype() != weight.dtype() || (bias.defined() && bias.dtype() != x.dtype())) {
    fail<DtypeError>("{}: x is {}, the weight {}{}; convert with to()", op, name_of(x.dtype()),
                     name_of(weight.dtype()),
                     bias.defined() ? fmt::format(", the bias {}", name_of(bias.dtype())) : "");
  }
  if (weight.dim(2) == 0)
    fail<ShapeError>("{}: a weight of shape {}; its width must be at least 1", op, weight.shape());
  if (bias.defined() && bias.shape() != Shape{bias_length}) {
    fail<ShapeError>("{}: a bias of shape {} for {} channels of the result", op, bias.shape(), bias_length);
  }
}

void check_range(const char* op, const char* option, std::int64_t value, std::int64_t least) {
  if (value < least) fail<ArgumentError>("{}: {} is {}; it must be at least {}", op, option, value, least);
  check_length(op, option, value);
}

/// What both convolutions ask of their options.
void check_options(const char* op, const auto& options) {
  check_range(op, "stride", options.stride, 1);
  check_range(op, "dilation", options.dilation, 1);
  check_range(op, "groups", options.groups, 1);
  check_range(op, "padding", options.padding, 0);
}

/// The number of steps in a block, such that its columns fit into the second-level cache.
std::int64_t block_of(const ConvLengths& c) {
  const std::int64_t rows = c.channels / c.groups * c.width;
  const std::int64_t fits = (std::int64_t{1} << 16) / std::max<std::int64_t>(rows, 1);
  return std::min(std::clamp<std::int64_t>(fits, 64, 4096), std::max<std::int64_t>(c.steps, 1));
}

/// The steps t in begin..end-1 for which entry t * stride + offset lies in x are first..last-1.
struct Inside {
  std::int64_t first, last;
};
Inside inside(const ConvLengths& c, std::int64_t offset, std::int64_t begin, std::int64_t end) {
  const std::int64_t first = offset >= 0 ? 0 : (-offset + c.stride - 1) / c.stride;
  const std::int64_t last = offset >= c.length ? 0 : (c.length - 1 - offset) / c.stride + 1;
  return {std::clamp(first, begin, end), std::clamp(last, begin, end)};
}

/// True when a block's columns are the rows of x, so that nothing needs to be laid out.
bool is_plain(const ConvLengths& c) {
  return c.width == 1 && c.stride == 1 && c.left == 0 && c.steps == c.length;
}

/// columns[channel, k, t] = x[channel, t * stride + k * dilation - left] for t in begin..end-1, and 0 outside
/// x.
template <class T>
void lay_out(const ConvLengths& c, const T* x, std::int64_t begin, std::int64_t end, T* columns) {
  for (std::int64_t channel = 0; channel < c.channels / c.groups; ++channel, x += c.length) {
    for (std::int64_t k = 0; k < c.width; ++k, columns += end - begin) {
      const std::int64_t offset = k * c.dilation - c.left;
      const auto [first, last] = inside(c, offset, begin, end);
      std::fill(columns, columns + (first - begin), T{0});
      if (c.stride == 1) {
        std::copy(x + first + offset, x + std::max(first, last) + offset, columns + (first - begin));
      } else {
        for (std::int64_t t = first; t < last; ++t) columns[t - begin] = x[t * c.stride + offset];
      }
      std::fill(columns + (std::max(first, last) - begin), columns + (end - begin), T{0});
    }
  }
}

/// The adjoint of lay_out: adds the columns to x.
template <class T>
void add_back(const ConvLengths& c, const T* columns, std::int64_t begin, std::int64_t end, T* x) {
  for (std::int64_t channel = 0; channel < c.channels / c.groups; ++channel, x += c.length) {
    for (std::int64_t k = 0; k < c.width; ++k, columns += end - begin) {
      const std::int64_t offset = k * c.dilation - c.left;
      const auto [first, last] = inside(c, offset, begin, end);
      for (std::int64_t t = first; t < last; ++t) x[t * c.stride + offset] += columns[t - begin];
    }
  }
}

/// Where one group of one batch entry begins in each tensor.
struct Part {
  std::int64_t x, weight, y;
  std::int64_t rows;  // of the columns
  std::int64_t outs;  // of the group

  Part(const ConvLengths& c, std::int64_t entry, std::int64_t group)
      : x((entry * c.channels + group * (c.channels / c.groups)) * c.length),
        weight(group * (c.out / c.groups) * (c.channels / c.groups) * c.width),
        y((entry * c.out + group * (c.out / c.groups)) * c.steps),
        rows(c.channels / c.groups * c.width),
        outs(c.out / c.groups) {}
};

/// The number of multiply-adds of one group of one batch entry.
std::int64_t work_of(const ConvLengths& c) {
  return c.channels / c.groups * c.width * (c.out / c.groups) * c.steps + 1;
}

/// Fills each channel with its bias.
void fill_with_bias(Tensor& out, const Tensor& bias) {
  const Shape column{bias.size(), 1};
  out = broadcast_to(bias.reshape(column), out.shape());
}

/// weight += columns of x times y, over the steps of one group of one batch entry.
template <class T>
void add_weight(const ConvLengths& c, const Part& part, const T* x, const T* y, T* weight, T* scratch) {
  const std::int64_t block = block_of(c);
  for (std::int64_t begin = 0; begin < c.steps; begin += block) {
    const std::int64_t end = std::min(begin + block, c.steps), count = end - begin;
    const bool plain = is_plain(c);
    if (!plain) lay_out(c, x + part.x, begin, end, scratch);
    kernels::gemm(kernels::Gemm<T>{.m = part.outs,
                                   .n = part.rows,
                                   .k = count,
                                   .a = y + part.y + begin,
                                   .lda = c.steps,
                                   .b = plain ? x + part.x + begin : scratch,
                                   .ldb = plain ? c.length : count,
                                   .b_transposed = true,
                                   .c = weight + part.weight,
                                   .ldc = part.rows,
                                   .beta = 1});
  }
}

}  // namespace

ConvLengths conv_lengths(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& o) {
  check_operands("conv1d", x, weight, bias, weight.rank() == 3 ? weight.dim(0) : 0);
  check_options("conv1d", o);
  if (o.causal && o.padding != 0) {
    fail<ArgumentError>("conv1d: padding is {} with causal, which pads by itself; leave padding at 0",
                        o.padding);
  }
  if (weight.dim(0) % o.groups != 0 || weight.dim(1) * o.groups != x.dim(1)) {
    fail<ShapeError>(
        "conv1d: x of shape {}, weight of shape {}, {} groups; the weight must be (out, channels "
        "/ groups, width), with as many outputs for each group",
        x.shape(), weight.shape(), o.groups);
  }
  const std::int64_t reach = o.dilation * (weight.dim(2) - 1) + 1;
  const std::int64_t left = o.causal ? reach - 1 : o.padding, padded = x.dim(2) + left + o.padding;
  if (padded < reach && !o.causal) {
    fail<ShapeError>(
        "conv1d: x of shape {}, weight of shape {}: {} entries with padding, the weight reaches "
        "over {}; pad more or take a narrower weight",
        x.shape(), weight.shape(), padded, reach);
  }
  return {.batch = x.dim(0),
          .channels = x.dim(1),
          .length = x.dim(2),
          .out = weight.dim(0),
          .width = weight.dim(2),
          .steps = padded < reach ? 0 : (padded - reach) / o.stride + 1,
          .left = left,
          .stride = o.stride,
          .dilation = o.dilation,
          .groups = o.groups};
}

ConvLengths conv_lengths(const Tensor& y, const Tensor& weight, const Tensor& bias,
                         const ConvTranspose1dOptions& o) {
  check_options("conv_transpose1d", o);
  check_operands("conv_transpose1d", y, weight, bias, weight.rank() == 3 ? weight.dim(1) * o.groups : 0);
  check_range("conv_transpose1d", "output_padding", o.output_padding, 0);
  if (o.output_padding >= std::max(o.stride, o.dilation)) {
    fail<ArgumentError>(
        "conv_transpose1d: output_padding is {}; it must be less than the stride {} or the "
        "dilation {}",
        o.output_padding, o.stride, o.dilation);
  }
  if (weight.dim(0) % o.groups != 0 || weight.dim(0) != y.dim(1)) {
    fail<ShapeError>(
        "conv_transpose1d: x of shape {}, weight of shape {}, {} groups; the weight must be (in, "
        "channels / groups, width), with as many inputs for each group",
        y.shape(), weight.shape(), o.groups);
  }
  const std::int64_t length =
      (y.dim(2) - 1) * o.stride - 2 * o.padding + o.dilation * (weight.dim(2) - 1) + o.output_padding + 1;
  if (length < 0) {
    fail<ShapeError>("conv_transpose1d: x of shape {}, weight of shape {}, padding {}: a result of length {}",
                     y.shape(), weight.shape(), o.padding, length);
  }
  return {.batch = y.dim(0),
          .channels = weight.dim(1) * o.groups,
          .length = length,
          .out = weight.dim(0),
          .width = weight.dim(2),
          .steps = y.dim(2),
          .left = o.padding,
          .stride = o.stride,
          .dilation = o.dilation,
          .groups = o.groups};
}

Tensor conv_forward(const ConvLengths& c, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor out = Tensor::uninitialized(c.y_shape(), x.dtype());
  if (bias.defined()) fill_with_bias(out, bias);
  if (out.size() == 0) return out;
  const std::int64_t block = block_of(c), blocks = (c.steps + block - 1) / block;
  const auto compute = [&]<class T>(T* to, const T* from, const T* weights) {
    const auto range = [&](std::int64_t first, std::int64_t last) {
      const bool plain = is_plain(c);
      Tensor scratch;  // (channels / groups * width, block)
      if (!plain) scratch = Tensor::uninitialized({c.channels / c.groups * c.width, block}, x.dtype());
      T* const columns = plain ? nullptr : scratch.mutable_data<T>();
      for (std::int64_t i = first; i < last; ++i) {
        const Part part(c, i / blocks / c.groups, i / blocks % c.groups);
        const std::int64_t begin = i % blocks * block, end = std::min(begin + block, c.steps);
        if (!plain) lay_out(c, from + part.x, begin, end, columns);
        kernels::gemm(kernels::Gemm<T>{.m = part.outs,
                                       .n = end - begin,
                                       .k = part.rows,
                                       .a = weights + part.weight,
                                       .lda = part.rows,
                                       .b = plain ? from + part.x + begin : columns,
                                       .ldb = plain ? c.length : end - begin,
                                       .c = to + part.y + begin,
                                       .ldc = c.steps,
                                       .beta = bias.defined() ? T{1} : T{0}});
      }
    };
    parallel::for_range(c.batch * c.groups * blocks, work_of(c) / blocks + 1, range);
  };
  visit_elements(compute, out, x, weight);
  return out;
}

Tensor conv_to_input(const ConvLengths& c, const Tensor& y, const Tensor& weight, const Tensor& bias) {
  Tensor out = zeros(c.x_shape(), y.dtype());
  if (bias.defined()) fill_with_bias(out, bias);
  if (out.size() == 0 || c.steps == 0) return out;
  const std::int64_t block = block_of(c);
  const auto compute = [&]<class T>(T* to, const T* from, const T* weights) {
    const auto range = [&](std::int64_t first, std::int64_t last) {
      Tensor scratch = Tensor::uninitialized({c.channels / c.groups * c.width, block}, y.dtype());
      T* const columns = scratch.mutable_data<T>();
      for (std::int64_t i = first; i < last; ++i) {
        const Part part(c, i / c.groups, i % c.groups);
        // One after the other, since neighbouring blocks add to the same entries.
        for (std::int64_t begin = 0; begin < c.steps; begin += block) {
          const std::int64_t end = std::min(begin + block, c.steps);
          kernels::gemm(kernels::Gemm<T>{.m = part.rows,
                                         .n = end - begin,
                                         .k = part.outs,
                                         .a = weights + part.weight,
                                         .lda = part.rows,
                                         .a_transposed = true,
                                         .b = from + part.y + begin,
                                         .ldb = c.steps,
                                         .c = columns,
                                         .ldc = end - begin});
          add_back(c, columns, begin, end, to + part.x);
        }
      }
    };
    parallel::for_range(c.batch * c.groups, work_of(c), range);
  };
  visit_elements(compute, out, y, weight);
  return out;
}

Tensor conv_to_weight(const ConvLengths& c, const Tensor& x, const Tensor& y) {
  // Where the products are small, up to 8 parts of the batch are summed in parallel, then their sums in
  // order. This depends on the lengths alone, so that the order of the sum is always the same.
  const std::int64_t runs = work_of(c) < (std::int64_t{1} << 20) ? std::min<std::int64_t>(c.batch, 8)
                                                                 : std::min<std::int64_t>(c.batch, 1);
  Tensor sums = zeros(c.weight_shape().inserted(0, std::max<std::int64_t>(runs, 1)), x.dtype());
  const auto compute = [&]<class T>(T* to, const T* xs, const T* ys) {
    const std::int64_t weight_size = c.weight_shape().size();
    const auto run = [&](std::int64_t index) {
      Tensor scratch = Tensor::uninitialized({c.channels / c.groups * c.width, block_of(c)}, x.dtype());
      T* const columns = scratch.mutable_data<T>();
      for (std::int64_t entry = c.batch * index / runs; entry < c.batch * (index + 1) / runs; ++entry) {
        for (std::int64_t group = 0; group < c.groups; ++group) {
          add_weight(c, Part(c, entry, group), xs, ys, to + index * weight_size, columns);
        }
      }
    };
    parallel::for_chunks(runs, run);
  };
  visit_elements(compute, sums, x, y);
  return runs <= 1 ? sums.reshape(c.weight_shape()) : sum(sums, 0);
}

}  // namespace detail

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv1dOptions options) {
  return detail::conv_forward(detail::conv_lengths(x, weight, bias, options), x, weight, bias);
}

Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        ConvTranspose1dOptions options) {
  return detail::conv_to_input(detail::conv_lengths(x, weight, bias, options), x, weight, bias);
}

}  // namespace gradus
