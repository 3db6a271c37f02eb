#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/variable.hpp"

namespace gradus {

/// A result for each argument.
using Variables = std::vector<Variable>;

namespace detail {
using Arguments = std::span<const Variable>;
inline Arguments list_of(const Variable& x) {
  return {&x, 1};
}
inline Arguments list_of(Arguments xs) {
  return xs;
}
/// A Variable, or a list of them; results are of the same kind.
template <class X>
concept ArgumentList = requires(const X& x) {
  list_of(x);
};
template <class X>
constexpr bool is_one = std::derived_from<X, Variable>;
template <class X>
auto like(Variables results) {
  if constexpr (is_one<X>) {
    return std::move(results.front());
  } else {
    return results;
  }
}

struct TapeHead;
struct TapeStorage;
/// Whether a thread records is decided by a tape or a pause: the latest of those that still live.
struct Recording {
  TapeHead* tape = nullptr;  // null: a pause
  Recording* below = nullptr;
};
}  // namespace detail

struct TapeOptions {
  /// Throw NumericError at the first NaN or infinity: in the result of a recorded op, or in a gradient of
  /// `backward` or `grad`. The text names the op, its module, the place that recorded it, the first bad
  /// elements and the ranges of the inputs. For debugging, as the tape then keeps every result.
  bool check_finite = false;
};

struct BackwardOptions {
  /// Keep the tape for another backward; by default each op's saved values are freed as the sweep passes.
  bool keep = false;
  /// Called with the gradient of each parameter and watched tensor when nothing more can be added to it,
  /// while backward goes on to those before it: to send it elsewhere, or to be done with it early. It may be
  /// changed or taken (std::move); one that is taken is not in the result. It must not record or call
  /// backward on this tape; what it throws ends the backward.
  std::function<void(Gradient&)> ready{};
};

struct TapePrintOptions {
  /// Ops nested in more than this many modules are folded into one line; 0 folds each outermost module.
  int depth = 1 << 30;
  /// The most lines printed; steps that repeat are printed once, with their count.
  std::int64_t lines = 200;
};

/// Records the ops of its thread while it lives. Without one nothing is recorded, so there is no evaluation
/// mode to switch to. A Tape made while another is active is independent of it and active until it ends.
/// Tapes may end in any order and state.
///
///   Tape tape;
///   Variable loss = cross_entropy(model(x), y);
///   Gradients grads = tape.backward(loss);
class Tape {
 public:
  explicit Tape(TapeOptions options = {});
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A Variable of the value, whose gradient `backward` returns beside those of the parameters.
  Variable watch(Tensor value, Where where = Where::here());

  /// The gradients of a loss of one element. Consumes what was recorded: the tape is then empty, and
  /// Variables made on it belong to a finished tape. Throws ShapeError when the loss has more elements,
  /// TapeError when it is not on this tape (a constant, or of a tape already consumed).
  Gradients backward(const Variable& loss, const BackwardOptions& options = {}, Where where = Where::here());

  /// The number of nodes recorded since the start or the last backward: of leaves and results of ops.
  std::int64_t size() const;

  /// What was recorded, one line an op: number, name, inputs, shape, dtype, the place in the user's code and
  /// the module. Ends with totals. Call it before backward, which empties the tape.
  std::string print(TapePrintOptions options = {}) const;
  /// The same as a Graphviz graph with a box around each module; `dot -Tsvg` draws it.
  std::string dot(TapePrintOptions options = {}) const;

 private:
  friend struct detail::TapeStorage;
  std::unique_ptr<detail::TapeStorage> storage_;
};

/// Stops recording on this thread while it lives; ops then only compute.
class PauseRecording {
 public:
  PauseRecording();
  ~PauseRecording();
  PauseRecording(const PauseRecording&) = delete;
  PauseRecording& operator=(const PauseRecording&) = delete;

 private:
  detail::Recording pause_;
};

/// The gradients of y (of one element) with respect to each of xs (parameters, watched tensors, or anything
/// recorded on the active tape), as Variables recorded on it in turn, so that they can be differentiated
/// again. Zeros where y does not depend on an x. Throws TapeError without an active tape, and for an op on
/// the way whose gradient is not written in differentiable ops.
std::vector<Variable> grad(const Variable& y, std::span<const Variable> xs, Where where = Where::here());
inline Variable grad(const Variable& y, const Variable& x, Where where = Where::here()) {
  return grad(y, std::span<const Variable>(&x, 1), where).front();
}

}  // namespace gradus
