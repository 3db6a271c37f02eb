#pragma once

#include "autograd/gradients.hpp"

namespace gradus::optim {

/// Scales all gradients together so that their common Euclidean norm is at most `limit` (Pascanu et al.
/// 2013), and returns the norm from before. Like PyTorch's, the factor is limit / (norm + 1e-6) when below 1.
/// Throws ArgumentError unless limit > 0, NumericError when the norm is NaN or infinite, before anything
/// changes. `Optimizer::step` does the same with {.clip_norm = limit}, in fewer passes.
double clip_norm(Gradients& gradients, double limit);

/// Clamps every element to [-limit, limit]; NaN stays. Throws ArgumentError unless limit > 0.
void clip_value(Gradients& gradients, double limit);

}  // namespace gradus::optim
