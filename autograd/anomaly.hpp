#pragma once

// Internal: what TapeOptions::check_finite asks of the sweep.

#include <string>

#include "autograd/tape_storage.hpp"

namespace gradus::detail {

/// "tanh of shape (3,), recorded at model.cpp:31 in LstmLm.head", "a parameter of shape ..., first used by
/// ...".
std::string node_text(const TapeStorage& tape, std::uint32_t node);

/// Throws NumericError when the gradient that the op of a node gave one of its inputs holds NaN or infinity.
/// `gs` are the gradients of its results, `sum` is what there is for the input by now.
void check_gradient_of(const TapeStorage& tape, std::uint32_t node, std::uint32_t input,
                       std::span<const Variable> gs, const Tensor& sum);

}  // namespace gradus::detail
