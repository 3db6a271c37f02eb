#pragma once

#include "tensor/support/error.hpp"

namespace gradus {

/// An op's name and the place in the user's code that called it.
struct Op {
  const char* name;
  Where where;
  Op(const char* op_name, Where called_at = Where::here()) : name(op_name), where(called_at) {}
};

}  // namespace gradus
