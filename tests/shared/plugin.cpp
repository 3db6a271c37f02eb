// A layer in a shared object, as a program that opens plugins would find it.
#include "tests/shared/plugin.hpp"

#include <gradus.hpp>

namespace {
gradus::Parameter& scale() {
  static gradus::Parameter parameter(gradus::Tensor::scalar(2));
  return parameter;
}
}  // namespace

extern "C" gradus::Variable* scaled(const gradus::Variable& x) {
  return new gradus::Variable(scale() * x);
}
extern "C" gradus::Parameter* scale_parameter() {
  return &scale();
}
extern "C" gradus::Variable* meet_under_own_tape(const gradus::Variable& x) {
  const gradus::Tape tape;
  return new gradus::Variable(scale() * x);
}
