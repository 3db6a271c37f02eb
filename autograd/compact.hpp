#pragma once

// Internal: what ops that take compact weights say of training them.

#include "autograd/record.hpp"
#include "tensor/compact.hpp"

namespace gradus::detail {

/// Throws ArgumentError where a tape records and a weight is compact.
inline void refuse_recording(const Variable& weight) {
  if (!recording() || !weight.value().defined() || !is_compact(weight.dtype())) return;
  fail<ArgumentError>(
      "a weight that is quantized to {} has no gradient, so a quantized model cannot be trained: train it "
      "before, and read or generate with it where no tape records",
      name_of(weight.dtype()));
}

}  // namespace gradus::detail
