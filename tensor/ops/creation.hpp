#pragma once

#include <cstdint>

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// Tensors made from numbers alone.
namespace gradus {

/// A matrix (rows, cols) with 1 on the diagonal and 0 elsewhere; square without `cols`. Throws ShapeError for
/// a negative length.
Tensor eye(std::int64_t rows, Dtype dtype = Dtype::f32);
Tensor eye(std::int64_t rows, std::int64_t cols, Dtype dtype);
/// begin, begin + step, begin + 2 * step, ... up to but not including end, as NumPy's arange. Each number is
/// begin + i * step in double, rounded to the dtype. Throws ArgumentError for a step of 0, for arguments that
/// are not finite, and for more than 2^31-1 numbers.
Tensor arange(double begin, double end, double step = 1, Dtype dtype = Dtype::f32);
/// `count` evenly spaced numbers, the first exactly `begin` and the last exactly `end`. Throws ArgumentError
/// for a negative count.
Tensor linspace(double begin, double end, std::int64_t count, Dtype dtype = Dtype::f32);
/// For each id a row of `classes` numbers that is 1 at the id and 0 elsewhere: (ids' shape, classes). Throws
/// ShapeError, naming the id, for one that is out of range.
Tensor one_hot(const Indices& ids, std::int64_t classes, Dtype dtype = Dtype::f32);

}  // namespace gradus
