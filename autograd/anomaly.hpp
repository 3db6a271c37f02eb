#pragma once

// Internal: not part of the public interface.

// What TapeOptions::check_finite asks of the sweeps; for the engine's
// own files.

#include <string>

#include "autograd/tape_storage.hpp"

namespace gradus::detail {

/// "tanh of shape (3,), recorded at model.cpp:31 in LstmLm.head", "a parameter of shape ..., first used by
/// ...".
std::string node_text(const TapeStorage& tape, std::uint32_t node);

/// Throws NumericError when the gradient that op `node` gave one of its inputs holds NaN or infinity. `g` is
/// the gradient of its result, `sum` what there is for an input by now, or null.
void check_gradient_of(const TapeStorage& tape, std::uint32_t node, std::uint32_t input, const Tensor& g,
                       const Tensor* sum);

}  // namespace gradus::detail
