#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <set>
#include <sstream>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/catch.hpp"
#include "tests/gradient_table/gradient_table.hpp"
#include "tests/paths.hpp"

using namespace gradus;
using namespace gradus::test;

namespace {

Tensor draw(Rng& rng, const Shape& shape, const GradientRow& row) {
  Tensor x = rng.uniform(shape, row.range.low, row.range.high, Dtype::f64);
  double* values = x.mutable_data<double>();
  for (std::int64_t i = 0; i < x.size(); ++i) {
    if (std::abs(values[i]) < row.range.gap)
      values[i] = values[i] < 0 ? values[i] - row.range.gap : values[i] + row.range.gap;
    if (row.distinct) values[i] = 0.5 + 0.1 * static_cast<double>((i * 7) % 29);
  }
  return x;
}

struct Totals {
  std::int64_t rows = 0, derivatives = 0;
  double largest = 0;
};

Totals check(const std::vector<GradientRow>& table) {
  Totals totals;
  Rng rng(7);
  for (const GradientRow& row : table) {
    for (const std::vector<Shape>& shapes : row.shapes) {
      std::vector<Tensor> inputs;
      std::string text = row.op;
      for (const Shape& shape : shapes) {
        inputs.push_back(draw(rng, shape, row));
        text += " " + shape.text();
      }
      INFO(text);
      const GradcheckResult result = gradcheck(row.call, inputs);
      INFO(result.message);
      CHECK(result.passed);
      ++totals.rows;
      totals.derivatives += result.checked;
      totals.largest = std::max(totals.largest, result.largest_error);
    }
  }
  return totals;
}

void report(const Totals& totals) {
  std::cout << "gradient checks: " << totals.rows << " cases, " << totals.derivatives
            << " derivatives of first and second order, largest relative error " << totals.largest << "\n";
}

/// The names given to record in the sources of a folder.
std::set<std::string> recorded_ops(const std::string& folder) {
  // record({"exp", where}, ...), record("neg", ...), record(op_at("where", a), ...) and, for what is recorded
  // by a rule of autograd/elementwise/, record_unary<Unary::exp>("exp", ...), record_traced({"gelu", ...
  const std::regex call(R"re(record(?:_\w+)?(?:<[\w:]+>)?\(\s*(?:\{|op\(|op_at\()?\s*"(\w+)")re");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source_dir() + "/" + folder)) {
    if (entry.path().extension() != ".cpp") continue;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    const std::string source = text.str();
    for (std::sregex_iterator it(source.begin(), source.end(), call), end; it != end; ++it)
      names.insert((*it)[1]);
  }
  return names;
}

}  // namespace

TEST_CASE("every op and layer has first and second derivatives equal to central differences", "[gradient]") {
  const Totals totals = check(gradient_table());
  report(totals);
  CHECK(totals.derivatives > 1000);
}

TEST_CASE("an op without a row in the table of gradient checks fails", "[gradient]") {
  std::set<std::string> rows;
  for (const GradientRow& row : gradient_table()) rows.insert(row.op);
  std::set<std::string> ops = recorded_ops("autograd/ops");
  ops.merge(recorded_ops("nn"));
  CHECK(ops.size() > 60);
  for (const std::string& op : ops) {
    INFO("add a row for " << op << " to tests/gradient_table/");
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
