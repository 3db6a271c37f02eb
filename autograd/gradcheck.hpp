#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "autograd/members.hpp"
#include "autograd/variable.hpp"

namespace gradus {

/// Which derivative is compared, in this order: that of Tape::backward (fused forms where there are some),
/// that of grad (forms in differentiable ops), the gradient of grad by backward and by grad, and the jvp
/// along one direction.
enum class GradcheckPart { backward, grad, second, second_by_grad, jvp };
inline constexpr std::size_t gradcheck_parts = 5;
/// "backward", "grad", "second", "second by grad" or "jvp".
const char* name_of(GradcheckPart part);

/// An error to plant, to see that a check finds it: the gradient that the op gives its input is multiplied by
/// 1 + error while the analytic derivatives are computed.
struct PlantedError {
  std::string op;  // the name given to record
  int input = 0;   // which of its inputs that have a gradient
  double error = 1e-4;
};

struct GradcheckOptions {
  /// The step of the central differences, relative to max(1, |x|). With the fourth-order formula used here
  /// its error is about step^4, and that of rounding 1e-16 / step.
  double step = 1e-3;
  /// The largest allowed |analytic - numeric| / (max(|analytic|, |numeric|) + floor), where the floor is a
  /// thousandth of the largest derivative of that input, so that zeros are compared too.
  double tolerance = 1e-6;
  /// Check the second derivative and the jvp as well; without, an op need not be differentiable twice.
  bool second_order = true;
  /// The parts to compare, where they are to be others: the second derivative by grad, which needs ops that
  /// are differentiable three times, is compared only when it is listed here.
  std::vector<GradcheckPart> parts = {};
  std::uint64_t seed = 1;
  std::optional<PlantedError> plant = {};
  /// What messages call the inputs, in place of "input 0" and so on.
  std::vector<std::string> names = {};
};

/// One derivative that is off.
struct GradcheckMismatch {
  GradcheckPart part;
  std::size_t input = 0;              // which of the inputs; all at once for the jvp
  std::vector<std::int64_t> element;  // its index in the input, an entry an axis; empty for the jvp
  double analytic = 0, numeric = 0;
  double error = 0;  // relative, as in GradcheckOptions
};

struct GradcheckResult {
  bool passed = true;
  std::int64_t checked = 0;  // derivatives compared
  double largest_error = 0;  // relative, as in GradcheckOptions
  // What is off most in the first part with errors, and in words: the part, input, element and both values.
  std::optional<GradcheckMismatch> worst;
  std::string message;
  std::int64_t mismatches = 0;                                   // derivatives that are off
  std::array<std::int64_t, gradcheck_parts> mismatches_in = {};  // by part
  std::int64_t planted = 0;                                      // how often the planted error was applied
};

/// What is checked, of any number of inputs.
using GradcheckFunction = std::function<Variable(std::span<const Variable>)>;

/// Compares with central differences in f64, for every element of every input: the gradient of f by
/// Tape::backward and by grad, the jvp along a random direction (and so jvp with vjp, as both are compared
/// with one number), and then the gradient of the gradient. f may return any shape: a fixed random weighting
/// makes it one number. Keep the inputs further than three steps from kinks. Throws DtypeError unless all
/// inputs are f64, and whatever f throws.
GradcheckResult gradcheck(const GradcheckFunction& f, const std::vector<Tensor>& inputs,
                          GradcheckOptions options = {});

namespace detail {
/// A model's parameters, which a check replaces while it lives. They get back what they were.
class CheckedParameters {
 public:
  void add(const std::string& path, Parameter& parameter);
  void add(const Buffer& buffer) { buffers_.emplace_back(&buffer, buffer.value()); }
  GradcheckResult check(const std::function<Variable()>& loss, GradcheckOptions options) const;

 private:
  std::vector<Parameter*> parameters_;
  std::vector<std::string> paths_;
  std::vector<std::pair<const Buffer*, Tensor>> buffers_;  // and what they were
};
}  // namespace detail

/// The same for a loss as a function of a model's parameters, `loss(model)` or `loss()`; the message begins
/// with the path of the parameter that is off:
///
///     const GradcheckResult result = gradcheck(model, [&](auto& m) { return nn::mse(m(x), y); });
///
/// The model must be in f64 (DtypeError), as `convert(model, Dtype::f64)` makes it, and so must what it
/// reads. It is as before afterwards, and its buffers at each call. A derivative that is exactly 0, as that
/// of a bias before a BatchNorm, is compared with what rounding makes of it, which may be above the
/// tolerance. The loss must be the same each time (ArgumentError): dropout takes an Rng of its own in each
/// call. Every element of every parameter takes eight evaluations or more, so check a small model.
template <class M, class Loss>
requires Module<M> &&(std::invocable<Loss&, M&> || std::invocable<Loss&>)GradcheckResult
    gradcheck(M& model, Loss&& loss, const GradcheckOptions& options = {}) {
  detail::CheckedParameters parameters;
  for_each_parameter(model, [&](const std::string& path, Parameter& p) { parameters.add(path, p); });
  for_each_buffer(model, [&](const std::string&, const Buffer& buffer) { parameters.add(buffer); });
  const auto value = [&]() -> Variable {
    if constexpr (std::invocable<Loss&, M&>) {
      return loss(model);
    } else {
      return loss();
    }
  };
  return parameters.check(value, options);
}

}  // namespace gradus
