#pragma once

#include "tensor/tensor.hpp"

/// Functions of vectors and matrices that need no factorization (those are in tensor/ops/decompositions.hpp
/// and linalg.hpp). All throw ShapeError for shapes that do not fit and DtypeError for different dtypes.
namespace gradus {

/// The vector products a x b of the vectors of length 3 along the axis; the other axes broadcast. The axis is
/// one of the result's.
Tensor cross(const Tensor& a, const Tensor& b, int axis = -1);
/// The sums of the main diagonals of the matrices in the last two axes: (..., m, n) to (...).
Tensor trace(const Tensor& x);
/// The Kronecker product: each element of a times the whole of b, in blocks. Axes of length 1 are added in
/// front of the shorter shape; at most 4 axes.
Tensor kron(const Tensor& a, const Tensor& b);

struct CdistOptions {
  double p = 2;  // the order of the norm: 0 (how many differ) to infinity
};
/// The distance of each row of a from each row of b: (..., m, d) and (..., n, d) to (..., m, n); leading axes
/// broadcast. From differences, not from products, so that near points keep their digits; in double. Throws
/// ArgumentError for a negative order.
Tensor cdist(const Tensor& a, const Tensor& b, CdistOptions options = {});

namespace detail {
/// What cdist throws; the shape of its result.
Shape cdist_shape(const Tensor& a, const Tensor& b, CdistOptions options);
/// The gradient of the sum of g times the distances y with respect to a, of the shape (..., m, d) that the
/// leading axes broadcast to: 0 where a distance is 0; for an infinite order those that are extreme share
/// evenly.
Tensor cdist_gradient(const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y,
                      CdistOptions options);
/// The shapes of the factors of kron with their axes interleaved with ones, and that of the result.
struct KronShapes {
  Shape a, b, result;
  KronShapes(const Shape& of_a, const Shape& of_b);
};
/// The axis of a vector product, counted from the end. Throws what cross throws.
int cross_axis(const Shape& a, const Shape& b, int axis);
}  // namespace detail

}  // namespace gradus
