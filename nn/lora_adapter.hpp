#pragma once

#include "autograd/variable.hpp"
#include "tensor/random.hpp"

namespace gradus::nn {

/// What nn::Linear holds once `add_lora` (nn/lora.hpp) gave it an adapter: the change of its weight W,
/// (out, in), by a product of low rank,
///   y = x (W + alpha / rank B A)^T + b
struct LoraAdapter {
  Parameter a;  // "lora_A.weight" of the layer: (rank, in)
  Parameter b;  // "lora_B.weight": (out, rank); 0 at first
  double alpha = 0, dropout = 0;
  /// While the weight has the product added to it, what it was before; else undefined.
  Tensor base = {};

  bool is_merged() const { return base.defined(); }
  double scale() const { return alpha / static_cast<double>(a.dim(0)); }

  /// The layer's call: x W^T + b + alpha / rank (x A^T) B^T, where W + alpha / rank B A is never made.
  Variable call(const Variable& x, const Variable& weight, const Variable& bias, Where where) const;
  /// W + alpha / rank B A, or W once that is merged.
  Variable added_to(const Variable& weight, Where where) const;
};

/// While it lives, adapters called on this thread drop elements of their input, at their rate:
///
///   Tape tape;
///   const nn::LoraDropout dropping(&rng);
///   optimizer.step(model, tape.backward(loss_of(model)));
///
/// models::train does it. A null generator turns it off. What `checkpoint` runs again needs one of its own
/// inside, on a generator that is captured by value.
class LoraDropout {
 public:
  explicit LoraDropout(Rng* rng) noexcept;
  LoraDropout(const LoraDropout&) = delete;
  LoraDropout& operator=(const LoraDropout&) = delete;
  ~LoraDropout();

 private:
  Rng* before_;
};

}  // namespace gradus::nn
