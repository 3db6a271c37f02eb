#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"

namespace gradus::test {

/// How far values and gradients may be from PyTorch's, relative to max(1, |value|).
struct TorchTolerance {
  double f64 = 1e-12, f32 = 1e-5;
};

/// Compares f with a case of tests/fixtures/make_linalg_fixtures.py: its value, and the gradient of the sum
/// of its value times w, with respect to each of the named inputs; in f64 and f32.
inline void check_torch_case(const std::string& name, const std::vector<std::string>& names,
                             const std::function<Variable(std::span<const Variable>)>& f,
                             TorchTolerance tolerance = {}) {
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    INFO(name << " in " << name_of(dtype));
    const double allowed = dtype == Dtype::f64 ? tolerance.f64 : tolerance.f32;
    Tape tape;
    std::vector<Variable> inputs;
    for (const std::string& input : names)
      inputs.push_back(tape.watch(fixture(name + "/" + input).to(dtype)));
    const Variable out = f(inputs);
    CHECK(out.dtype() == dtype);
    CHECK(difference(out.value().to(Dtype::f64), fixture(name + "/out")) < allowed);
    const Gradients gradients = tape.backward(sum(out * Variable(fixture(name + "/w").to(dtype))));
    for (std::size_t i = 0; i < names.size(); ++i) {
      INFO("gradient of " << names[i]);
      CHECK(difference(gradients[inputs[i]].to(Dtype::f64), fixture(name + "/d_" + names[i])) < allowed);
    }
  }
}

}  // namespace gradus::test
