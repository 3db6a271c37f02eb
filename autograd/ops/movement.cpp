#include "autograd/ops/movement.hpp"

#include <array>

#include "autograd/ops/indexing.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "tensor/axes.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// A list of axes that a closure keeps without the heap.
struct AxisOrder {
  std::array<int, Shape::max_rank> list{};
  std::size_t count = 0;

  explicit AxisOrder(std::span<const int> axes) : count(axes.size()) {
    std::copy(axes.begin(), axes.end(), list.begin());
  }
  std::span<const int> span() const { return std::span(list).first(count); }
};

storage::PoolVector<Tensor> values_of(List<Variable> parts) {
  storage::PoolVector<Tensor> out;
  out.reserve(parts.size());
  for (const Variable& part : parts) out.push_back(part.value());
  return out;
}

/// A result with the elements of x, in order, under another shape.
Variable record_reshape(const Variable& x, Tensor value, Where where) {
  if (value.same_shape(x.value())) return x;
  return record({"reshape", where}, std::move(value),
                wrt(x, batching([from = x.shape(), rank = value.rank()](const Variable& g) {
                      return reshape(g, batched(g, rank, from));
                    })));
}

/// The gradient of x that was taken apart: the parts' gradients joined, zeros for what nothing depends on.
template <class Join>
struct JoinedGradient {
  Join join;
  std::vector<Shape> shapes;  // of the parts
  Dtype dtype;

  template <class T>
  T joined(std::span<const T> gs) const {
    std::vector<T> all(gs.begin(), gs.end());
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!detail::value_of(all[i]).defined()) all[i] = T(zeros(shapes[i], dtype));
    }
    return join(std::span<const T>(all));
  }
  void operator()(std::span<const Tensor> gs, std::span<const bool>, std::span<Tensor> out) const {
    out[0] = joined(gs);
  }
  std::vector<Variable> operator()(std::span<const Variable> gs) const { return {joined(gs)}; }
};
template <class Join>
std::vector<Variable> record_parts(const Op& op, const Variable& x, std::vector<Tensor> parts, Join join) {
  JoinedGradient<Join> gradient{join, {}, x.dtype()};
  for (const Tensor& part : parts) gradient.shapes.push_back(part.shape());
  return record(op, std::move(parts), jointly({x}, std::move(gradient)));
}
std::vector<Variable> record_split(const Variable& x, std::vector<Tensor> parts, int axis, Where where) {
  return record_parts({"split", where}, x, std::move(parts), [axis](auto gs) { return concat(gs, axis); });
}

/// The sum of the `count` copies of a run of `length` entries that stand along the axis.
Variable sum_repeated(const Variable& x, int axis, std::int64_t count, std::int64_t length) {
  if (count == 1) return x;
  const Runs r = runs_at(x.shape(), axis);
  return reshape(sum(reshape(x, Shape{r.outer, count, length * r.inner}), 1), x.shape().with(axis, length));
}

}  // namespace

Variable identity(const Variable& x, Where where) {
  const InOp op("identity", where);
  return record(op, x.value(), wrt(x, batching([](const Variable& g) { return g; })));
}

Variable reshape(const Variable& x, const Shape& shape, Where where) {
  const InOp op("reshape", where);
  return record_reshape(x, x.value().reshape(shape), where);
}
Variable reshape(const Variable& x, std::initializer_list<std::int64_t> dims, Where where) {
  const InOp op("reshape", where);
  return record_reshape(x, x.value().reshape(dims), where);
}
Variable flatten(const Variable& x, int first, int last, Where where) {
  const InOp op("flatten", where);
  return record_reshape(x, flatten(x.value(), first, last), where);
}
Variable squeeze(const Variable& x, int axis, Where where) {
  const InOp op("squeeze", where);
  return record_reshape(x, squeeze(x.value(), axis), where);
}
Variable squeeze(const Variable& x, Where where) {
  return record_reshape(x, squeeze(x.value()), where);
}
Variable unsqueeze(const Variable& x, int axis, Where where) {
  const InOp op("unsqueeze", where);
  return record_reshape(x, unsqueeze(x.value(), axis), where);
}

