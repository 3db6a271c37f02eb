#pragma once

// What the fused sequence ops of the recurrent layers share; for the layers' own files.

#include <array>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/tape.hpp"

namespace gradus::nn {

struct SequenceWanted {
  bool x, weight_ih, weight_hh, bias;
};
struct SequenceGradients {
  Tensor &x, &weight_ih, &weight_hh, &bias;
};

/// The gradients that follow from those of the pre-activations, each as one product over all steps.
/// d_gates: (time, batch, gates * width); x: (time, batch, in); h0: (batch, width); h: (time or more, batch,
/// width), the outputs.
void sequence_gradients(const Tensor& d_gates, const Tensor& x, const Tensor& h0, const Tensor& h,
                        const Tensor& weight_ih, SequenceWanted wanted, SequenceGradients into);

/// A gradient in differentiable ops for a fused op, from the same function written in plain ops: computes it
/// again and differentiates that.
template <class ByOps, std::size_t n>
auto differentiated(ByOps by_ops, const std::array<Variable, n>& inputs) {
  return [by_ops, inputs](const Variable& g) {
    // Fresh nodes, so that the derivatives are partial even where one input depends on another.
    std::vector<Variable> fresh;
    for (const Variable& x : inputs) fresh.push_back(identity(x));
    return grad(sum(by_ops(fresh) * g), fresh);
  };
}

}  // namespace gradus::nn
