#pragma once

#include "autograd/ops/softmax.hpp"

namespace gradus::nn {

using gradus::cross_entropy;
using gradus::Reduction;

}  // namespace gradus::nn