Variable permute(const Variable& x, List<int> axes, Where where) {
  const InOp op("permute", where);
  Tensor value = permute(x.value(), axes);
  AxisOrder back(axes);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    back.list[static_cast<std::size_t>(x.shape().normalize_axis(axes[i]))] = static_cast<int>(i);
  }
  return record(op, std::move(value), wrt(x, [back](const Variable& g) { return permute(g, back.span()); }));
}

Variable transpose(const Variable& x, int a, int b, Where where) {
  const InOp op("transpose", where);
  return record(op, transpose(x.value(), a, b),
                wrt(x, batching([a = a - (a < 0 ? 0 : x.rank()), b = b - (b < 0 ? 0 : x.rank())](
                                    const Variable& g) { return transpose(g, a, b); })));
}

Variable flip(const Variable& x, List<int> axes, Where where) {
  const InOp op("flip", where);
  return record(op, flip(x.value(), axes),
                wrt(x, [kept = AxisOrder(axes)](const Variable& g) { return flip(g, kept.span()); }));
}

Variable roll(const Variable& x, std::int64_t shift, int axis, Where where) {
  const InOp op("roll", where);
  return record(op, roll(x.value(), shift, axis),
                wrt(x, [shift, axis](const Variable& g) { return roll(g, -shift, axis); }));
}

Variable concat(List<Variable> parts, int axis, Where where) {
  const InOp op("concat", where);
  Tensor value = concat(values_of(parts), axis);
  std::vector<std::int64_t> lengths;
  for (const Variable& part : parts) lengths.push_back(part.dim(axis));
  const auto differentiable = [lengths, axis](const Variable& g) { return split(g, lengths, axis); };
  const auto fused = [lengths, axis](const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) {
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < out.size(); begin += lengths[i++]) {
      if (wanted[i]) out[i] = slice(g, axis, begin, begin + lengths[i]);
    }
  };
  return record(op, std::move(value), jointly(parts, fused, differentiable));
}

Variable stack(List<Variable> parts, int axis, Where where) {
  const InOp op("stack", where);
  Tensor value = stack(values_of(parts), axis);
  const auto differentiable = [axis](const Variable& g) { return unstack(g, axis); };
  const auto fused = [axis](const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (wanted[i]) out[i] = select(g, axis, static_cast<std::int64_t>(i));
    }
  };
  return record(op, std::move(value), jointly(parts, fused, differentiable));
}

std::vector<Variable> split(const Variable& x, List<std::int64_t> lengths, int axis, Where where) {
  const InOp op("split", where);
  return record_split(x, split(x.value(), lengths, axis), axis, where);
}
std::vector<Variable> split(const Variable& x, std::int64_t parts, int axis, Where where) {
  const InOp op("split", where);
  return record_split(x, split(x.value(), parts, axis), axis, where);
}
std::vector<Variable> chunk(const Variable& x, std::int64_t parts, int axis, Where where) {
  const InOp op("chunk", where);
  return record_split(x, chunk(x.value(), parts, axis), axis, where);
}
std::vector<Variable> unstack(const Variable& x, int axis, Where where) {
  const InOp op("unstack", where);
  return record_parts(op, x, unstack(x.value(), axis), [axis](auto gs) { return stack(gs, axis); });
}

Variable slice(const Variable& x, int axis, std::int64_t begin, std::int64_t end, Where where) {
  const InOp op("slice", where);
  Tensor value = slice(x.value(), axis, begin, end);
  const Shape shape = x.shape();
  const std::int64_t first = begin < 0 ? begin + shape[axis] : begin;
  return record(op, std::move(value),
                wrt(
                    x, batching([shape, axis, first](const Variable& g) {
                      const Shape to = batched(g, shape.rank(), shape);
                      return place_slice(g, to, axis < 0 ? axis : axis + to.rank() - shape.rank(), first);
                    }),
                    [shape, axis, first](const Tensor& g) { return detail::placed(g, shape, axis, first); },
                    [axis, first](const Tensor& g, Tensor& sum) { add_to_slice(sum, g, axis, first); },
                    [axis, first](const Variable& g, Variable&& sum) {
                      return add_slice(std::move(sum), g, axis, first);
                    }));
}

