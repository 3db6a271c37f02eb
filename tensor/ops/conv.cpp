#include "tensor/ops/conv.hpp"

#include <algorithm>

#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"

// Convolutions are computed as matrix products: the entries of x that a block of steps depends on are laid
// out as columns (channels * width, steps). The blocks, and so the order of each sum, depend only on the
// lengths.
namespace gradus {

namespace detail {

namespace {

/// What is said of a convolution along `rank` axes.
struct Said {
  const char *op, *x;
};

constexpr Said of_conv1d{"conv1d", "(batch, channels, length)"};
constexpr Said of_conv_transpose1d{"conv_transpose1d", "(batch, channels, length)"};
constexpr Said of_conv2d{"conv2d", "(batch, channels, height, width)"};
constexpr Said of_conv_transpose2d{"conv_transpose2d", "(batch, channels, height, width)"};

void check_operands(const Said& said, int rank, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    bool transposed, std::int64_t groups) {
  if (x.rank() != rank + 2 || weight.rank() != rank + 2) {
    fail<ShapeError>("{}: x of shape {}, weight of shape {}; x must be {}, the weight have {} axes too",
                     said.op, x.shape(), weight.shape(), said.x, rank == 1 ? "three" : "four");
  }
  if (x.dtype() != weight.dtype() || (bias.defined() && bias.dtype() != x.dtype())) {
    fail<DtypeError>("{}: x is {}, the weight {}{}; convert with to()", said.op, name_of(x.dtype()),
                     name_of(weight.dtype()),
                     bias.defined() ? fmt::format(", the bias {}", name_of(bias.dtype())) : "");
  }
  if (weight.dim(2) == 0 || weight.dim(-1) == 0) {
    fail<ShapeError>("{}: a weight of shape {}; its width must be at least 1", said.op, weight.shape());
  }
  const std::int64_t outs = transposed ? weight.dim(1) * groups : weight.dim(0);
  if (bias.defined() && bias.shape() != Shape{outs})
    fail<ShapeError>("{}: a bias of shape {} for {} channels of the result", said.op, bias.shape(), outs);
  const bool fits =
      weight.dim(0) % groups == 0 && (transposed ? weight.dim(0) : weight.dim(1) * groups) == x.dim(1);
  if (!fits) {
    fail<ShapeError>(
        "{}: x of shape {}, weight of shape {}, {} groups; the weight must be ({}, width{}), with as many {} "
        "for each group",
        said.op, x.shape(), weight.shape(), groups,
        transposed ? "in, channels / groups" : "out, channels / groups", rank == 1 ? "" : "s",
        transposed ? "inputs" : "outputs");
  }
}

void check_range(const char* op, const char* option, std::int64_t value, std::int64_t least) {
  if (value < least) fail<ArgumentError>("{}: {} is {}; it must be at least {}", op, option, value, least);
  check_length(op, option, value);
}

/// The options along one axis.
struct AxisOptions {
  std::int64_t stride, padding, dilation;
  std::int64_t output_padding = 0;
  bool causal = false;
};
/// What all convolutions ask of their options.
void check_options(const char* op, std::int64_t groups, std::initializer_list<AxisOptions> axes) {
  for (const AxisOptions& o : axes) {
    check_range(op, "stride", o.stride, 1);
    check_range(op, "dilation", o.dilation, 1);
    check_range(op, "groups", groups, 1);
    check_range(op, "padding", o.padding, 0);
    check_range(op, "output_padding", o.output_padding, 0);
  }
}

/// An axis of a convolution of x.
ConvAxis forward_axis(const char* op, const Tensor& x, const Tensor& weight, int axis, const AxisOptions& o) {
  const std::int64_t width = weight.dim(axis), length = x.dim(axis), reach = o.dilation * (width - 1) + 1;
  const std::int64_t left = o.causal ? reach - 1 : o.padding, padded = length + left + o.padding;
  if (padded < reach && !o.causal) {
    fail<ShapeError>(
        "{}: x of shape {}, weight of shape {}: {} entries with padding, the weight reaches over {}; pad "
        "more or take a narrower weight",
        op, x.shape(), weight.shape(), padded, reach);
  }
  return {.length = length,
          .width = width,
          .steps = padded < reach ? 0 : (padded - reach) / o.stride + 1,
          .left = left,
          .stride = o.stride,
          .dilation = o.dilation};
}

/// An axis of the convolution whose result y is what a transposed one is given.
ConvAxis transposed_axis(const char* op, const Tensor& y, const Tensor& weight, int axis,
                         const AxisOptions& o) {
  if (o.output_padding >= std::max(o.stride, o.dilation)) {
    fail<ArgumentError>("{}: output_padding is {}; it must be less than the stride {} or the dilation {}", op,
                        o.output_padding, o.stride, o.dilation);
  }
  const std::int64_t length = (y.dim(axis) - 1) * o.stride - 2 * o.padding +
                              o.dilation * (weight.dim(axis) - 1) + o.output_padding + 1;
  if (length < 0) {
    fail<ShapeError>("{}: x of shape {}, weight of shape {}, padding {}: a result of length {}", op,
                     y.shape(), weight.shape(), o.padding, length);
  }
  return {.length = length,
          .width = weight.dim(axis),
          .steps = y.dim(axis),
          .left = o.padding,
          .stride = o.stride,
          .dilation = o.dilation};
}

AxisOptions down(const auto& o) {
  return {o.stride.height, o.padding.height, o.dilation.height};
}
AxisOptions across(const auto& o) {
  return {o.stride.width, o.padding.width, o.dilation.width};
}

/// The number of steps in a block, such that its columns fit into the second-level cache: blocks alike, and
/// whole registers of them, since a product of what is left over takes as long as one of a whole register.
std::int64_t block_of(const ConvLengths& c) {
  constexpr std::int64_t registers = 16;  // elements of f32 in the widest
  const std::int64_t rows = c.channels / c.groups * c.width(), steps = std::max<std::int64_t>(c.steps(), 1);
  const std::int64_t most =
      std::clamp<std::int64_t>((std::int64_t{1} << 16) / std::max<std::int64_t>(rows, 1), 64, 4096);
  const std::int64_t blocks = (steps + most - 1) / most, alike = (steps + blocks - 1) / blocks;
  return std::min((alike + registers - 1) / registers * registers, steps);
}

/// The steps t of an axis for which entry t * stride + offset lies in x are first..last-1.
struct Inside {
  std::int64_t first, last;

