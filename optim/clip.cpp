#include "optim/clip.hpp"

#include <algorithm>
#include <cmath>

#include "optim/optimizer.hpp"
#include "tensor/ops.hpp"

namespace gradus::optim {

double detail::clip_scale(double norm, double limit) {
  if (!(limit > 0)) fail<ArgumentError>("clip_norm: a limit of {}; it must be above 0", limit);
  if (!std::isfinite(norm)) {
    fail<NumericError>(
        "clip_norm: the gradients' norm is {}; lower the learning rate, or find the op with a Tape of "
        "{{.check_finite = true}}",
        norm);
  }
  return std::min(limit / (norm + 1e-6), 1.0);
}

double clip_norm(Gradients& gradients, double limit) {
  const double before = norm(gradients);
  const double scale = detail::clip_scale(before, limit);
  if (scale < 1) gradients *= scale;
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