Variable slice(const Variable& x, int axis, const Slice& which, Where where) {
  const InOp op("slice", where);
  const int normal = named_axis("slice", x.shape(), axis);
  std::array<Slice, Shape::max_rank> slices{};
  slices[static_cast<std::size_t>(normal)] = which;
  return slice(x, std::span<const Slice>(slices).first(static_cast<std::size_t>(normal) + 1), where);
}

Variable slice(const Variable& x, List<Slice> which, Where where) {
  const InOp op("slice", where);
  const std::vector<Slice> kept(which.begin(), which.end());
  return record(op, slice(x.value(), which),
                wrt(
                    x, [shape = x.shape(), kept](const Variable& g) { return place_slice(g, shape, kept); },
                    [shape = x.shape(), kept](const Tensor& g) { return detail::placed(g, shape, kept); },
                    [kept](const Tensor& g, Tensor& sum) { add_to_slice(sum, g, kept); }));
}

Variable place_slice(const Variable& x, const Shape& shape, int axis, std::int64_t begin, Where where) {
  const InOp op("place_slice", where);
  Tensor value = detail::placed(x.value(), shape, axis, begin);
  const std::int64_t first = begin < 0 ? begin + shape[axis] : begin;
  const std::int64_t end = first + x.dim(axis);
  return record(op, std::move(value),
                wrt(x, [axis, first, end](const Variable& g) { return slice(g, axis, first, end); }));
}

Variable add_slice(Variable sum, const Variable& x, int axis, std::int64_t begin, Where where) {
  const InOp op("add_slice", where);
  // In the sum's memory where nobody else has it. Its place is enough to record it by, if it is this tape's.
  const detail::TapeHead* const tape = detail::active_head;
  const bool known = tape != nullptr && !tape->checks && sum.place().tape() == tape->serial;
  Tensor value = known ? std::move(sum).take() : sum.value();
  const std::int64_t first = begin < 0 ? begin + value.dim(axis) : begin;
  add_to_slice(value, x.value(), axis, first);
  const std::int64_t end = first + x.dim(axis);
  // NOLINTNEXTLINE(bugprone-use-after-move): of the sum only its place is used, which take() leaves.
  return record(op, std::move(value), wrt(sum, [](const Variable& g) { return g; }),
                wrt(x, [axis, first, end](const Variable& g) { return slice(g, axis, first, end); }));
}

Variable place_slice(const Variable& x, const Shape& shape, List<Slice> which, Where where) {
  const InOp op("place_slice", where);
  Tensor value = detail::placed(x.value(), shape, which);
  const std::vector<Slice> kept(which.begin(), which.end());
  return record(op, std::move(value), wrt(x, [kept](const Variable& g) { return slice(g, kept); }));
}

Variable Variable::operator[](const EntryNumber& number) const {
  return select(*this, 0, number.i, number.where);
}
Variable select(const Variable& x, std::int64_t i, Where where) {
  return select(x, 0, i, where);
}

Variable select(const Variable& x, int axis, std::int64_t i, Where where) {
  const InOp op("select", where);
  Tensor value = select(x.value(), axis, i);
  const Shape shape = x.shape();
  const int a = shape.normalize_axis(axis);
  const std::int64_t at = i < 0 ? i + shape[a] : i;
  return record(op, std::move(value),
                wrt(
                    x,
                    [shape, a, at](const Variable& g) {
                      return place_slice(reshape(g, g.shape().inserted(a, 1)), shape, a, at);
                    },
                    [shape, a, at](const Tensor& g) {
                      return detail::placed(g.reshape(g.shape().inserted(a, 1)), shape, a, at);
                    },
                    [a, at](const Tensor& g, Tensor& sum) {
                      add_to_slice(sum, g.reshape(g.shape().inserted(a, 1)), a, at);
                    },
                    [a, at](const Variable& g, Variable&& sum) {
                      return add_slice(std::move(sum), reshape(g, g.shape().inserted(a, 1)), a, at);
                    }));
}

