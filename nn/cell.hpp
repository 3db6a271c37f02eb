#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "autograd/variable.hpp"
#include "tensor/kernels/recurrent.hpp"

/// How a recurrent cell is written: one step of a recurrent layer, without its products of matrices. The
/// layer, `Recurrent` in nn/recurrent.hpp, does the rest: weights, stacks of layers, both directions, ragged
/// lengths.
///
///   struct ElmanCell : RecurrentCell {
///     using State = HiddenState;
///     static constexpr int gates = 1;
///     State step(const Variable& from_x, const Variable& from_h, const State&) const {
///       return {tanh(from_x + from_h)};
///     }
///   };
///   struct Elman : Recurrent<Elman, ElmanCell> {
///     using Recurrent::Recurrent;
///   };
///
/// `from_x` and `from_h` are the two parts of the gates' pre-activations, (batch, gates * width), one gate
/// beside the other: W_ih x + b_ih + b_hh and W_hh h.
///
/// A cell with a forget gate says where its rows stand among the gates', `static constexpr int forget_gate =
/// 1`, for set_forget_bias (nn/recurrent.hpp).
///
/// A cell may have weights of its own. It then lists them in `members`, as every module does, and gives them
/// their first values in `void initialize(Rng& rng, std::int64_t width)`.
namespace gradus::nn {

/// The state of a cell that hands on h alone. `parts` of a state lists what is handed on, h first.
struct HiddenState {
  Variable h;  // (batch, width) in a cell, (layers * directions, batch, width) in a layer

  static auto parts(auto& self) { return std::array{&self.h}; }
};

template <class State>
concept RecurrentState = requires(State& state) {
  State::parts(state);
};
template <RecurrentState State>
inline constexpr std::size_t part_count = decltype(State::parts(std::declval<State&>())){}.size();

/// A state of the parts that part(i) gives.
template <RecurrentState State, class Part>
State state_of(const Part& part) {
  State out;
  const auto parts = State::parts(out);
  for (std::size_t i = 0; i < parts.size(); ++i) *parts[i] = part(i);
  return out;
}
/// The same values as constants: gradients do not flow into what came before.
template <RecurrentState State>
State detach(State state) {
  for (Variable* part : State::parts(state)) *part = gradus::detach(*part);
  return state;
}

/// What a cell is unless it says otherwise.
///
/// A cell can also have a fused form: all steps are then one node of the tape, and each is one parallel
/// region, in which a thread makes the products of some units and goes on to their part of the step. `step`
/// then serves the second derivative, and the tests as a reference. The fused form is `op`, the name of that
/// node, and two functions of the units from `units.begin` to `units.end`:
///
///   static constexpr const char* op = ...;
///   template <class T>
///   void forward(const kernels::Part& units, const FusedStep<T, 1>& at) const;
///   template <class T>
///   void backward(const kernels::Part& units, const FusedGradient<T, 1>& at) const;
///
/// With two more, their derivatives in a direction (tangents), the second derivative is fused as well:
///
///   template <class T>
///   void tangent(const kernels::Part& units, const FusedTangent<T, 1>& at) const;
///   template <class T>
///   void backward_tangent(const kernels::Part& units, const FusedGradientTangent<T, 1>& at) const;
struct RecurrentCell {
  /// Whether the step uses from_h otherwise than in the sum with from_x. b_hh then belongs to from_h.
  static constexpr bool separate = false;
  /// Whether the layer has bias_ih and bias_hh; a cell that normalises its pre-activations has biases of its
  /// own behind that.
  static constexpr bool biased = true;

  // Of the fused form:
  /// How many numbers a unit keeps of a step for its gradient, beside gates and states.
  static constexpr int kept = 0;
  /// Whether it does; else `kept` below is null.
  bool keeps() const { return true; }
  /// Whether h is written in the memory of the pre-activations; there is one gate then.
  static constexpr bool in_place = false;
  /// Whether the step uses the h before it otherwise than in from_h.
  static constexpr bool reads_h = false;
};

template <class Cell>
concept FusedCell = requires {
  Cell::op;
};

/// Where the parts of one step stand in memory, for a fused form; `parts` is the number of parts of a state.
template <class T, std::size_t parts>
struct FusedStep {
  T* gates;   // (batch, gates * width): the pre-activations, or with `separate` from_x
  T* from_h;  // (batch, gates * width), with `separate`
  T* kept;    // (batch, kept * width)
  std::array<const T*, parts> before;  // (batch, width) each: the state before the step
  std::array<T*, parts> after;         // (batch, width) each
};

/// The same for its gradient, with what the forward step has left in gates, from_h and kept.
template <class T, std::size_t parts>
struct FusedGradient {
  FusedStep<const T, parts> at;
  /// (batch, width) each: the gradient of the state after the step, to be replaced by that of the state
  /// before it, without the part of h's that goes through from_h.
  std::array<T*, parts> d_state;
  T* d_gates;   // (batch, gates * width): to be written
  T* d_from_h;  // (batch, gates * width): to be written, with `separate`
};

/// The tangents of a step: the derivatives, in some direction, of what the member of that name is.
template <class T, std::size_t parts>
struct FusedTangent {
  FusedStep<const T, parts> at;
  const T* gates;
  const T* from_h;
  std::array<const T*, parts> before;
  std::array<T*, parts> after;  // to be written
};

/// The tangents of a step's gradient.
template <class T, std::size_t parts>
struct FusedGradientTangent {
  FusedStep<const T, parts> at;
  const T* gates;
  const T* from_h;
  std::array<const T*, parts> before, after;
  /// The gradient of the state after the step, as `backward` got it.
  std::array<const T*, parts> d_state;
  /// Its tangent, to be replaced by that of the state before it, as `backward` replaces the gradient.
  std::array<T*, parts> tangent_of_d_state;
  T* d_gates;  // to be written, with `from_h` where the cell is `separate`
  T* d_from_h;
};

template <class Cell, std::size_t parts = part_count<typename Cell::State>>
concept TwiceFusedCell = FusedCell<Cell> &&
    requires(const Cell& cell, const kernels::Part& units, const FusedTangent<float, parts>& tangent,
             const FusedGradientTangent<float, parts>& gradient) {
  cell.template tangent<float>(units, tangent);
  cell.template backward_tangent<float>(units, gradient);
};

}  // namespace gradus::nn
