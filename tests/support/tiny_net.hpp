#pragma once

#include "autograd/ops/elementwise.hpp"
#include "nn/linear.hpp"

namespace gradus::test {

/// The 2-16-16-1 network that what a small model costs is measured with.
struct TinyNet {
  nn::Linear first, second, third;
  explicit TinyNet(Rng& rng) : first(rng, 2, 16), second(rng, 16, 16), third(rng, 16, 1) {}
  Variable operator()(const Variable& x) const { return third(tanh(second(tanh(first(x))))); }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("second", self.second);
    visit("third", self.third);
  }
};

}  // namespace gradus::test
