#pragma once

#include "autograd/ops/cross_entropy.hpp"

/// The losses, which are ops, under the name of the layers too.
namespace gradus::nn {

using gradus::cross_entropy;
using gradus::linear_cross_entropy;
using gradus::Reduction;

}  // namespace gradus::nn