  Inside(const ConvAxis& a, std::int64_t offset) {
    first = std::min(offset >= 0 ? 0 : (-offset + a.stride - 1) / a.stride, a.steps);
    last =
        std::max(offset >= a.length ? 0 : std::min((a.length - 1 - offset) / a.stride + 1, a.steps), first);
  }
};

/// True when a block's columns are the rows of x, so that nothing needs to be laid out.
bool is_plain(const ConvLengths& c) {
  const auto plain = [](const ConvAxis& a) {
    return a.width == 1 && a.stride == 1 && a.left == 0 && a.steps == a.length;
  };
  return plain(c.y) && plain(c.x);
}

/// Walks through the columns of the steps begin..end-1: for each of a group's channels and each tap of the
/// weight, and each row of steps, calls f(count, first, last, from): of the row's `count` steps those from
/// first on up to last are x[from], x[from + stride] and so on, the others lie outside of x.
template <class F>
void for_column_parts(const ConvLengths& c, std::int64_t begin, std::int64_t end, F f) {
  for (std::int64_t channel = 0; channel < c.channels / c.groups; ++channel) {
    for (std::int64_t ky = 0; ky < c.y.width; ++ky) {
      for (std::int64_t kx = 0; kx < c.x.width; ++kx) {
        const std::int64_t offset = kx * c.x.dilation - c.x.left;
        const Inside in(c.x, offset);
        std::int64_t row = begin / c.x.steps, t = begin % c.x.steps, left = end - begin;
        for (; left > 0; ++row, t = 0) {
          const std::int64_t count = std::min(c.x.steps - t, left);
          const std::int64_t y = row * c.y.stride + ky * c.y.dilation - c.y.left;
          std::int64_t first = count, last = count, from = 0;
          if (y >= 0 && y < c.y.length) {
            first = std::clamp(in.first - t, std::int64_t{0}, count);
            last = std::clamp(in.last - t, first, count);
            from = (channel * c.y.length + y) * c.x.length + (t + first) * c.x.stride + offset;
          }
          f(count, first, last, from);
          left -= count;
        }
      }
    }
  }
}

/// columns[channel, k, t] = x[channel, t * stride + k * dilation - left] for t in begin..end-1, and 0 outside
/// x.
template <class T>
void lay_out(const ConvLengths& c, const T* x, std::int64_t begin, std::int64_t end, T* columns) {
  const std::int64_t stride = c.x.stride;
  for_column_parts(c, begin, end,
                   [&](std::int64_t count, std::int64_t first, std::int64_t last, std::int64_t from) {
                     std::fill(columns, columns + first, T{0});
                     if (stride == 1) {
                       std::copy(x + from, x + from + (last - first), columns + first);
                     } else {
                       for (std::int64_t t = first; t < last; ++t)
                         columns[t] = x[from + (t - first) * stride];
                     }
                     std::fill(columns + last, columns + count, T{0});
                     columns += count;
                   });
}

/// The adjoint of lay_out: adds the columns to x.
template <class T>
void add_back(const ConvLengths& c, const T* columns, std::int64_t begin, std::int64_t end, T* x) {
  const auto& kernel = kernels::selected<T>();
  const std::int64_t stride = c.x.stride;
  constexpr T one = 1;
  const auto add = [&](std::int64_t count, std::int64_t first, std::int64_t last, std::int64_t from) {
    T* const to = x + from;
    if (stride == 1) {
      if (first < last) kernel.add_rows(&one, columns + first, 0, 1, to, last - first);
    } else {
      for (std::int64_t t = first; t < last; ++t) to[(t - first) * stride] += columns[t];
    }
    columns += count;
  };
  for_column_parts(c, begin, end, add);
}

/// Where one group of one batch entry begins in each tensor.
struct Part {
  std::int64_t x, weight, y;
  std::int64_t rows;  // of the columns
  std::int64_t outs;  // of the group

