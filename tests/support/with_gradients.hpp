#pragma once

#include <functional>
#include <span>
#include <vector>

#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"

namespace gradus::test {

/// The value and the gradient of the sum, by each input.
inline std::vector<Tensor> with_gradients(const std::function<Variable(std::span<const Variable>)>& f,
                                          const std::vector<Tensor>& inputs) {
  Tape tape;
  std::vector<Variable> xs;
  for (const Tensor& x : inputs) xs.push_back(tape.watch(x));
  const Variable y = f(xs);
  std::vector<Tensor> out{y.value()};
  if (y.is_constant()) {
    for (const Tensor& x : inputs) out.push_back(zeros_like(x));
    return out;
  }
  const Gradients gradients = tape.backward(sum(y));
  for (const Variable& x : xs) out.push_back(gradients[x]);
  return out;
}

}  // namespace gradus::test
