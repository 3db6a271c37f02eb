#include "optim/optimizer.hpp"

#include "tensor/ops.hpp"
#include "tensor/value_summary.hpp"

namespace gradus::optim::detail {

namespace {
const Tensor& values_of(const Gradient& gradient) {
  return gradient.is_sparse() ? gradient.rows.values : gradient.dense;
}
Shape shape_of(const Gradient& gradient) {
  const Shape shape = values_of(gradient).shape();
  return gradient.is_sparse() ? shape.with(0, gradient.rows.height) : shape;
}
}  // namespace

void check_gradient(const std::string& path, const Parameter& parameter, const Gradient& gradient) {
  const Tensor& values = values_of(gradient);
  if (shape_of(gradient) != parameter.shape() || values.dtype() != parameter.dtype()) {
    fail<ShapeError>("the optimizer's step: parameter {} is {} of shape {}, its gradient {} of shape {}",
                     path, name_of(parameter.dtype()), parameter.shape(), name_of(values.dtype()),
                     shape_of(gradient));
  }
  if (!all_finite(values)) {
    fail<NumericError>(
        "the optimizer's step: the gradient of parameter {} is not finite: {}; nothing was changed. A Tape "
        "of "
        "{{.check_finite = true}} finds the op that made it",
        path, gradus::value_summary(values));
  }
}

void fail_unlisted(const Gradient& gradient) {
  const std::string use = *gradient.used_by == '\0' ? std::string()
                                                    : fmt::format(", first used by {} at {},",
                                                                  gradient.used_by, gradient.used_at.text());
  fail<TapeError>(
      "the optimizer's step: the loss depends on a parameter of shape {}{} that the model does not list: add "
      "it to the module's members, or, if the model was copied, step the one that computed the loss",
      shape_of(gradient), use);
}

void fail_listed_twice(const std::string& first, const std::string& second) {
  fail<TapeError>(
      "the optimizer's step: the model lists one parameter twice, as {} and as {}; name each once in its "
      "module's members",
      first, second);
}

}  // namespace gradus::optim::detail
