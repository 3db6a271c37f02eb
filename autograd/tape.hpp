#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/variable.hpp"

namespace gradus {

namespace detail {
struct TapeHead;
struct TapeStorage;
}  // namespace detail

struct TapeOptions {
  /// Throw NumericError at the first op whose result holds NaN or infinity, naming it and its place.
  bool check_finite = false;
};

struct BackwardOptions {
  /// Keep the tape for another backward; by default each op's saved values are freed as the sweep passes.
  bool keep = false;
};

/// Records the ops of its thread while it lives. Without one nothing is recorded, so evaluation needs no
/// mode. A Tape made while another is active is independent of it and active until it ends.
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

  /// A Variable of the value with respect to which gradients are wanted, beside the parameters.
  Variable watch(Tensor value);

  /// The gradients of a loss of one element. Consumes what was recorded: the tape is then empty, Variables
  /// made on it are of the past. Throws ShapeError when the loss has more elements, TapeError when it is not
  /// on this tape (a constant, or of a tape already consumed).
  Gradients backward(const Variable& loss, BackwardOptions options = {}, Where where = Where::here());

  /// The number of nodes recorded since the start or the last backward.
  std::int64_t size() const;

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
  detail::TapeHead* paused_;
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
