#include "optim/clip.hpp"

#include <cmath>

#include "tensor/ops.hpp"

namespace gradus::optim {

double clip_norm(Gradients& gradients, double limit) {
  if (!(limit > 0)) fail<ArgumentError>("clip_norm: a limit of {}; it must be above 0", limit);
  const double before = norm(gradients);
  if (!std::isfinite(before)) {
    fail<NumericError>(
        "clip_norm: the gradients' norm is {}; lower the learning rate, or find the op with a Tape of "
        "{{.check_finite = true}}",
        before);
  }
  const double factor = limit / (before + 1e-6);
  if (factor < 1) gradients *= factor;
  return before;
}

void clip_value(Gradients& gradients, double limit) {
  if (!(limit > 0)) fail<ArgumentError>("clip_value: a limit of {}; it must be above 0", limit);
  for (Gradient& entry : gradients.entries()) {
    Tensor& values = entry.is_sparse() ? entry.rows.values : entry.dense;
    values = minimum(maximum(std::move(values), -limit), limit);
  }
}

}  // namespace gradus::optim
