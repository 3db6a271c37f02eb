#pragma once

#include "tensor/tensor.hpp"

/// Compact weights: a matrix of f32 rounded for models that are only read. A token that is generated reads
/// every weight once, so the fewer bytes they have, the faster it is.
///
///   weight.to(Dtype::i8)    // a row: round(w / s) of 8 bits, with s = max |w| / 127, a float a row
///   weight.to(Dtype::bf16)  // the upper half of each float, rounded to the nearest, halves to even
///   compact.to(Dtype::f32)  // what ops compute with, exactly
///
/// `linear`, `gather_rows` and `slice` take a compact weight or table, recurrent layers theirs; products
/// widen it in registers and are summed in f32. Everything else, parts of it and gradients too, throw
/// DtypeError. A conversion throws ShapeError for what is no matrix or has no elements, and NumericError for
/// i8 of a row that is not finite. nn/quantize.hpp does this for a model.
namespace gradus {

constexpr bool is_compact(Dtype dtype) {
  return dtype == Dtype::i8 || dtype == Dtype::bf16;
}
/// What ops on tensors of a dtype compute in: f32 where it is compact, else the dtype itself.
constexpr Dtype computing_dtype(Dtype dtype) {
  return is_compact(dtype) ? Dtype::f32 : dtype;
}
/// The bytes that a tensor's elements take, with the scales of a compact one.
std::size_t stored_bytes(const Tensor& x);

}  // namespace gradus
