#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace gradus {

/// The place in the user's code that called an op. Taken as a defaulted last argument,
/// `Where where = Where::here()`, it names the caller's file and line in errors.
/// (clang 14 with libstdc++ 12 has no std::source_location.)
struct Where {
  const char* file = "";
  // As wide as a register: it is passed in one, and a load of more than was stored waits for the store.
  std::int64_t line = 0;

  static constexpr Where here(const char* file = __builtin_FILE(), std::int64_t line = __builtin_LINE()) {
    return {file, line};
  }
  /// "model.cpp:31": the file's last path component and the line; "an unknown place" when empty.
  std::string text() const;
};

/// The base of everything the library throws. The text says what was found, where, and what to do.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// Shapes that do not fit each other or the op, or an axis or index out of range.
class ShapeError : public Error {
  using Error::Error;
};
/// Operands of different dtypes, or a dtype the op does not take.
class DtypeError : public Error {
  using Error::Error;
};
/// A misuse of the tape: a Variable of a finished tape, a second backward, a parameter no model lists.
class TapeError : public Error {
  using Error::Error;
};
/// An option or argument outside its range.
class ArgumentError : public Error {
  using Error::Error;
};
/// A file or text that cannot be read, decoded or written; the text names the file and the place in it.
class DataError : public Error {
  using Error::Error;
};
/// NaN or infinity where a finite number is needed; the text names the step and the op.
class NumericError : public Error {
  using Error::Error;
};

namespace detail {
/// The message after what the thread is in the middle of, if anything; see error_context.hpp.
std::string in_context(std::string message);
}  // namespace detail

/// Throws E with a text formatted by fmt: `fail<ShapeError>("matmul: {} against {}", a, b)`. Inside a module
/// the text begins with its path: "in LstmLm.head: matmul: ...".
template <class E, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw E(detail::in_context(fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace gradus
