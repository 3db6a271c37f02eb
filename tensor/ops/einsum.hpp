#pragma once

#include <string_view>

#include "tensor/support/list.hpp"
#include "tensor/tensor.hpp"

/// Sums of products in Einstein's notation.
namespace gradus {

/// The sum of products that the subscripts describe, as in NumPy and PyTorch:
///
///   einsum("ij,jk->ik", {a, b})            the matrix product
///   einsum("bqhd,bkhd->bhqk", {q, k})      attention scores
///   einsum("...ii->...i", {a})             diagonals
///   einsum("ij->", {a})                    the sum of all elements
///
/// Each operand's subscripts have a letter for each of its axes; commas separate the operands. A letter that
/// occurs twice in one operand means its diagonal, and letters that the result lacks are summed over. `...`
/// stands for any number of axes, which broadcast; axes of the same letter must have equal lengths. Without
/// `->` the result has the axes of `...`, then those letters in alphabetical order that occur once. Any
/// number of operands is contracted in pairs, each pair as one batched matrix product. Throws ArgumentError,
/// naming the position, for malformed subscripts, ShapeError for shapes that do not fit them, and DtypeError
/// for different dtypes.
Tensor einsum(std::string_view subscripts, List<Tensor> operands);

}  // namespace gradus
