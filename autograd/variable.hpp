#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <type_traits>
#include <utility>

#include "tensor/support/error.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

class Variable;
namespace detail {
/// The value inside a Variable that nobody else sees; for the sweep.
Tensor& value_inside(Variable& x) noexcept;
}  // namespace detail

/// What a Variable refers to: a node of a tape (`tape` is the tape's serial number, `index` the node), a
/// parameter (`index` is its id), or nothing: a constant (`index` is 0, or the id of a frozen parameter).
class Place {
 public:
  static constexpr std::uint32_t constant = 0;
  static constexpr std::uint32_t parameter = 0xFFFFFFFF;

  Place() = default;
  Place(std::uint32_t tape, std::uint32_t index) : bits_(std::uint64_t{tape} << 32 | index) {}
  std::uint32_t tape() const { return static_cast<std::uint32_t>(bits_ >> 32); }
  std::uint32_t index() const { return static_cast<std::uint32_t>(bits_); }
  auto operator<=>(const Place&) const = default;  // NOLINT(modernize-use-nullptr): there is no pointer

 private:
  // One number, as copying two halves by one load would wait for their two stores.
  std::uint64_t bits_ = 0;
};

/// What `x[i]` takes for a Variable x: the number of an entry, and the place of the call.
struct EntryNumber {
  std::int64_t i;
  Where where;

  template <std::integral I>
  requires(!std::same_as<I, bool>) EntryNumber(I number, Where at = Where::here())
      : i(static_cast<std::int64_t>(number)), where(at) {}
};

/// A value, and its place on a tape if it has one. Copying is cheap and shares the value. Ops on Variables
/// compute at once; they are also recorded when a Tape is active on this thread and an operand depends on a
/// parameter or a watched tensor. A Tensor becomes a Variable only explicitly (it is then a constant), so
/// that a derivative is never lost by accident; beside a Variable, as in `x * tensor`, it need not.
class Variable {
 public:
  /// What an elementwise function of it gives (tensor/ops/elementwise.hpp).
  using ElementwiseResult = Variable;

  Variable() = default;
  explicit Variable(Tensor value) : value_(std::move(value)) {}
  Variable(Tensor value, Place place) : value_(std::move(value)), place_(place) {}
  /// Not possible: it says what to write instead.
  template <std::same_as<Tensor> T>
  Variable& operator=(const T&) {
    static_assert(
        detail::always_false<T>,
        "a Tensor becomes a Variable, a constant without a gradient, only explicitly: x = Variable(tensor)");
    return *this;
  }

  const Tensor& value() const { return value_; }
  /// The value of a Variable that is no longer needed.
  Tensor take() && { return std::move(value_); }
  Place place() const { return place_; }
  bool is_constant() const { return place_.tape() == Place::constant; }

  Shape shape() const { return value_.shape(); }
  int rank() const { return value_.rank(); }
  std::int64_t dim(int axis) const { return value_.dim(axis); }
  std::int64_t size() const { return value_.size(); }
  Dtype dtype() const { return value_.dtype(); }
  /// The only element. Throws ShapeError unless size() is 1.
  double item() const { return value_.item(); }
  /// Entry i along the first axis, with its gradient: `select(x, i)` (autograd/ops/movement.hpp). A negative
  /// i counts from the end. Throws ShapeError when it is out of range.
  Variable operator[](const EntryNumber& number) const;

 protected:
  friend class VariableOperand;
  friend Tensor& detail::value_inside(Variable& x) noexcept;
  Tensor value_;
  Place place_;
};
inline Tensor& detail::value_inside(Variable& x) noexcept {
  return x.value_;
}

namespace detail {
// For code about Tensors and Variables alike.
inline const Tensor& value_of(const Tensor& x) {
  return x;
}
inline const Tensor& value_of(const Variable& x) {
  return x.value();
}
}  // namespace detail

namespace detail {
/// A Variable and a Tensor, which is a constant beside it.
template <class A, class B>
concept VariableAndTensor = (std::derived_from<A, Variable> && std::same_as<B, Tensor>) ||
                            (std::same_as<A, Tensor> && std::derived_from<B, Variable>);
inline const Variable& as_variable(const Variable& x) {
  return x;
}
inline Variable as_variable(const Tensor& x) {
  return Variable(x);
}
}  // namespace detail

/// The same value as a constant: no gradient flows through it.
inline Variable detach(const Variable& x) {
  return Variable(x.value());
}

