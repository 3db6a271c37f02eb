#pragma once

#include <cstdint>

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// Tensors made from numbers alone.
namespace gradus {

/// (rows, cols), 1 on the diagonal and 0 elsewhere; square when cols is left out. Throws ShapeError for a
/// negative length.
Tensor eye(std::int64_t rows, Dtype dtype = Dtype::f32);
Tensor eye(std::int64_t rows, std::int64_t cols, Dtype dtype);
/// begin, begin + step, ... as long as it stays before end (after it, for a negative step), as NumPy's: each
/// is begin + i * step in double, rounded once. Throws ArgumentError for a step of 0 or numbers that are not
/// finite.
Tensor arange(double begin, double end, double step = 1, Dtype dtype = Dtype::f32);
/// `count` numbers from begin to end, both included, evenly spaced; exactly `end` at the end. Throws
/// ArgumentError for a negative count.
Tensor linspace(double begin, double end, std::int64_t count, Dtype dtype = Dtype::f32);
/// 1 at each id, else 0: (ids' shape, classes). Throws ShapeError naming an id out of range.
Tensor one_hot(const Indices& ids, std::int64_t classes, Dtype dtype = Dtype::f32);

}  // namespace gradus
