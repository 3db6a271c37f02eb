#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/members.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/paths.hpp"

namespace gradus::test {

/// The results of a call, under their names in the fixture.
using NamedResults = std::vector<std::pair<std::string, Variable>>;

inline Indices fixture_ids(const std::string& name) {
  return load_npy_indices(source_dir() + "/tests/fixtures/" + name + ".npy");
}

/// Compares a module with a case of tests/fixtures/make_recurrent_fixtures.py, in f64 and f32: the results of
/// call(module, inputs), and the gradients of the sum of all of them times their w_NAME with respect to the
/// inputs and to all parameters.
template <class M, class Call>
void check_torch_module(const std::string& name, const M& made, const std::vector<std::string>& input_names,
                        const Call& call) {
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    INFO(name << " in " << name_of(dtype));
    const double allowed = dtype == Dtype::f64 ? 1e-12 : 1e-5;
    const auto value = [&](const std::string& array) { return fixture(name + "/" + array).to(dtype); };
    const auto compare = [&](const Tensor& found, const std::string& array) {
      INFO(array);
      CHECK(found.dtype() == dtype);
      // A scalar is written as (1,).
      CHECK(difference(found.to(Dtype::f64), fixture(name + "/" + array).reshape(found.shape())) < allowed);
    };
    M module = made;
    for_each_parameter(module, [&](const std::string& path, Parameter& parameter) {
      INFO(path);
      REQUIRE(value(path).shape() == parameter.shape());
      parameter.mutable_value() = value(path);
    });
    Tape tape;
    std::vector<Variable> inputs;
    for (const std::string& input : input_names) inputs.push_back(tape.watch(value(input)));
    Variable total(Tensor::scalar(0, dtype));
    for (const auto& [result, y] : NamedResults(call(std::as_const(module), inputs))) {
      compare(y.value(), result);
      total = total + sum(y * Variable(value("w_" + result).reshape(y.shape())));
    }
    const Gradients gradients = tape.backward(total);
    for (std::size_t i = 0; i < inputs.size(); ++i) compare(gradients[inputs[i]], "d_" + input_names[i]);
    for_each_parameter(module, [&](const std::string& path, const Parameter& parameter) {
      compare(gradients[parameter], "d_" + path);
    });
  }
}

/// For functions without parameters.
struct NoModule {
  static void members(auto&, auto&&) {}
};

}  // namespace gradus::test
