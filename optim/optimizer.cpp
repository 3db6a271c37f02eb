#include "optim/optimizer.hpp"

namespace gradus::optim::detail {

void check_gradient(const std::string& path, const Parameter& parameter, const Gradient& gradient) {
  const Tensor& values = gradient.is_sparse() ? gradient.rows.values : gradient.dense;
  const Shape shape = gradient.is_sparse() ? values.shape().with(0, gradient.rows.height) : values.shape();
  if (shape != parameter.shape() || values.dtype() != parameter.dtype()) {
    fail<ShapeError>("the optimizer's step: parameter {} is {} of shape {}, its gradient {} of shape {}",
                     path, name_of(parameter.dtype()), parameter.shape(), name_of(values.dtype()), shape);
  }
}

void fail_unlisted(const Gradient& gradient) {
  const Tensor& values = gradient.is_sparse() ? gradient.rows.values : gradient.dense;
  const Shape shape = gradient.is_sparse() ? values.shape().with(0, gradient.rows.height) : values.shape();
  fail<TapeError>(
      "the optimizer's step: the loss depends on a parameter of shape {} that the model does not list: add "
      "it to the "
      "module's members, or, if the model was copied, step the one that computed the loss",
      shape);
}

}  // namespace gradus::optim::detail
