#pragma once

#include "tensor/tensor.hpp"

namespace gradus {

/// A tensor summarized in one line, for error messages: "(2, 3) f32, 1 NaN and 2 infinite of 6 elements,
/// first nan at (0, 1), ...; the others from -1 to 2".
std::string value_summary(const Tensor& x);

}  // namespace gradus
