#include "autograd/ops/movement.hpp"

#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

Variable identity(const Variable& x, Where where) {
  return record({"identity", where}, x.value(), wrt(x, [](const Variable& g) { return g; }));
}

Variable reshape(const Variable& x, const Shape& shape, Where where) {
  const Shape from = x.shape();
  if (from == shape) return x;
  return record({"reshape", where}, x.value().reshape(shape),
                wrt(x, [from](const Variable& g) { return reshape(g, from); }));
}

Variable permute(const Variable& x, std::span<const int> axes, Where where) {
  Tensor value = permute(x.value(), axes);
  std::array<int, Shape::max_rank> back{};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    back[static_cast<std::size_t>(x.shape().normalize_axis(axes[i]))] = static_cast<int>(i);
  }
  return record({"permute", where}, std::move(value), wrt(x, [back, rank = axes.size()](const Variable& g) {
                  return permute(g, std::span(back).first(rank));
                }));
}

Variable transpose(const Variable& x, int a, int b, Where where) {
  return record({"transpose", where}, transpose(x.value(), a, b),
                wrt(x, [a, b](const Variable& g) { return transpose(g, a, b); }));
}

Variable concat(std::span<const Variable> parts, int axis, Where where) {
  std::vector<Tensor> values;
  std::vector<std::int64_t> begins{0};
  for (const Variable& part : parts) {
    values.push_back(part.value());
    begins.push_back(begins.back() + part.dim(axis));
  }
  const auto slices = [begins, axis](const Variable& g) {
    std::vector<Variable> out;
    for (std::size_t i = 0; i + 1 < begins.size(); ++i)
      out.push_back(slice(g, axis, begins[i], begins[i + 1]));
    return out;
  };
  const auto fused = [begins, axis](const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (wanted[i]) out[i] = slice(g, axis, begins[i], begins[i + 1]);
    }
  };
  return record({"concat", where}, concat(values, axis),
                jointly(std::vector<Variable>(parts.begin(), parts.end()), fused, slices));
}

Variable stack(std::span<const Variable> parts, int axis, Where where) {
  std::vector<Variable> expanded;
  for (const Variable& part : parts) {
    const int at = axis < 0 ? axis + part.rank() + 1 : axis;
    if (part.shape() != parts.front().shape()) {
      fail<ShapeError>("stack at {}: parts of shapes {} and {}; they must be equal", where.text(),
                       parts.front().shape(), part.shape());
    }
    expanded.push_back(reshape(part, part.shape().inserted(at, 1), where));
  }
  return concat(expanded, axis, where);
}

Variable slice(const Variable& x, int axis, std::int64_t begin, std::int64_t end, Where where) {
  const Shape shape = x.shape();
  return record({"slice", where}, slice(x.value(), axis, begin, end),
                wrt(
                    x, [shape, axis, begin](const Variable& g) { return place_slice(g, shape, axis, begin); },
                    [axis, begin](const Tensor& g, Tensor& sum) { add_to_slice(sum, g, axis, begin); }));
}

Variable select(const Variable& x, std::int64_t i, Where where) {
  const Shape shape = x.shape();
  return record({"select", where}, x.value()[i],
                wrt(
                    x,
                    [shape, i](const Variable& g) {
                      return place_slice(reshape(g, g.shape().inserted(0, 1)), shape, 0, i);
                    },
                    [i](const Tensor& g, Tensor& sum) {
                      add_to_slice(sum, g.reshape(g.shape().inserted(0, 1)), 0, i);
                    }));
}

Variable place_slice(const Variable& x, const Shape& shape, int axis, std::int64_t begin, Where where) {
  Tensor value = zeros(shape, x.dtype());
  add_to_slice(value, x.value(), axis, begin);
  const std::int64_t end = begin + x.dim(axis);
  return record({"place_slice", where}, std::move(value),
                wrt(x, [axis, begin, end](const Variable& g) { return slice(g, axis, begin, end); }));
}

}  // namespace gradus
