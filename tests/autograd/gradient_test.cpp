#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "autograd/elementwise/derivatives.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"

using namespace gradus;
using Catch::Contains;
using namespace gradus::test;

namespace {

struct Totals {
  std::int64_t rows = 0, derivatives = 0;
  double largest = 0;
};

Totals check(const std::vector<GradientRow>& table) {
  Totals totals;
  for (const GradientRow& row : table) {
    Rng rng(7);  // a row's inputs do not depend on the rows before it
    for (const std::vector<Shape>& shapes : row.shapes) {
      INFO(text_of(row, shapes));
      const GradcheckResult result = gradcheck(row.call, draw(rng, shapes, row));
      INFO(result.message);
      CHECK(result.passed);
      ++totals.rows;
      totals.derivatives += result.checked;
      totals.largest = std::max(totals.largest, result.largest_error);
    }
  }
  return totals;
}

/// Whether a planted error was reached, and found by the sweep of Tape::backward and by the recorded one.
struct Planted {
  bool reached = false, by_backward = false, recorded = false;
};
/// The same derivative by both.
using Parts = std::array<GradcheckPart, 2>;

/// Plants an error in one input of a row's op, with each of its shapes until it is found by both.
void plant(const GradientRow& row, int input, Parts parts, Planted& out) {
  Rng rng(7);
  for (const std::vector<Shape>& shapes : row.shapes) {
    if (out.by_backward && out.recorded) return;
    const GradcheckResult result =
        gradcheck(row.call, draw(rng, shapes, row),
                  {.parts = {parts.begin(), parts.end()},
                   .plant = PlantedError{.op = row.op, .input = input, .error = 1e-4}});
    if (result.planted == 0) continue;
    out.reached = true;
    out.by_backward |= result.mismatches_in[static_cast<std::size_t>(parts[0])] > 0;
    out.recorded |= result.mismatches_in[static_cast<std::size_t>(parts[1])] > 0;
  }
}
/// In all rows of the op; one that only stands in the gradients of others is reached by the second order.
Planted plant(const std::vector<GradientRow>& rows, int input) {
  Planted out;
  for (const Parts parts : {Parts{GradcheckPart::backward, GradcheckPart::grad},
                            Parts{GradcheckPart::second, GradcheckPart::second_by_grad}}) {
    for (const GradientRow& row : rows) plant(row, input, parts, out);
    if (out.reached) break;
  }
  return out;
}

/// The gradients of a weighted sum of f, by backward; zeros where it does not depend on an input.
std::vector<Tensor> gradients(const GradientRow& row, const std::vector<Tensor>& inputs, Dtype dtype) {
  Tape tape;
  std::vector<Variable> watched;
  for (const Tensor& x : inputs) watched.push_back(tape.watch(x.to(dtype)));
  const Variable y = row.call(watched);
  CHECK(y.dtype() == dtype);
  const Variable loss = sum(y * Variable(Rng(3).uniform(y.shape(), 0.5, 1.5, Dtype::f64).to(dtype)));
  std::vector<Tensor> out;
  const Gradients found = loss.is_constant() ? Gradients() : tape.backward(loss);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    out.push_back(found.contains(watched[i]) ? found[watched[i]] : zeros(inputs[i].shape(), dtype));
  return out;
}

void report(const Totals& totals) {
  std::cout << "gradient checks: " << totals.rows << " cases, " << totals.derivatives
            << " derivatives of first and second order, largest relative error " << totals.largest << "\n";
}

/// The names given to record, and to formula, in the sources of a folder.
std::set<std::string> recorded_ops(const std::string& folder) {
  // record("neg", ...), record({"exp", where}, ...), formula("gelu", ...; or first InOp op("tril", where) and
  // then record(op, ...); and the op = "lstm" of a recurrent cell.
  const std::regex call(
      R"re(InOp op\("(\w+)"|(?:record|formula)\(\s*(?:(op\b)(?!\()|(?:\{|op\()?\s*"(\w+)")|\bop = "(\w+)")re");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source_dir() + "/" + folder)) {
    // Cells and activations are headers.
    const bool header = folder == "nn" || entry.path().filename() == "activations.hpp";
    if (entry.path().extension() != ".cpp" && !header) continue;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    const std::string source = text.str();
    std::string opened;
    for (std::sregex_iterator it(source.begin(), source.end(), call), end; it != end; ++it) {
      const std::smatch& found = *it;
      if (found[1].matched) opened = found[1];
      if (found[2].matched && !opened.empty()) names.insert(opened);
      for (const std::size_t name : {std::size_t{3}, std::size_t{4}}) {
        if (found[name].matched) names.insert(found[name]);
      }
    }
  }
  return names;
}
/// The ops that name themselves for errors: InOp op("median", where), or one of two names.
std::set<std::string> named_ops(const std::string& folder) {
  const std::regex opened(R"re(InOp \w+\((?:[^;"?]*\? )?"(\w+)"(?: : "(\w+)")?)re");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source_dir() + "/" + folder)) {
    if (entry.path().extension() != ".cpp" && entry.path().extension() != ".hpp") continue;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    const std::string source = text.str();
    for (std::sregex_iterator it(source.begin(), source.end(), opened), end; it != end; ++it) {
      for (const std::size_t name : {std::size_t{1}, std::size_t{2}})
        if ((*it)[name].matched) names.insert((*it)[name]);
    }
  }
  return names;
}
/// The elementwise functions that have a derivative: they are recorded by their rows.
std::set<std::string> recorded_functions() {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kernels::unary_count; ++i) {
    const auto op = static_cast<kernels::Unary>(i);
    if (detail::has_derivative(op)) names.insert(kernels::name_of(op));
  }
  for (std::size_t i = 0; i < kernels::binary_count; ++i) {
    const auto op = static_cast<kernels::Binary>(i);
    if (detail::has_derivative(op, 0) || detail::has_derivative(op, 1)) names.insert(kernels::name_of(op));
  }
  for (std::size_t i = 0; i < kernels::ternary_count; ++i) {
    const auto op = static_cast<kernels::Ternary>(i);
    for (int operand = 0; operand < 3; ++operand)
      if (detail::has_derivative(op, operand)) names.insert(kernels::name_of(op));
  }
  return names;
}

}  // namespace

