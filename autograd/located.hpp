#pragma once

#include <utility>

#include "tensor/support/error.hpp"

/// For ops: errors of the tensors beneath, told with the user's place.
namespace gradus {

/// Rethrows the current exception, an Error of any kind, with a text before its own.
[[noreturn]] void rethrow_after(const std::string& prefix);

/// What f() gives; an error thrown in it names the place: "at model.cpp:31: matmul: ...".
template <class F>
decltype(auto) located(Where where, F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const Error&) {
    rethrow_after("at " + where.text() + ": ");
  }
}

}  // namespace gradus
