#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

#include "autograd/variable.hpp"

namespace gradus {

/// The sum of products that the subscripts name, such as einsum("bqhd,bkhd->bhqk", {q, k}); their
/// syntax is documented in tensor/ops/einsum.hpp. Differentiable to any order: each contraction of a pair is
/// an op whose gradient is another. Throws ArgumentError for subscripts it cannot read, naming the place in
/// them; ShapeError where shapes do not fit them; DtypeError for operands of different dtypes.
Variable einsum(std::string_view subscripts, std::span<const Variable> operands, Where where = Where::here());
inline Variable einsum(std::string_view subscripts, std::initializer_list<Variable> operands,
                       Where where = Where::here()) {
  return einsum(subscripts, std::span<const Variable>(operands.begin(), operands.size()), where);
}

}  // namespace gradus
