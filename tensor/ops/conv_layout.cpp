#include "tensor/ops/conv_layout.hpp"

#include <numeric>

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/blocks.hpp"

namespace gradus::detail {

namespace {

constexpr std::int64_t most_depth = 1024;      // of a product; y is read and written once for each
constexpr std::int64_t most_lines = 12 << 10;  // of the cache, in the planes of a block
constexpr std::int64_t least_cols = 128;       // of a block that is narrower than the image
constexpr std::int64_t wide_enough = 128;      // rows whose last register does not matter
constexpr double worth_joining = 0.1;          // of the work, for elements of registers that no step needs
constexpr std::int64_t reach = 32;             // of registers beyond a plane, where numbers must be no NaN
constexpr std::int64_t cols_unit = 32;         // a whole number of register tiles

/// Plane sizes at multiples of large powers of two would fall into the same sets of the first-level cache: an
/// odd number of cache lines.
std::int64_t spread(std::int64_t size, std::int64_t line) {
  return ((size + line - 1) / line | 1) * line;
}

/// The steps t of 0..count-1 for which t * stride + offset lies in 0..length-1.
struct Inside {
  std::int64_t first, last;

  Inside(std::int64_t offset, std::int64_t stride, std::int64_t length, std::int64_t count) {
    if (stride == 1) {  // without a division
      first = std::clamp<std::int64_t>(-offset, 0, count);
      last = std::clamp(length - offset, first, count);
      return;
    }
    first = std::min(offset >= 0 ? 0 : (-offset + stride - 1) / stride, count);
    last = std::max(offset >= length ? 0 : std::min((length - 1 - offset) / stride + 1, count), first);
  }
};

}  // namespace

TapAxis TapAxis::forward(const ConvAxis& axis) {
  return {.length = axis.length,
          .steps = axis.steps,
          .stride = axis.stride,
          .taps = axis.width,
          .start = -axis.left,
          .step = axis.dilation};
}

TapAxis TapAxis::backward(const ConvAxis& axis, std::int64_t phase) {
  // Tap k reads entry phase + i * stride of x at step t if phase + i * stride + left = t * stride + k *
  // dilation. If one tap does for some t, so does every `every`-th from there; the last at the earliest step.
  const std::int64_t every = axis.stride / std::gcd(axis.stride, axis.dilation);
  const auto from = [&](std::int64_t k) { return phase + axis.left - k * axis.dilation; };
  std::int64_t first = 0;
  while (first < std::min(every, axis.width) && from(first) % axis.stride != 0) ++first;
  const bool any = first < std::min(every, axis.width);
  const std::int64_t taps = any ? (axis.width - first + every - 1) / every : 0;
  const std::int64_t last = first + (taps - 1) * every;
  return {.length = axis.steps,
          .steps = axis.length > phase ? (axis.length - phase + axis.stride - 1) / axis.stride : 0,
          .stride = 1,
          .taps = taps,
          .start = any ? from(last) / axis.stride : 0,
          .step = every * axis.dilation / axis.stride,
          .weight = any ? last : 0,
          .weight_step = -every};
}

TapAxis TapAxis::spaced(const ConvAxis& axis) {
  return {.length = axis.steps,
          .steps = axis.length,
          .taps = axis.width,
          .start = axis.left - (axis.width - 1) * axis.dilation,
          .step = axis.dilation,
          .weight = axis.width - 1,
          .weight_step = -1,
          .spacing = axis.stride};
}

PlaneAxis::PlaneAxis(const TapAxis& axis, std::int64_t steps, bool shared)
    : planes(std::max<std::int64_t>(axis.taps, 1)), shift(0), extent(steps) {
  const std::int64_t phases = axis.stride / std::gcd(axis.stride, axis.step);
  if (!shared || phases >= axis.taps) return;
  const std::int64_t distance = phases * axis.step / axis.stride;
  const std::int64_t together = steps + (axis.taps - 1) / phases * distance;
  if (phases * together > axis.taps * steps) return;  // such as a few steps far apart
  planes = phases;
  shift = distance;
  extent = together;
}

ConvPlan::ConvPlan(const TapAxis& of_y, const TapAxis& of_x, std::int64_t of_channels, Join join,
                   Registers registers, std::int64_t batch)
    : y(of_y),
      x(of_x),
      channels(of_channels),
      channels_block(
          balanced(channels, std::max<std::int64_t>(most_depth / std::max<std::int64_t>(taps(), 1), 1))),
      rows_block(y.steps),
      cols_block(x.steps),
      joined(join != Join::never && y.steps > 1 && x.steps < wide_enough &&
             (join == Join::if_narrow || x.steps % registers.lanes != 0)),
      down(y, y.steps, true),
      across(x, x.steps, !joined),
      plane_size(0) {
  if (join == Join::if_ragged) join_entries(batch, registers);
  if (entries == 1) choose_block(registers);
  plane_size = spread(entries * down.extent * across.extent, registers.line);
}

void ConvPlan::choose_block(Registers registers) {
  const std::int64_t most = most_lines * registers.line / channels_block;
  // How many steps of an axis fit, if each of its entries stands for `size` elements.
  const auto fitting = [&](const PlaneAxis& axis, std::int64_t steps, std::int64_t size) {
    return most / std::max<std::int64_t>(size * axis.planes, 1) - (axis.extent - steps);
  };
  const std::int64_t rows = fitting(down, y.steps, across.planes * across.extent);
  if (rows < 1 && !joined) {
    rows_block = 1;
    down = PlaneAxis(y, 1, true);
    const std::int64_t cols = fitting(across, x.steps, down.planes * down.extent);
    cols_block = balanced(x.steps, std::max(cols / cols_unit * cols_unit, least_cols));
    cols_block = std::min((cols_block + cols_unit - 1) / cols_unit * cols_unit, x.steps);
    across = PlaneAxis(x, cols_block, true);
  } else {
    rows_block = balanced(y.steps, std::max<std::int64_t>(rows, 1));
    down = PlaneAxis(y, rows_block, true);
  }
}

void ConvPlan::join_entries(std::int64_t batch, Registers registers) {
  const std::int64_t steps = y.steps * x.steps;
  // The registers that products of n steps take.
  const auto taken = [&](std::int64_t n) {
    const std::int64_t pairs = n / (2 * registers.lanes), rest = n % (2 * registers.lanes);
    return 2 * pairs + (rest == 0 ? 0 : rest <= registers.lanes ? 1 : 2);
  };
  const auto taken_by_all = [&](std::int64_t count) {
    return batch / count * taken(count * steps) + taken(batch % count * steps);
  };
  if (batch <= 1 || steps == 0) return;
  const double waste = static_cast<double>(taken(steps) * registers.lanes) / static_cast<double>(steps) - 1;
  if (waste < worth_joining) return;
  const std::int64_t shallow = std::max<std::int64_t>(most_depth / 2 / std::max<std::int64_t>(taps(), 1), 1);
  const std::int64_t block = balanced(channels, shallow);
  const std::int64_t fit = most_lines * registers.line / std::max<std::int64_t>(block * taps() * steps, 1);
  std::int64_t best = 1;
  for (std::int64_t count = 2; count <= std::min(batch, fit); ++count)
    if (taken_by_all(count) <= taken_by_all(best)) best = count;
  if (best == 1) return;
  entries = best;
  channels_block = block;
  joined = true;
  down = PlaneAxis(y, y.steps, false);
  across = PlaneAxis(x, x.steps, false);
}

void ConvPlan::fill_offsets(std::int64_t* offsets) const {
  for (std::int64_t channel = 0; channel < channels_block; ++channel) {
    for (std::int64_t a = 0; a < y.taps; ++a) {
      for (std::int64_t b = 0; b < x.taps; ++b) *offsets++ = channel * channel_size() + offset(a, b);
    }
  }
}

/// A plane of entries with zeros between them. Its first entry is (row, col) of x, the zeros counted.
template <class T>
void lay_spaced(const ConvPlan& plan, std::int64_t row, std::int64_t col, std::int64_t height,
                std::int64_t width, const T* x, T* to) {
  const TapAxis &down = plan.y, &across = plan.x;
  std::fill(to, to + height * plan.pitch() + reach, T{0});
  // The entries of x begin where the zeros counted make a multiple of the spacing.
  const auto first = [](std::int64_t at, std::int64_t spacing) {
    return at <= 0 ? -at : (spacing - at % spacing) % spacing;
  };
  const std::int64_t left = first(col, across.spacing), entry = (col + left) / across.spacing;
  const std::int64_t fitting = (width - left + across.spacing - 1) / across.spacing;
  const std::int64_t count = std::min(fitting, across.length - entry);
  if (left >= width || count <= 0) return;
  for (std::int64_t r = first(row, down.spacing); r < height; r += down.spacing) {
    const std::int64_t from = (row + r) / down.spacing;
    if (from >= down.length) break;
    kernels::selected<T>().spread(x + from * across.length + entry, count, T{0}, to + r * plan.pitch() + left,
                                  across.spacing);
  }
}

template <class T>
void lay_planes(const ConvPlan& plan, const StepBlock& block, std::int64_t channels, const T* x, T* planes,
                std::int64_t entries, std::int64_t x_entry) {
  const auto& kernels = kernels::selected<T>();
  const TapAxis &down = plan.y, &across = plan.x;
  const std::int64_t pitch = plan.pitch();
  const std::int64_t height = plan.down.extent - (plan.rows_block - block.rows);
  const std::int64_t width = plan.across.extent - (plan.cols_block - block.cols);
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    for (std::int64_t a = 0; a < plan.down.planes; ++a) {
      const std::int64_t row = block.row * down.stride + down.start + a * down.step;
      const Inside rows(row, down.stride, down.length, height);
      for (std::int64_t b = 0; b < plan.across.planes; ++b, planes += plan.plane_size) {
        const std::int64_t col = block.col * across.stride + across.start + b * across.step;
        if (down.spacing > 1 || across.spacing > 1) {
          lay_spaced(plan, row, col, height, width, x + channel * down.length * across.length, planes);
          continue;
        }
        const Inside cols(col, across.stride, across.length, width);
        const T* const from = x + (channel * down.length + row + rows.first * down.stride) * across.length +
                              col + cols.first * across.stride;
        const std::int64_t filled = cols.first < cols.last ? rows.last : rows.first;  // up to this row
        for (std::int64_t entry = 0; entry < entries; ++entry) {
          T* const to = planes + entry * height * pitch;
          std::fill(to, to + rows.first * pitch, T{0});
          if (rows.first < filled) {
            kernels.lay_rows({.x = from + entry * x_entry,
                              .x_row = down.stride * across.length,
                              .stride = across.stride,
                              .rows = filled - rows.first,
                              .first = cols.first,
                              .last = cols.last,
                              .count = width,
                              .to = to + rows.first * pitch,
                              .to_row = pitch});
          }
          std::fill(to + filled * pitch, to + height * pitch + reach, T{0});
        }
      }
    }
  }
}
template void lay_planes(const ConvPlan&, const StepBlock&, std::int64_t, const float*, float*, std::int64_t,
                         std::int64_t);
template void lay_planes(const ConvPlan&, const StepBlock&, std::int64_t, const double*, double*,
                         std::int64_t, std::int64_t);

}  // namespace gradus::detail
