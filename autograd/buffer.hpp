#pragma once

#include <mutex>
#include <utility>

#include "tensor/tensor.hpp"

namespace gradus {

/// A tensor of a model that is no Parameter: `members` lists it, so it is saved and loaded with the model,
/// copied with it and printed by `describe`, while no optimizer changes it and `Gradients` do not know it.
/// The running mean of a BatchNorm is one:
///
///   struct Centred {
///     Buffer mean{zeros({64})};
///     Variable operator()(const Variable& x, Rng* rng) const {
///       if (rng != nullptr) mean.update(0.9 * mean.value() + 0.1 * gradus::mean(x.value(), 0));
///       return x - mean.value();
///     }
///     static void members(auto& self, auto&& visit) { visit("mean", self.mean); }
///   };
///
/// A layer's call is const and may change its buffers: `update`, `change` and `value` may be called from
/// several threads at once (what threads that train one model leave in it depends on their order). A
/// default-made buffer has no value and is left out.
class Buffer {
 public:
  /// Whether `convert` changes its dtype. A count is kept: an f64 counts to 2^53 where an f32 stops at 2^24.
  enum class Dtypes { converted, kept };

  Buffer() = default;
  explicit Buffer(Tensor value, Dtypes dtypes = Dtypes::converted)
      : value_(std::move(value)), dtypes_(dtypes) {}
  // Neither throws, so that vectors move the modules that hold one, and their Parameters stay themselves.
  Buffer(const Buffer& other) noexcept : value_(other.value()), dtypes_(other.dtypes_) {}
  Buffer& operator=(const Buffer& other) noexcept {
    update(other.value());
    dtypes_ = other.dtypes_;
    return *this;
  }
  ~Buffer() = default;

  Tensor value() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  void update(Tensor value) const {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
  }
  /// Makes f(value) of the value; no other thread comes between, so f may not ask the buffer itself.
  template <class F>
  void change(const F& f) const {
    const std::lock_guard lock(mutex_);
    value_ = f(std::as_const(value_));
  }
  /// For loading, while nobody else uses the buffer.
  Tensor& mutable_value() { return value_; }
  Dtypes dtypes() const { return dtypes_; }

 private:
  mutable std::mutex mutex_;
  mutable Tensor value_;
  Dtypes dtypes_ = Dtypes::converted;
};

}  // namespace gradus
