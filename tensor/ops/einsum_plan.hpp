#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/support/list.hpp"
#include "tensor/tensor.hpp"

/// How an einsum is computed: shared by the einsum of Tensors and that of Variables.
namespace gradus::detail {

/// A label for each axis, outermost first: a letter, or 128 + i for the i-th axis, counted from the last, of
/// those that `...` stands for.
using Labels = std::vector<int>;
inline bool contains(const Labels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

/// One step. Its operands are numbered: first those of the einsum, then the results of the steps before.
struct EinsumStep {
  int left = 0;
  int right = -1;  // -1: only `left`, of which diagonals are taken and axes summed
  Labels left_labels, right_labels, out_labels;
};

/// The steps of an einsum; the result of the last one is the einsum. Pairs are chosen greedily by how many
/// elements fewer their product has than they have (as in opt_einsum; Smith and Gray 2018). Throws
/// ArgumentError, naming the position, for malformed subscripts, and ShapeError for shapes that do not fit
/// them.
std::vector<EinsumStep> plan_einsum(std::string_view subscripts, std::span<const Shape> shapes);

/// The shapes of Tensors or Variables. Throws DtypeError unless they have one dtype.
template <class X>
std::vector<Shape> einsum_shapes(List<X> operands) {
  std::vector<Shape> shapes;
  for (const X& x : operands) {
    if (x.dtype() != operands.front().dtype()) {
      fail<DtypeError>("einsum: operand 0 is {}, operand {} is {}; convert one with to()",
                       name_of(operands.front().dtype()), shapes.size(), name_of(x.dtype()));
    }
    shapes.push_back(x.shape());
  }
  return shapes;
}

/// Replaces axes of equal labels by their diagonal, sums over the axes that `to` lacks, and brings the others
/// into the order of `to`. The labels in `to` must be distinct and occur in `from`.
Tensor einsum_reduce(const Tensor& x, const Labels& from, const Labels& to);
/// The adjoint of einsum_reduce of a tensor with this shape and the labels `to`: x is repeated along the axes
/// that were summed over and placed on the diagonals of zeros.
Tensor einsum_spread(const Tensor& x, const Labels& from, const Labels& to, const Shape& shape);
/// The product of two operands, summed over the labels that `out_labels` lacks, as one batched matmul. The
/// labels of each operand must be distinct, and each must occur in the other operand or in `out_labels`.
Tensor einsum_pair(const Tensor& a, const Labels& a_labels, const Tensor& b, const Labels& b_labels,
                   const Labels& out_labels);

/// Computes the steps of a plan: reduce(x, from, to) for those with one operand, and pair(a, a_labels, b,
/// b_labels, out_labels) for those with two. Operands are released once used.
template <class X, class Reduce, class Pair>
X run_einsum(const std::vector<EinsumStep>& steps, List<X> operands, Reduce&& reduce, Pair&& pair) {
  std::vector<X> values(operands.begin(), operands.end());
  values.reserve(operands.size() + steps.size());
  for (const EinsumStep& step : steps) {
    const X left = std::move(values[static_cast<std::size_t>(step.left)]);
    if (step.right < 0) {
      values.push_back(reduce(left, step.left_labels, step.out_labels));
    } else {
      const X right = std::move(values[static_cast<std::size_t>(step.right)]);
      values.push_back(pair(left, step.left_labels, right, step.right_labels, step.out_labels));
    }
  }
  return values.back();
}

}  // namespace gradus::detail
