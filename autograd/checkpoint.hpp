#pragma once

#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "autograd/members.hpp"
#include "autograd/tape.hpp"

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
using CheckpointFunction = std::function<Variables(Arguments)>;
Variables checkpoint(const CheckpointFunction& f, Arguments inputs, Where where);
using CheckpointStep = std::function<Variables(Arguments, std::int64_t)>;
Variables checkpoint_steps(const CheckpointStep& step, Variables state, std::int64_t steps,
                           std::int64_t segment, Where where);
}  // namespace detail

/// f(x), recorded as one node that saves x alone. Of several inputs, std::span<const Variable>, f gives
/// several results, std::vector<Variable>.
template <class F, detail::ArgumentList X>
auto checkpoint(const F& f, const X& x, Where where = Where::here()) {
  const auto of_many = [f = detail::lent_or_copied(f)](detail::Arguments in) mutable {
    if constexpr (detail::is_one<X>) {
      return Variables{std::invoke(f, in[0])};
    } else {
      return Variables(std::invoke(f, in));
    }
  };
  return detail::like<X>(detail::checkpoint(of_many, detail::list_of(x), where));
}

struct CheckpointOptions {
  /// Steps between two kept states; 0 for the square root of their number.
  std::int64_t segment = 0;
};

/// A recurrence: state = step(state, t) for t in 0..steps-1, and the last state, which may be several
/// Variables. It keeps the states between segments, and the ops of one segment at a time: O(sqrt(steps))
/// memory, for one more forward pass. A sum over time, such as a loss, travels as a part of the state. Each
/// segment calls a copy of step as it was given, so random numbers must follow from t (`rng.fork(t)`). Throws
/// ArgumentError for negative numbers.
template <class Step, detail::ArgumentList X>
auto checkpoint_sequence(const Step& step, const X& state, std::int64_t steps, CheckpointOptions options = {},
                         Where where = Where::here()) {
  const auto of_many = [step = detail::lent_or_copied(step)](detail::Arguments in, std::int64_t t) mutable {
    if constexpr (detail::is_one<X>) {
      return Variables{std::invoke(step, in[0], t)};
    } else {
      return Variables(std::invoke(step, in, t));
    }
  };
  const detail::Arguments first = detail::list_of(state);
  return detail::like<X>(
      detail::checkpoint_steps(of_many, {first.begin(), first.end()}, steps, options.segment, where));
}

}  // namespace gradus
