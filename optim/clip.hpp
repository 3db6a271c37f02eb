#pragma once

#include "autograd/gradients.hpp"
#include "tensor/random.hpp"

namespace gradus::optim {

/// Scales all gradients together so that their common Euclidean norm is at most `limit` (Pascanu et al.
/// 2013), and returns the norm from before. Like PyTorch's, the factor is limit / (norm + 1e-6) when below 1.
/// Throws ArgumentError unless limit > 0, NumericError when the norm is NaN or infinite, before anything
/// changes. `Optimizer::step` does the same with {.clip_norm = limit}, in fewer passes.
double clip_norm(Gradients& gradients, double limit);

/// Clamps every element to [-limit, limit]; NaN stays. Throws ArgumentError unless limit > 0.
void clip_value(Gradients& gradients, double limit);

/// Adds normal noise to every element (Neelakantan et al. 2015, whose deviation at step t, from 0, is
/// sqrt(eta / (1 + t)^0.55) for an eta such as 0.3); of a row-sparse gradient to its rows alone. Throws
/// ArgumentError for a deviation that is negative or not finite.
void add_noise(Gradients& gradients, Rng& rng, double deviation);

}  // namespace gradus::optim
