#pragma once

#include "tensor/kernels/instruction_set.hpp"
#include "tests/support/catch.hpp"

namespace gradus::test {

/// Runs a check with every instruction set this machine has, and goes back to the best, which is the last.
template <class Check>
void for_every_instruction_set(Check&& check) {
  for (const char* name : kernels::available_instruction_sets()) {
    kernels::use_instruction_set(name);
    INFO(name);
    check();
  }
}

}  // namespace gradus::test
