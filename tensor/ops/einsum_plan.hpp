#pragma once

// Internal: not part of the public interface.

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/tensor.hpp"

/// How an einsum is carried out; for the einsum of tensors and that of Variables, which share it.
namespace gradus::detail {

/// The name of each axis, slowest first: a letter, or 128 + i for the i-th axis from the end of what `...`
/// stands for.
using Labels = std::vector<int>;

/// One step over operands, the given ones first and then the results of the steps before.
struct EinsumStep {
  int left = 0;
  int right = -1;  // -1: left alone, its diagonals taken and axes summed
  Labels left_labels, right_labels, out_labels;
};

/// The steps, each over one or two operands; the last one's result is the einsum. Pairs are taken greedily:
/// the one whose product saves most elements first (as opt_einsum does; Smith and Gray 2018). Throws
/// ArgumentError for subscripts that cannot be read, naming the place in them, ShapeError for shapes that
/// do not fit them.
std::vector<EinsumStep> plan_einsum(std::string_view subscripts, std::span<const Shape> shapes);

/// The shapes of tensors or Variables; throws DtypeError unless they are of one dtype.
template <class X>
std::vector<Shape> einsum_shapes(std::span<const X> operands) {
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

/// Axes named twice become one (their diagonal), axes that `to` lacks are summed over, and the rest take the
/// order of `to`. `to` has no label twice and none that `from` lacks.
Tensor einsum_reduce(const Tensor& x, const Labels& from, const Labels& to);
/// The adjoint of einsum_reduce for an x of the shape: repeated along the axes that were summed over, placed
/// on the diagonals of zeros.
Tensor einsum_spread(const Tensor& x, const Labels& from, const Labels& to, const Shape& shape);
/// A product of two summed over the labels that `out` lacks. No operand has a label twice, and none has one
/// that stands neither in the other nor in `out`. Lowered to one batched matmul.
Tensor einsum_pair(const Tensor& a, const Labels& a_labels, const Tensor& b, const Labels& b_labels,
                   const Labels& out_labels);

/// Carries out a plan: reduce(x, from, to) for steps over one operand, pair(a, a_labels, b, b_labels,
/// out_labels) for those over two. Operands are let go as soon as they are used up.
template <class X, class Reduce, class Pair>
X run_einsum(const std::vector<EinsumStep>& steps, std::span<const X> operands, Reduce&& reduce,
             Pair&& pair) {
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
