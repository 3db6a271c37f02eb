#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <type_traits>
#include <utility>

#include "autograd/members.hpp"
#include "autograd/tape.hpp"
#include "tensor/support/list.hpp"

/// Trades time for memory: what a function saves for its gradient is dropped, and computed again when
/// backward gets there (Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016).
///
/// f is called again by backward, when the function that called `checkpoint` may long have returned. What it
/// needs is best passed as inputs, Parameters too; they are kept. Captured by value, numbers, Tensors and
/// Variables (`w = Variable(layer.weight)`) are kept as well. Captured by reference must be what outlives the
/// tape, and that alone: a layer or a Parameter, since a copied one is another one (TapeError). `[&]` would
/// also refer to the local variables and arguments of the function that it stands in, an error that C++ does
/// not let the library see:
///
///   Variable scaled(const Layer& layer, const Variable& x, double factor) {
///     return checkpoint([&layer, factor](const Variable& in) { return layer(in) * factor; }, x);
///   }
///
/// A module as f is used as it is and must outlive the tape too; any other f is copied. Each call is made on
/// a fresh copy of f as it was given: a random number generator (dropout) that it captured by value gives the
/// same numbers again. Parameters and recorded Variables that f captured get their gradients too: the first
/// call finds them. f must give the same shapes for the same inputs (ShapeError).
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
/// The step is given the state and the inputs, in one list.
Variables checkpoint_steps(const CheckpointStep& step, Variables state, std::span<const Variable> inputs,
                           std::int64_t steps, std::int64_t segment, Where where);
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

/// A recurrence: state = step(state, t, inputs) for t in 0..steps-1, and the last state, which may be several
/// Variables. The inputs are what all steps read, such as a sequence and weights, so that the step captures
/// nothing that could end before backward:
///
///   const auto step = [](const Variable& h, std::int64_t t, std::span<const Variable> in) {
///     return tanh(matmul(h, in[1]) + in[0][t]);
///   };
///   // x: (time, width); w: (width, width)
///   const Variable last = checkpoint_sequence(step, start, {x, w}, x.dim(0));
///
/// It keeps the states between segments, and the ops of one segment at a time: O(sqrt(steps)) memory, for one
/// more forward pass. A sum over time, such as a loss, travels as a part of the state. Each segment calls a
/// copy of step as it was given, so random numbers must follow from t (`rng.fork(t)`). Throws ArgumentError
/// for negative numbers.
template <class Step, detail::ArgumentList X>
auto checkpoint_sequence(const Step& step, const X& state, List<Variable> inputs, std::int64_t steps,
                         CheckpointOptions options = {}, Where where = Where::here()) {
  const detail::Arguments first = detail::list_of(state);
  const auto of_many = [step = detail::lent_or_copied(step), parts = first.size()](detail::Arguments in,
                                                                                   std::int64_t t) mutable {
    const detail::Arguments now = in.first(parts), kept = in.subspan(parts);
    if constexpr (detail::is_one<X>) {
      return Variables{std::invoke(step, now[0], t, kept)};
    } else {
      return Variables(std::invoke(step, now, t, kept));
    }
  };
  return detail::like<X>(
      detail::checkpoint_steps(of_many, {first.begin(), first.end()}, inputs, steps, options.segment, where));
}

/// The same of a step(state, t). What it captures is under the rules at the top of this file: a sequence by
/// value, a layer by reference.
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
      detail::checkpoint_steps(of_many, {first.begin(), first.end()}, {}, steps, options.segment, where));
}

}  // namespace gradus
