#include "tensor/ops/einsum.hpp"

#include <array>

#include "tensor/kernels/strided.hpp"
#include "tensor/ops.hpp"
#include "tensor/ops/einsum_plan.hpp"

namespace gradus {

namespace detail {

namespace {

int place_of(const Labels& labels, int label) {
  return static_cast<int>(std::find(labels.begin(), labels.end(), label) - labels.begin());
}
Labels distinct(const Labels& labels) {
  Labels out;
  for (const int label : labels) {
    if (!contains(out, label)) out.push_back(label);
  }
  return out;
}
Labels joined(std::initializer_list<const Labels*> parts) {
  Labels out;
  for (const Labels* part : parts) out.insert(out.end(), part->begin(), part->end());
  return out;
}

/// x with its axes, labelled `from`, in the order of `to`, which has the same labels.
Tensor ordered(const Tensor& x, const Labels& from, const Labels& to) {
  if (from == to) return x;
  std::array<int, Shape::max_rank> axes{};
  for (std::size_t i = 0; i < to.size(); ++i) axes[i] = place_of(from, to[i]);
  return permute(x, std::span<const int>(axes).first(to.size()));
}

/// The diagonals of a tensor in which labels occur several times, with one axis for each distinct label.
kernels::Strided diagonals(const Shape& shape, const Labels& labels) {
  const kernels::Strided all(shape);
  kernels::Strided view;
  for (const int label : distinct(labels)) {
    std::int64_t length = 0, stride = 0;
    for (std::size_t axis = 0; axis < labels.size(); ++axis) {
      if (labels[axis] != label) continue;
      length = all.length[axis];
      stride += all.stride[axis];
    }
    view.push_axis(length, stride);
  }
  return view;
}

Tensor take_diagonal(const Tensor& x, const Labels& from) {
  const kernels::Strided view = diagonals(x.shape(), from);
  Tensor out = Tensor::uninitialized(view.shape(), x.dtype());
  visit_elements([&](auto* to, const auto* source) { kernels::read_strided(source, view, to); }, out, x);
  return out;
}

Tensor put_diagonal(const Tensor& x, const Labels& to, const Shape& shape) {
  const kernels::Strided view = diagonals(shape, to);
  Tensor out = zeros(shape, x.dtype());
  visit_elements([&](auto* target, const auto* source) { kernels::write_strided(source, target, view); }, out,
                 x);
  return out;
}

/// The labels of a pair by their role in the product (batch, m, k) by (batch, k, n).
struct Parts {
  Labels batch, m, n, k;

  Parts(const Labels& a, const Labels& b, const Labels& out, bool a_is_larger) {
    for (const int label : out) {
      if (contains(a, label) && contains(b, label)) batch.push_back(label);
    }
    for (const int label : a) {
      if (!contains(b, label)) m.push_back(label);
    }
    for (const int label : b) {
      if (!contains(a, label)) n.push_back(label);
    }
    // In the larger operand's order, so that at most the smaller is copied.
    for (const int label : a_is_larger ? a : b) {
      if (contains(a, label) && contains(b, label) && !contains(out, label)) k.push_back(label);
    }
  }
};

std::int64_t size_of(const Labels& part, const Tensor& x, const Labels& labels) {
  std::int64_t size = 1;
  for (const int label : part) size *= x.dim(place_of(labels, label));
  return size;
}

/// An operand as (batch, rows, cols), or (batch, cols, rows) if its axes have that order.
struct Matrices {
  Tensor x;
  bool transposed;

