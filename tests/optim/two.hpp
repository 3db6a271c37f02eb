#pragma once

#include "autograd/members.hpp"

namespace gradus::test {

/// The smallest model that optimizers are tested on.
struct Two {
  Parameter a, b;
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("b", self.b);
  }
};

}  // namespace gradus::test
