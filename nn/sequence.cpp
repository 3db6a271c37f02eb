#include "nn/sequence.hpp"

#include "tensor/ops.hpp"

namespace gradus::nn {

void sequence_gradients(const Tensor& d_gates, const Tensor& x, const Tensor& h0, const Tensor& h,
                        const Tensor& weight_ih, SequenceWanted wanted, SequenceGradients into) {
  const std::int64_t steps = d_gates.dim(0);
  const auto flat = [](const Tensor& sequence) {
    return sequence.reshape({sequence.dim(0) * sequence.dim(1), sequence.dim(2)});
  };
  const Tensor d_flat = flat(d_gates);  // (time * batch, gates * width)
  if (wanted.x) into.x = matmul(d_gates, weight_ih);
  if (wanted.weight_ih) into.weight_ih = matmul(d_flat, flat(x), {.transpose_a = true});
  if (wanted.weight_hh) {
    // h before each step: h0, then the outputs but the last.
    into.weight_hh = matmul(d_gates[0], h0, {.transpose_a = true});
    if (steps > 1) {
      add_matmul(into.weight_hh, flat(d_gates.rows(1, steps)), flat(h.rows(0, steps - 1)),
                 {.transpose_a = true});
    }
  }
  if (wanted.bias) into.bias = sum(d_flat, 0);
}

}  // namespace gradus::nn