  Matrices(const Tensor& given, const Labels& labels, const Labels& batch, const Labels& rows,
           const Labels& cols) {
    transposed = labels == joined({&batch, &cols, &rows}) && !rows.empty() && !cols.empty();
    const std::int64_t height = size_of(rows, given, labels), width = size_of(cols, given, labels);
    x = transposed ? given : ordered(given, labels, joined({&batch, &rows, &cols}));
    // Without batch labels a single matrix, so that matmul computes one product.
    Shape shape = transposed ? Shape{width, height} : Shape{height, width};
    if (!batch.empty()) shape = shape.inserted(0, size_of(batch, given, labels));
    x = x.reshape(shape);
  }
  /// (batch, rows, cols) in any case.
  Tensor plain() const { return transposed ? transpose(x) : x; }
};

/// The product (batch..., m..., n...) of matrices, in one of three ways depending on the lengths.
Tensor multiply(const Matrices& a, const Matrices& b) {
  const std::int64_t m = a.x.dim(a.transposed ? -1 : -2), k = a.x.dim(a.transposed ? -2 : -1);
  const std::int64_t n = b.x.dim(b.transposed ? -2 : -1);
  if (k == 1) return a.plain() * b.plain();
  const bool batched = a.x.rank() == 3;
  if (batched && m == 1 && n == 1) {  // dot products; the order of axes of length 1 does not matter
    const Shape rows{a.x.dim(0), k};
    return sum(a.x.reshape(rows) * b.x.reshape(rows), 1);
  }
  return matmul(a.x, b.x, {.transpose_a = a.transposed, .transpose_b = b.transposed});
}

}  // namespace

Tensor einsum_reduce(const Tensor& x, const Labels& from, const Labels& to) {
  const Labels single = distinct(from);
  Tensor out = single.size() == from.size() ? x : take_diagonal(x, from);
  std::vector<int> gone;
  Labels left;
  std::int64_t terms = 1;
  for (std::size_t i = 0; i < single.size(); ++i) {
    if (contains(to, single[i])) {
      left.push_back(single[i]);
    } else {
      gone.push_back(static_cast<int>(i));
      terms *= out.dim(gone.back());
    }
  }
  if (terms == 1) {  // nothing to add up
    Shape shape = out.shape();
    for (std::size_t i = gone.size(); i-- > 0;) shape = shape.erased(gone[i]);
    out = out.reshape(shape);
  } else {
    out = sum(out, gone);
  }
  return ordered(out, left, to);
}

Tensor einsum_spread(const Tensor& x, const Labels& from, const Labels& to, const Shape& shape) {
  const Labels single = distinct(to);
  Labels present;  // those of `from`, in the order of `to`
  for (const int label : single) {
    if (contains(from, label)) present.push_back(label);
  }
  Tensor out = ordered(x, from, present);
  const Shape full = single.size() == to.size() ? shape : diagonals(shape, to).shape();
  Shape kept = full;
  for (std::size_t i = 0; i < single.size(); ++i) {
    if (!contains(from, single[i])) kept = kept.with(static_cast<int>(i), 1);
  }
  out = broadcast_to(out.reshape(kept), full);
  return single.size() == to.size() ? out : put_diagonal(out, to, shape);
}

Tensor einsum_pair(const Tensor& a, const Labels& a_labels, const Tensor& b, const Labels& b_labels,
                   const Labels& out_labels) {
  const Parts parts(a_labels, b_labels, out_labels, a.size() >= b.size());
  const Tensor product = multiply(Matrices(a, a_labels, parts.batch, parts.m, parts.k),
                                  Matrices(b, b_labels, parts.batch, parts.k, parts.n));
  const Labels labels = joined({&parts.batch, &parts.m, &parts.n});
  std::array<std::int64_t, Shape::max_rank> lengths{};
  if (labels.size() > lengths.size()) {
    fail<ShapeError>(
        "einsum: a product of {} and {} has {} axes, at most {} are supported; contract other "
        "operands first, in an einsum of their own",
        a.shape(), b.shape(), labels.size(), lengths.size());
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool of_a = contains(a_labels, labels[i]);
    lengths[i] = of_a ? a.dim(place_of(a_labels, labels[i])) : b.dim(place_of(b_labels, labels[i]));
  }
  const Shape shape(std::span<const std::int64_t>(lengths.data(), labels.size()));
  return ordered(product.reshape(shape), labels, out_labels);
}

}  // namespace detail

Tensor einsum(std::string_view subscripts, List<Tensor> operands) {
  return detail::run_einsum(detail::plan_einsum(subscripts, detail::einsum_shapes(operands)), operands,
                            detail::einsum_reduce, detail::einsum_pair);
}

}  // namespace gradus