TEST_CASE("every op and layer has first and second derivatives equal to central differences", "[gradient]") {
  const Totals totals = check(gradient_table());
  report(totals);
  CHECK(totals.derivatives > 1000);
}

TEST_CASE("an error of 1e-4 planted in any op's gradient is found, by backward and by recorded sweeps",
          "[gradient]") {
  std::map<std::string, std::vector<GradientRow>> rows_of;
  for (const GradientRow& row : gradient_table()) rows_of[row.op].push_back(row);
  std::set<std::string> recorded = recorded_ops("autograd");
  recorded.merge(recorded_ops("nn"));
  recorded.merge(recorded_functions());
  int planted = 0, by_backward = 0, recorded_too = 0;
  for (const auto& [op, rows] : rows_of) {
    int of_op = 0;
    for (int input = 0;; ++input) {
      const Planted one = plant(rows, input);
      if (!one.reached) break;
      INFO(op << ", input " << input);
      CHECK(one.by_backward);
      CHECK(one.recorded);
      ++of_op;
      by_backward += one.by_backward;
      recorded_too += one.recorded;
    }
    if (of_op == 0 && recorded.count(op) == 0) continue;  // composed of other ops, or a constant
    INFO(op << " was never reached");
    CHECK(of_op > 0);
    planted += of_op;
  }
  std::cout << "planted errors of 1e-4: " << rows_of.size() << " ops, " << planted
            << " inputs, found by backward: " << by_backward << ", by recorded sweeps: " << recorded_too
            << "\n";
}

TEST_CASE("every op's gradient in f32 is that in f64, rounded", "[gradient]") {
  for (const GradientRow& row : gradient_table()) {
    // One whose rows of two elements are not almost equal, as layer_norm divides by their distance.
    Rng rng(8);
    for (const std::vector<Shape>& shapes : row.shapes) {
      INFO(text_of(row, shapes));
      std::vector<Tensor> inputs;
      for (const Tensor& x : draw(rng, shapes, row)) inputs.push_back(x.to(Dtype::f32).to(Dtype::f64));
      const std::vector<Tensor> exact = gradients(row, inputs, Dtype::f64);
      const std::vector<Tensor> single = gradients(row, inputs, Dtype::f32);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        INFO("input " << i << ": " << single[i].text() << " and " << exact[i].text());
        CHECK(relative_difference(single[i], exact[i]) < 1e-3);
      }
    }
  }
}

TEST_CASE("an op without a row in the table of gradient checks fails", "[gradient]") {
  std::set<std::string> rows;
  for (const GradientRow& row : gradient_table()) rows.insert(row.op);
  std::set<std::string> ops = recorded_ops("autograd/ops");
  ops.merge(recorded_ops("nn"));
  ops.merge(named_ops("autograd/ops"));
  ops.merge(named_ops("nn"));
  ops.merge(recorded_functions());
  // What is recorded as another op, or has no derivative.
  for (const char* op :
       {"flatten", "squeeze", "unsqueeze", "chunk", "diag", "any", "all", "argmax", "argmin", "recurrent"})
    ops.erase(op);
  CHECK(ops.size() > 60);
  for (const std::string& op : ops) {
    INFO("add a row for " << op << " to tests/autograd/gradient_table/");
    CHECK(rows.count(op) == 1);
  }
}

TEST_CASE("gradcheck finds a wrong first and a wrong second derivative", "[gradient]") {
  const Tensor x = Tensor::of({0.5, -1.2, 2.0}, Dtype::f64);
  const auto wrong_first = [](std::span<const Variable> in) {
    const Variable& v = in[0];
    return record("wrong", sin(v.value()), wrt(v, [v](const Variable& g) { return g * cos(v) * 1.00001; }));
  };
  CHECK_FALSE(gradcheck(wrong_first, {x}).passed);
  // Right at first order, but the closure hides its dependence on v.
  const auto wrong_second = [](std::span<const Variable> in) {
    const Variable& v = in[0];
    return record("wrong", sin(v.value()),
                  wrt(v, [v](const Variable& g) { return g * Variable(cos(v.value())); }));
  };
  CHECK(gradcheck(wrong_second, {x}, {.second_order = false}).passed);
  const GradcheckResult result = gradcheck(wrong_second, {x});
  CHECK_FALSE(result.passed);
  CHECK(result.message.find("second") != std::string::npos);
}

