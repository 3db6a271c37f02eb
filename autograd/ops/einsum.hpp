#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/einsum.hpp"

namespace gradus {

/// Sums of products, as documented in tensor/ops/einsum.hpp. Differentiable to any order: each contraction of
/// a pair is an op whose gradient is another.
Variable einsum(std::string_view subscripts, List<Variable> operands, Where where = Where::here());

}  // namespace gradus
