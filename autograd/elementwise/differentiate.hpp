#pragma once

// Internal: not part of the public interface.

#include <span>
#include <vector>

#include "autograd/elementwise/graph.hpp"

namespace gradus::detail {

/// Appends to the graph the derivative of `y` with respect to each of `xs`, times `g`: reverse mode over
/// symbols. no_expr where y does not depend on x. Factors are multiplied inside of the masks that `where`
/// leaves, so a branch that is not taken gives no NaN.
std::vector<ExprId> differentiate(Graph& graph, ExprId y, ExprId g, std::span<const ExprId> xs);

/// The positions of the inputs, as bits, that `y` depends on by more than steps and conditions.
std::uint32_t differentiable_inputs(const Graph& graph, ExprId y);

}  // namespace gradus::detail
