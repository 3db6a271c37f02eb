#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

#include "tensor/tensor.hpp"

/// Einstein's summation.
namespace gradus {

/// The sum of products that the subscripts name, as in NumPy and PyTorch:
///
///   einsum("ij,jk->ik", {a, b})            a product of matrices
///   einsum("bqhd,bkhd->bhqk", {q, k})      attention's scores
///   einsum("...ii->...i", {a})             diagonals
///   einsum("ij->", {a})                    the sum of all elements
///
/// One letter an axis, operands apart by commas. A letter twice in one operand means its diagonal; letters
/// that the result lacks are summed over. `...` stands for any number of axes, which broadcast among the
/// operands (axes of letters must be of one length). Without `->` the result has the axes of `...`, then the
/// letters that stand once, sorted. Any number of operands, contracted in pairs, each as one batched product
/// of matrices. Throws ArgumentError for subscripts it cannot read, naming the place in them; ShapeError
/// where shapes do not fit them; DtypeError for operands of different dtypes.
Tensor einsum(std::string_view subscripts, std::span<const Tensor> operands);
inline Tensor einsum(std::string_view subscripts, std::initializer_list<Tensor> operands) {
  return einsum(subscripts, std::span<const Tensor>(operands.begin(), operands.size()));
}

}  // namespace gradus
