#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace gradus {

namespace detail {
/// False, once T is known: for a static_assert that says what to write instead.
template <class... T>
constexpr bool always_false = false;
}  // namespace detail

/// The place in the user's code that called an op. As a defaulted last parameter, `Where where =
/// Where::here()`, it lets errors name the caller's file and line. (clang 14 lacks std::source_location.)
struct Where {
  const char* file = "";
  // 64 bits wide, as it is passed in a register: loading more than was stored waits for the store.
  std::int64_t line = 0;

  static constexpr Where here(const char* file = __builtin_FILE(), std::int64_t line = __builtin_LINE()) {
    return {file, line};
  }
  /// "model.cpp:31", the last component of the file's path and the line; "an unknown place" without a file.
  std::string text() const;
};

/// The base class of the library's exceptions. Its message says what was found, where, and what to do.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// Shapes that do not fit together or do not suit the op, or an axis or index out of range.
class ShapeError : public Error {
  using Error::Error;
};
/// Operands of different dtypes, or a dtype that the op does not support.
class DtypeError : public Error {
  using Error::Error;
};
/// A misuse of the tape: a Variable of a finished tape, a second backward, a parameter that no module lists.
class TapeError : public Error {
  using Error::Error;
};
/// An option or argument outside its range.
class ArgumentError : public Error {
  using Error::Error;
};
/// A file or text that cannot be read, decoded or written. The message names the file and the position in it.
class DataError : public Error {
  using Error::Error;
};
/// Another process of several that work together is gone, so that what they were about cannot be ended.
class RankLost : public Error {
 public:
  RankLost(int rank, const std::string& what) : Error(what), rank_(rank) {}
  /// Its number.
  int rank() const { return rank_; }

 private:
  int rank_;
};
/// NaN or infinity where a finite number is needed. The message names the step and the op.
class NumericError : public Error {
  using Error::Error;
};

/// What this thread is doing, such as calling an op or a module. `fail` puts the text of the innermost
/// context, which includes those around it, before its own. Contexts lie on the stack, each linked to the one
/// around it.
struct ErrorContext {
  ErrorContext* outer;
  /// "at model.cpp:31: in LstmLm.head"; empty when there is nothing to say.
  std::string (*text)(const ErrorContext& innermost);
};

/// The innermost context of this thread, or null.
extern constinit thread_local ErrorContext* error_context;

namespace detail {
/// The message with the thread's error context, if any, in front.
std::string message(fmt::string_view format, fmt::format_args args);
}  // namespace detail

/// Throws E with a message formatted by fmt: `fail<ShapeError>("matmul: {} against {}", a, b)`. Inside a
/// module the message begins with the module's path: "in LstmLm.head: matmul: ...".
template <class E, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw E(detail::message(format, fmt::make_format_args(args...)));
}

}  // namespace gradus
