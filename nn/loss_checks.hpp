#pragma once

// Internal: what several losses check.

#include "autograd/variable.hpp"
#include "tensor/support/error.hpp"

namespace gradus::nn::detail {

inline void require_same_shape(const char* name, const Variable& x, const Variable& target) {
  if (x.dtype() != target.dtype())
    fail<DtypeError>("{}: the input is {}, the target {}; convert one with to(...)", name, name_of(x.dtype()),
                     name_of(target.dtype()));
  if (x.shape() != target.shape())
    fail<ShapeError>("{}: the input has shape {}, the target {}; they must be the same", name, x.shape(),
                     target.shape());
}

}  // namespace gradus::nn::detail
