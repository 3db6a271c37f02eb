#pragma once

#include "models/kinds.hpp"
#include "tensor/safetensors.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models {

/// The weights of `larger`, a network like `from` but for a vocabulary with further tokens behind its own:
/// those of `from`, where what is said of a new token is what was said of the unknown one. Where the output
/// has a bias, they share its probability; without one (GPT-2, Llama) each gets as much weight as it had, so
/// there should be few of them. Without an unknown token their rows are those that `larger` began with.
/// Throws ArgumentError for networks that differ in more, and for those with an adaptive softmax, whose
/// tokens are in the order of their frequency.
Safetensors extended_weights(const ErasedNetwork& from, const ErasedNetwork& larger, std::int32_t unknown);

}  // namespace gradus::models