Variable pad(const Variable& x, List<Padding> widths, PadOptions options, Where where) {
  const InOp op("pad", where);
  if (options.mode == PadMode::constant) {
    Tensor value = pad(x.value(), widths, options);
    std::vector<Slice> inside;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      inside.push_back({widths[i].before, widths[i].before + x.dim(static_cast<int>(i))});
    }
    return record(op, std::move(value), wrt(x, [inside](const Variable& g) { return slice(g, inside); }));
  }
  detail::check_padding(x.shape(), widths);
  Variable out = x;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const Padding width = widths[static_cast<std::size_t>(axis)];
    if (width.before == 0 && width.after == 0) continue;
    out = index_select(out, axis, Indices(detail::padded_sources(options.mode, x.dim(axis), width)), where);
  }
  return out;
}

Variable repeat(const Variable& x, List<std::int64_t> counts, Where where) {
  const InOp op("repeat", where);
  const std::vector<std::int64_t> kept(counts.begin(), counts.end());
  return record(op, repeat(x.value(), counts), wrt(x, [shape = x.shape(), kept](const Variable& g) {
                  Variable out = g;
                  for (int axis = 0; axis < g.rank(); ++axis) {
                    const int of_x = axis - g.rank() + shape.rank();
                    const std::int64_t length = of_x < 0 ? 1 : shape[of_x];
                    out = sum_repeated(out, axis, kept[static_cast<std::size_t>(axis)], length);
                  }
                  return reshape(out, shape);
                }));
}

Variable repeat_interleave(const Variable& x, std::int64_t count, int axis, Where where) {
  const InOp op("repeat_interleave", where);
  return record(op, repeat_interleave(x.value(), count, axis),
                wrt(x, [shape = x.shape(), count, axis](const Variable& g) {
                  const Runs r = runs_at(shape, shape.normalize_axis(axis));
                  return reshape(sum(reshape(g, Shape{r.outer * r.length, count, r.inner}), 1), shape);
                }));
}

Variable diagonal(const Variable& x, DiagonalOptions options, Where where) {
  const InOp op("diagonal", where);
  const auto place = [shape = x.shape(), options](const Variable& g) {
    return place_diagonal(g, shape, options);
  };
  const auto add = [options](const Tensor& g, Tensor& sum) { add_to_diagonal(sum, g, options); };
  return record(op, diagonal(x.value(), options), wrt(x, place, add));
}

Variable place_diagonal(const Variable& x, const Shape& shape, DiagonalOptions options, Where where) {
  const InOp op("place_diagonal", where);
  Tensor value = zeros(shape, x.dtype());
  add_to_diagonal(value, x.value(), options);
  return record(op, std::move(value), wrt(x, [options](const Variable& g) { return diagonal(g, options); }));
}

Variable diag(const Variable& x, int offset, Where where) {
  const InOp op("diag", where);
  if (x.rank() == 2) return diagonal(x, {.offset = offset}, where);
  return record({"place_diagonal", where}, diag(x.value(), offset),
                wrt(x, [offset](const Variable& g) { return diag(g, offset); }));
}

Variable tril(const Variable& x, int offset, Where where) {
  const InOp op("tril", where);
  return record(op, tril(x.value(), offset), wrt(x, [offset](const Variable& g) { return tril(g, offset); }));
}

Variable triu(const Variable& x, int offset, Where where) {
  const InOp op("triu", where);
  return record(op, triu(x.value(), offset), wrt(x, [offset](const Variable& g) { return triu(g, offset); }));
}

}  // namespace gradus
