#pragma once

#include <span>
#include <utility>
#include <vector>

#include "autograd/members.hpp"
#include "autograd/variable.hpp"
#include "tensor/rows.hpp"
#include "tensor/support/function_ref.hpp"

namespace gradus {

/// The gradient of one parameter or watched tensor: dense, or row-sparse (an embedding's).
struct Gradient {
  Place of;
  Tensor dense;  // undefined when row-sparse
  Rows rows;     // merged: ascending ids, each once
  // The op that first used it on the tape, and where that was called; for errors.
  const char* used_by = "";
  Where used_at = {};

  bool is_sparse() const { return !dense.defined(); }
  /// The elements that it has: of the whole, or of the rows.
  const Tensor& values() const { return is_sparse() ? rows.values : dense; }
  Tensor& values() { return is_sparse() ? rows.values : dense; }
  /// The gradient as a dense tensor.
  Tensor tensor() const { return is_sparse() ? rows.dense() : dense; }
};

/// Allocated from the tensors' pool, as every training step makes one.
using GradientList = storage::PoolVector<Gradient>;
using NumberList = storage::PoolVector<double>;

/// What backward returns: the gradients of the loss with respect to every parameter and watched tensor it
/// depends on. A value; nothing is stored in the model.
class Gradients {
 public:
  Gradients() = default;
  /// One entry a parameter or watched tensor, in any order; for the tape and for tests.
  explicit Gradients(GradientList entries);

  bool contains(const Variable& x) const { return find(x.place()) != nullptr; }
  /// The dense gradient of a parameter or watched tensor. Throws TapeError when the loss does not depend on
  /// it.
  Tensor operator[](const Variable& x) const;
  /// The entry, or null.
  const Gradient* find(Place place) const;

  /// Those of one part of a model, for an optimizer of its own: of(model.encoder).
  template <class M>
  Gradients of(const M& module) const {
    GradientList out;
    for_each_unnamed_parameter(module, [&](const Parameter& parameter) {
      const Gradient* const gradient = find(parameter.place());
      if (gradient != nullptr) out.push_back(*gradient);
    });
    return Gradients(std::move(out));
  }

  std::span<const Gradient> entries() const { return entries_; }
  std::span<Gradient> entries() { return entries_; }
  bool empty() const { return entries_.empty(); }

  /// Adds entry by entry: the gradients of two micro-batches become those of both.
  Gradients& operator+=(const Gradients& more);
  /// Multiplies every entry.
  Gradients& operator*=(double factor);

 private:
  GradientList entries_;  // in ascending order of place
};

/// The sum of two gradients of one parameter: by rows where both are, else dense.
Gradient sum_of(Gradient a, const Gradient& b);

/// The Euclidean norm of all gradients taken as one vector.
double norm(const Gradients& gradients);
/// The same, to the bit, where no process has all of them: `of_each` calls a function for each gradient,
/// wherever it is, and returns what it gives, in ascending order of place.
double norm_by(FunctionRef<NumberList(FunctionRef<double(const Gradient&)>)> of_each);

}  // namespace gradus