  Part(const ConvLengths& c, std::int64_t entry, std::int64_t group)
      : x((entry * c.channels + group * (c.channels / c.groups)) * c.length()),
        weight(group * (c.out / c.groups) * (c.channels / c.groups) * c.width()),
        y((entry * c.out + group * (c.out / c.groups)) * c.steps()),
        rows(c.channels / c.groups * c.width()),
        outs(c.out / c.groups) {}
};

/// The number of multiply-adds of one group of one batch entry.
std::int64_t work_of(const ConvLengths& c) {
  return c.channels / c.groups * c.width() * (c.out / c.groups) * c.steps() + 1;
}

/// Fills each channel with its bias.
void fill_with_bias(Tensor& out, const Tensor& bias) {
  out = broadcast_to(bias.reshape(out.rank() == 3 ? Shape{bias.size(), 1} : Shape{bias.size(), 1, 1}),
                     out.shape());
}

/// weight += columns of x times y, over the steps of one group of one batch entry.
template <class T>
void add_weight(const ConvLengths& c, const Part& part, const T* x, const T* y, T* weight, T* scratch) {
  const std::int64_t block = block_of(c);
  for (std::int64_t begin = 0; begin < c.steps(); begin += block) {
    const std::int64_t end = std::min(begin + block, c.steps()), count = end - begin;
    const bool plain = is_plain(c);
    if (!plain) lay_out(c, x + part.x, begin, end, scratch);
    kernels::gemm(kernels::Gemm<T>{.m = part.outs,
                                   .n = part.rows,
                                   .k = count,
                                   .a = y + part.y + begin,
                                   .lda = c.steps(),
                                   .b = plain ? x + part.x + begin : scratch,
                                   .ldb = plain ? c.length() : count,
                                   .b_transposed = true,
                                   .c = weight + part.weight,
                                   .ldc = part.rows,
                                   .beta = 1});
  }
}

}  // namespace

ConvLengths conv_lengths(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& o) {
  const AxisOptions axis{
      .stride = o.stride, .padding = o.padding, .dilation = o.dilation, .causal = o.causal};
  check_options("conv1d", o.groups, {axis});
  check_operands(of_conv1d, 1, x, weight, bias, false, o.groups);
  if (o.causal && o.padding != 0) {
    fail<ArgumentError>("conv1d: padding is {} with causal, which pads by itself; leave padding at 0",
                        o.padding);
  }
  return {.rank = 1,
          .batch = x.dim(0),
          .channels = x.dim(1),
          .out = weight.dim(0),
          .groups = o.groups,
          .y = {},
          .x = forward_axis("conv1d", x, weight, 2, axis)};
}

ConvLengths conv_lengths(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  check_options("conv2d", o.groups, {down(o), across(o)});
  check_operands(of_conv2d, 2, x, weight, bias, false, o.groups);
  return {.rank = 2,
          .batch = x.dim(0),
          .channels = x.dim(1),
          .out = weight.dim(0),
          .groups = o.groups,
          .y = forward_axis("conv2d", x, weight, 2, down(o)),
          .x = forward_axis("conv2d", x, weight, 3, across(o))};
}

ConvLengths conv_lengths(const Tensor& y, const Tensor& weight, const Tensor& bias,
                         const ConvTranspose1dOptions& o) {
  const AxisOptions axis{o.stride, o.padding, o.dilation, o.output_padding};
  check_options("conv_transpose1d", o.groups, {axis});
  check_operands(of_conv_transpose1d, 1, y, weight, bias, true, o.groups);
  return {.rank = 1,
          .batch = y.dim(0),
          .channels = weight.dim(1) * o.groups,
          .out = weight.dim(0),
          .groups = o.groups,
          .y = {},
          .x = transposed_axis("conv_transpose1d", y, weight, 2, axis)};
}

ConvLengths conv_lengths(const Tensor& y, const Tensor& weight, const Tensor& bias,
                         const ConvTranspose2dOptions& o) {
  AxisOptions height = down(o), width = across(o);
  height.output_padding = o.output_padding.height;
  width.output_padding = o.output_padding.width;
  check_options("conv_transpose2d", o.groups, {height, width});
  check_operands(of_conv_transpose2d, 2, y, weight, bias, true, o.groups);
  return {.rank = 2,
          .batch = y.dim(0),
          .channels = weight.dim(1) * o.groups,
          .out = weight.dim(0),
          .groups = o.groups,
          .y = transposed_axis("conv_transpose2d", y, weight, 2, height),
          .x = transposed_axis("conv_transpose2d", y, weight, 3, width)};
}

Tensor conv_forward(const ConvLengths& c, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor out = Tensor::uninitialized(c.y_shape(), x.dtype());
  if (bias.defined()) fill_with_bias(out, bias);
  if (out.size() == 0) return out;
  const std::int64_t block = block_of(c), blocks = (c.steps() + block - 1) / block;
  const auto compute = [&]<class T>(T* to, const T* from, const T* weights) {
    const auto range = [&](std::int64_t first, std::int64_t last) {
      const bool plain = is_plain(c);
      Tensor scratch;  // (channels / groups * width, block)
      if (!plain) scratch = Tensor::uninitialized({c.channels / c.groups * c.width(), block}, x.dtype());
      T* const columns = plain ? nullptr : scratch.mutable_data<T>();
      for (std::int64_t i = first; i < last; ++i) {
        const Part part(c, i / blocks / c.groups, i / blocks % c.groups);
        const std::int64_t begin = i % blocks * block, end = std::min(begin + block, c.steps());
        if (!plain) lay_out(c, from + part.x, begin, end, columns);
        kernels::gemm(kernels::Gemm<T>{.m = part.outs,
                                       .n = end - begin,
                                       .k = part.rows,
                                       .a = weights + part.weight,
                                       .lda = part.rows,
                                       .b = plain ? from + part.x + begin : columns,
                                       .ldb = plain ? c.length() : end - begin,
                                       .c = to + part.y + begin,
                                       .ldc = c.steps(),
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
  if (out.size() == 0 || c.steps() == 0) return out;
  const std::int64_t block = block_of(c);
  const auto compute = [&]<class T>(T* to, const T* from, const T* weights) {
    const auto range = [&](std::int64_t first, std::int64_t last) {
      Tensor scratch = Tensor::uninitialized({c.channels / c.groups * c.width(), block}, y.dtype());
      T* const columns = scratch.mutable_data<T>();
      for (std::int64_t i = first; i < last; ++i) {
        const Part part(c, i / c.groups, i % c.groups);
        // One after the other, since neighbouring blocks add to the same entries.
        for (std::int64_t begin = 0; begin < c.steps(); begin += block) {
          const std::int64_t end = std::min(begin + block, c.steps());
          kernels::gemm(kernels::Gemm<T>{.m = part.rows,
                                         .n = end - begin,
                                         .k = part.outs,
                                         .a = weights + part.weight,
                                         .lda = part.rows,
                                         .a_transposed = true,
                                         .b = from + part.y + begin,
                                         .ldb = c.steps(),
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
  // Up to 8 parts of the batch are summed in parallel, then their sums in order, unless the weight is so
  // large that its products are split among threads as well. This depends on the lengths alone, so that the
  // order of the sum is always the same.
  const std::int64_t most = c.weight_shape().size() <= (std::int64_t{1} << 18) ? 8 : 1;
  const std::int64_t runs = std::min<std::int64_t>(c.batch, most);
  Tensor sums = zeros(c.weight_shape().inserted(0, std::max<std::int64_t>(runs, 1)), x.dtype());
  const auto compute = [&]<class T>(T* to, const T* xs, const T* ys) {
    const std::int64_t weight_size = c.weight_shape().size();
    const auto run = [&](std::int64_t index) {
      Tensor scratch = Tensor::uninitialized({c.channels / c.groups * c.width(), block_of(c)}, x.dtype());
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

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv2dOptions options) {
  return detail::conv_forward(detail::conv_lengths(x, weight, bias, options), x, weight, bias);
}

Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        ConvTranspose1dOptions options) {
  return detail::conv_to_input(detail::conv_lengths(x, weight, bias, options), x, weight, bias);
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        ConvTranspose2dOptions options) {
  return detail::conv_to_input(detail::conv_lengths(x, weight, bias, options), x, weight, bias);
}

}  // namespace gradus