TEST_CASE("gradcheck tells the part, the input, the element and both values of what is off most",
          "[gradient]") {
  const Tensor x = Tensor::of({1, 2, 3, 4, 5, 6}, Dtype::f64).reshape({2, 3});
  const Tensor y = Tensor::of({0.5, -1.2, 2.0}, Dtype::f64);
  // The gradient of y is off by 1% in its last element.
  const auto wrong = [](std::span<const Variable> in) {
    const Variable v = in[1];
    return in[0] * record("wrong", sin(v.value()), wrt(v, [v](const Variable& g) {
                            return g * cos(v) * Variable(Tensor::of({1, 1, 1.01}, Dtype::f64));
                          }));
  };
  const GradcheckResult result = gradcheck(wrong, {x, y});
  REQUIRE(result.worst);
  CHECK_FALSE(result.passed);
  CHECK(result.worst->input == 1);
  CHECK(result.worst->element == std::vector<std::int64_t>{2});
  CHECK(result.worst->analytic == Approx(1.01 * result.worst->numeric).epsilon(1e-3));
  CHECK(result.worst->error == Approx(0.01).epsilon(0.1));
  CHECK(result.mismatches > 1);
  for (const char* part : {"input 1", "shape (3,)", "element (2)", "by differences"})
    CHECK(result.message.find(part) != std::string::npos);
}

TEST_CASE("gradcheck tells a wrong fused form from a wrong differentiable one, by itself and by the jvp",
          "[gradient]") {
  const Tensor x = Tensor::of({0.5, -1.2, 2.0}, Dtype::f64);
  const auto op = [](double fused, double differentiable) {
    return [=](std::span<const Variable> in) {
      const Variable& v = in[0];
      return record("two_forms", sin(v.value()),
                    wrt(
                        v, [v, fused](const Tensor& g) { return g * cos(v.value()) * fused; },
                        [v, differentiable](const Variable& g) { return g * cos(v) * differentiable; }));
    };
  };
  CHECK(gradcheck(op(1, 1), {x}).passed);
  const GradcheckResult fused = gradcheck(op(1.0001, 1), {x}, {.second_order = false});
  REQUIRE(fused.worst);
  CHECK(fused.worst->part == GradcheckPart::backward);
  CHECK(gradcheck(op(1, 1.0001), {x}, {.second_order = false}).passed);
  const GradcheckResult differentiable = gradcheck(op(1, 1.0001), {x});
  CHECK(differentiable.mismatches == 7);  // grad, second and the jvp
}

TEST_CASE("the message of gradcheck begins with the part that is off", "[gradient]") {
  const Tensor x = Tensor::of({0.5, -1.2, 2.0}, Dtype::f64);
  const auto wrong = [](std::span<const Variable> in) {
    const Variable& v = in[0];
    return record("wrong", sin(v.value()), wrt(v, [v](const Variable& g) { return g * sin(v); }));
  };
  const std::pair<GradcheckPart, const char*> starts[] = {
      {GradcheckPart::backward, "backward derivative of input 0 (shape (3,)), element ("},
      {GradcheckPart::grad, "grad derivative of input 0 "},
      {GradcheckPart::second, "second derivative of input 0 "},
      {GradcheckPart::second_by_grad, "second by grad derivative of input 0 "},
      {GradcheckPart::jvp, "jvp along a random direction: "}};
  for (const auto& [part, start] : starts) {
    // The second derivative of what is wrong from the first on is compared with differences of the wrong
    // gradient, so there the closure hides what it depends on.
    const auto hides = [](std::span<const Variable> in) {
      const Variable& v = in[0];
      return record("wrong", sin(v.value()),
                    wrt(v, [v](const Variable& g) { return g * Variable(cos(v.value())); }));
    };
    const bool second = part == GradcheckPart::second || part == GradcheckPart::second_by_grad;
    const GradcheckOptions options{.parts = {part}};
    const GradcheckResult result = second ? gradcheck(hides, {x}, options) : gradcheck(wrong, {x}, options);
    CHECK_FALSE(result.passed);
    INFO(result.message);
    CHECK(result.message.rfind(start, 0) == 0);
    CHECK(result.mismatches_in[static_cast<std::size_t>(part)] == result.mismatches);
  }
}

TEST_CASE("gradcheck refuses inputs that are not f64", "[gradient]") {
  const auto f = [](std::span<const Variable> in) { return in[0] * in[1]; };
  CHECK_THROWS_WITH(gradcheck(f, {ones({2}, Dtype::f64), ones({2})}),
                    Contains("gradcheck") && Contains("f32") && Contains("must be f64"));
  CHECK_THROWS_AS(gradcheck(f, {ones({2}), ones({2})}), DtypeError);
}
