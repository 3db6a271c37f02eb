#pragma once

#include <cstdint>

#include "tensor/support/error.hpp"

namespace gradus {

/// An op's name and the place in the user's code that called it.
struct Op {
  const char* name;
  Where where;
  Op(const char* op_name, Where called_at = Where::here()) : name(op_name), where(called_at) {}
};

namespace detail {

/// The contexts of autograd, in one chain: the calls of ops and modules, and sweeps over a tape.
struct Frame : ErrorContext {
  enum class Kind : std::uint8_t { op, module, sweep };
  Kind kind;

  explicit Frame(Kind of) noexcept : ErrorContext{error_context, &text_of}, kind(of) { error_context = this; }
  ~Frame() { error_context = outer; }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  /// What is being differentiated, the place of the innermost op's call, and the module it stands in: "while
  /// differentiating ..., recorded at ...: at model.cpp:31: in LstmLm.head".
  static std::string text_of(const ErrorContext& innermost);
};

}  // namespace detail

/// Marks the call of an op while it lives; the first line of an op's body:
///
///   Variable tril(const Variable& x, int offset, Where where) {
///     const InOp op("tril", where);
///     return record(op, tril(x.value(), offset), wrt(x, [offset](const Variable& g) { ... }));
///   }
///
/// Errors thrown inside by `fail` then begin with the place of the call, "at model.cpp:31: ". Where ops call
/// others, the innermost counts. Belongs on the stack. Costs a few stores.
class InOp : detail::Frame, public Op {
 public:
  explicit InOp(const char* op_name, Where called_at = Where::here()) noexcept
      : Frame(Kind::op), Op(op_name, called_at) {}
  explicit InOp(const Op& op) noexcept : InOp(op.name, op.where) {}
  InOp(const InOp&) = delete;
  InOp& operator=(const InOp&) = delete;
  ~InOp() = default;

 private:
  friend struct detail::Frame;
};

}  // namespace gradus