/// A trainable tensor of a model. Its identity is an id, not an address. A parameter that is made by a move
/// takes the id along, and one that is made by a copy has an id of its own. One that is assigned to stays
/// itself and takes the value alone, so after `model = best` an optimizer still knows the model's parameters.
/// std::swap of two models moves, so the parameters of one of them are new ones then.
/// Only `mutable_value` (optimizers, loading) and assignment write to it, so several threads may use one
/// model at once.
class Parameter : public Variable {
 public:
  Parameter() : Parameter(Tensor()) {}
  explicit Parameter(Tensor value) : Variable(std::move(value), {Place::parameter, next_id()}) {}
  Parameter(const Parameter& other) : Parameter(other.value_) {
    if (other.is_frozen()) freeze();
  }
  Parameter(Parameter&& other) noexcept : Variable(std::move(other.value_), other.place_) {
    other.place_ = {Place::parameter, next_id()};  // it may be assigned to, and be another parameter then
  }
  Parameter& operator=(const Parameter& other) {
    value_ = other.value_;
    return *this;
  }
  Parameter& operator=(Parameter&& other) noexcept {
    value_ = std::move(other.value_);
    return *this;
  }
  /// Not possible: it says what to write instead.
  template <class T>
  requires std::same_as<std::remove_cvref_t<T>, Tensor> || std::same_as<std::remove_cvref_t<T>, Variable>
      Parameter& operator=(T&&) {  // NOLINT(misc-unconventional-assign-operator)
    static_assert(detail::always_false<T>,
                  "a Parameter is no result of a computation: p.mutable_value() = tensor sets its value, p = "
                  "Parameter(tensor) too, and Variable y = ... names a result");
    return *this;
  }
  ~Parameter() = default;

  std::uint32_t id() const { return place_.index(); }
  Tensor& mutable_value() { return value_; }

  /// A frozen parameter is a constant to ops: it has no gradient, nothing is recorded for it, and optimizers
  /// leave it alone. It stays a part of its model, is saved and loaded, and keeps its id. A copy is frozen
  /// too; one that is assigned to stays what it was. autograd/freeze.hpp has `freeze` for models.
  bool is_frozen() const { return is_constant(); }
  void freeze() { place_ = {Place::constant, id()}; }
  void unfreeze() { place_ = {Place::parameter, id()}; }

 private:
  static std::uint32_t next_id();
};

/// What an operator on Variables takes, for the length of the call: a Variable or a number, and the place of
/// the call. It cannot be copied: a gradient's closure keeps the Variable or the number itself.
class VariableOperand {
 public:
  using ElementwiseResult = Variable;

  VariableOperand(const Variable& x, Where at = Where::here()) noexcept : variable(x), where(at) {}
  VariableOperand(Variable&& x, Where at = Where::here()) noexcept : variable(x), where(at), dying_(&x) {}
  VariableOperand(double x, Where at = Where::here()) noexcept : variable(none_), where(at), number_(x) {}
  VariableOperand(const VariableOperand&) = delete;
  VariableOperand& operator=(const VariableOperand&) = delete;
  ~VariableOperand() = default;

 private:
  const Variable none_;  // what a number's reference stands on; made first

 public:
  const Variable& variable;  // undefined for a number
  Where where;

  bool is_number() const { return &variable == &none_; }
  double number() const { return number_; }
  /// The value of a temporary, whose buffer may be reused when nothing is recorded; else null.
  Tensor* dying() const { return dying_ == nullptr ? nullptr : &dying_->value_; }

 private:
  double number_ = 0;
  Variable* dying_ = nullptr;
};

/// A Variable alone, as an operator takes it beside a Tensor.
class VariableArgument : public VariableOperand {
 public:
  VariableArgument(const Variable& x, Where at = Where::here()) noexcept : VariableOperand(x, at) {}
  VariableArgument(Variable&& x, Where at = Where::here()) noexcept : VariableOperand(std::move(x), at) {}
};

namespace detail {
struct Constant {
  Variable constant;
};
}  // namespace detail

/// A Tensor beside a Variable: a constant.
class ConstantOperand : detail::Constant, public VariableOperand {
 public:
  ConstantOperand(Tensor x, Where at = Where::here()) noexcept
      : Constant{Variable(std::move(x))}, VariableOperand(std::move(constant), at) {}
};

/// Prints the value as a Tensor is printed (tensor/tensor.hpp).
inline std::ostream& operator<<(std::ostream& to, const Variable& x) {
  return to << x.value();
}

}  // namespace gradus

template <std::derived_from<gradus::Variable> X>
struct fmt::formatter<X> : fmt::formatter<gradus::Tensor> {
  fmt::format_context::iterator format(const gradus::Variable& x, fmt::format_context& context) const {
    return fmt::formatter<gradus::Tensor>::format(x.value(), context);
  }
};
