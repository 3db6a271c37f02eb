#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/members.hpp"
#include "autograd/variable.hpp"

/// Trades time for memory: what a function saves for its gradient is dropped, and computed again when
/// backward gets there (Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016).
///
/// f is a function, a lambda, or a module, which must outlive the tape. A module is used as it is; any other
/// f is copied, and must capture its parameters by reference, as a copied parameter is another one
/// (TapeError). Each call is made on a fresh copy of f as it was given: a random number generator (dropout)
/// that it captured by value gives the same numbers again; one captured by reference would not, an error that
/// cannot be detected. Parameters and recorded Variables that f captured get their gradients
/// too: the first call finds them. f must give the same shapes for the same inputs (ShapeError).
///
/// Derivatives of every order pass through. While they are recorded (grad, hvp, ...), the ops of f are too,
/// so only the first order saves memory. The gradient of an embedding inside f is dense.
namespace gradus {

namespace detail {
/// A module itself, since a copy has other parameters; else a copy.
template <class F>
auto lent_or_copied(const F& f) {
  if constexpr (Module<const F>) {
    return std::cref(f);
  } else {
    return std::decay_t<F>(f);
  }
}
using CheckpointFunction = std::function<std::vector<Variable>(std::span<const Variable>)>;
std::vector<Variable> checkpoint(const CheckpointFunction& f, std::span<const Variable> inputs, Where where);
using CheckpointStep = std::function<std::vector<Variable>(std::span<const Variable>, std::int64_t)>;
std::vector<Variable> checkpoint_steps(const CheckpointStep& step, std::vector<Variable> state,
                                       std::int64_t steps, std::int64_t segment, Where where);
}  // namespace detail

/// f(x), recorded as one node that saves x alone.
template <class F>
Variable checkpoint(const F& f, const Variable& x, Where where = Where::here()) {
  const auto of_many = [f = detail::lent_or_copied(f)](std::span<const Variable> in) mutable {
    return std::vector<Variable>{std::invoke(f, in[0])};
  };
  return std::move(detail::checkpoint(of_many, {&x, 1}, where).front());
}
/// f(xs), of several inputs and results, std::vector<Variable>.
template <class F>
std::vector<Variable> checkpoint(const F& f, std::span<const Variable> xs, Where where = Where::here()) {
  return detail::checkpoint(detail::lent_or_copied(f), xs, where);
}

struct CheckpointOptions {
  /// Steps between two kept states; 0 for the square root of their number.
  std::int64_t segment = 0;
};

/// A recurrence: state = step(state, t) for t in 0..steps-1, and the last state. It keeps the states between
/// segments, and the ops of one segment at a time: O(sqrt(steps)) memory, for one more forward pass. A sum
/// over time, such as a loss, travels as a part of the state. Each segment calls a copy of step as it was
/// given, so random numbers must follow from t (`rng.fork(t)`). Throws ArgumentError for negative numbers.
template <class Step>
Variable checkpoint_sequence(const Step& step, const Variable& state, std::int64_t steps,
                             CheckpointOptions options = {}, Where where = Where::here()) {
  const auto of_many = [step = detail::lent_or_copied(step)](std::span<const Variable> in,
                                                             std::int64_t t) mutable {
    return std::vector<Variable>{std::invoke(step, in[0], t)};
  };
  return std::move(detail::checkpoint_steps(of_many, {state}, steps, options.segment, where).front());
}
/// The same for a state of several Variables: step is (std::span<const Variable>, t) to
/// std::vector<Variable>.
template <class Step>
std::vector<Variable> checkpoint_sequence(const Step& step, std::span<const Variable> state,
                                          std::int64_t steps, CheckpointOptions options = {},
                                          Where where = Where::here()) {
  return detail::checkpoint_steps(detail::lent_or_copied(step), {state.begin(), state.end()}, steps,
                                  options.segment, where);
}

}  // namespace gradus
