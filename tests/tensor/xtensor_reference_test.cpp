#include "tests/tensor/xtensor_reference.hpp"

#include <cmath>
#include <fstream>
#include <numbers>
#include <regex>
#include <set>
#include <sstream>

#include "tests/support/function_rows.hpp"
#include "tests/support/paths.hpp"

// Every op of tensors that works element by element, reduces, moves, sorts or accumulates, beside the same in
// xtensor. The rows of the last three are in xtensor_moves_test.cpp.

using namespace gradus;
using namespace gradus::test;

namespace {

/// What f gives of the array and the axes, where there are elements; else the reduced shape, full of
/// `of_nothing`. (xtensor 0.24 reads and writes out of bounds in reductions of nothing, and in those done at
/// once.)
template <class F>
X reduced(const X& x, const Sizes& axes, double of_nothing, F f) {
  if (axes.empty()) return x;
  if (x.size() > 0) return f();
  Sizes left;
  for (std::size_t i = 0; i < x.dimension(); ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) left.push_back(x.shape()[i]);
  return X(xt::ones<double>(left) * of_nothing);
}
X sums(const X& x, const Sizes& axes) {
  return reduced(x, axes, 0, [&]() -> X { return xt::sum<double>(x, axes); });
}
double count_of(const X& x, const Sizes& axes) {
  double count = 1;
  for (const std::size_t axis : axes) count *= static_cast<double>(x.shape()[axis]);
  return count;
}
/// The deviations from the mean along the axes, squared and summed.
X squared_deviations(const X& x, const Sizes& axes) {
  X mean = sums(x, axes) / count_of(x, axes);
  Sizes kept(x.shape().begin(), x.shape().end());
  for (const std::size_t axis : axes) kept[axis] = 1;
  mean.reshape(kept);
  return sums(xt::square(x - mean), axes);
}
X largest(const X& x, const Sizes& axes) {
  return reduced(x, axes, 0, [&]() -> X { return xt::amax<double>(x, axes); });
}

}  // namespace

namespace gradus::test {

ReferenceRows reduction_reference() {
  ReferenceRows rows;
  const auto reduce = [&](const char* name, bool of_nothing, auto op, auto reference) {
    add_reduction(rows, name, of_nothing, op, reference);
  };
  using A = const Axes&;
  using T = const Tensor&;
  reduce(
      "sum", true, [](T x, A a, bool k) { return sum(x, a, k); }, sums);
  reduce(
      "mean", true, [](T x, A a, bool k) { return mean(x, a, k); },
      [](const X& x, const Sizes& axes) -> X { return sums(x, axes) / count_of(x, axes); });
  reduce(
      "prod", true, [](T x, A a, bool k) { return prod(x, a, k); },
      [](const X& x, const Sizes& axes) {
        return reduced(x, axes, 1, [&]() -> X { return xt::prod<double>(x, axes); });
      });
  reduce(
      "max", false, [](T x, A a, bool k) { return max(x, a, k); }, largest);
  reduce(
      "min", false, [](T x, A a, bool k) { return min(x, a, k); },
      [](const X& x, const Sizes& axes) -> X { return -largest(-x, axes); });
  reduce(
      "var", true, [](T x, A a, bool k) { return var(x, a, {.correction = 0, .keepdims = k}); },
      [](const X& x, const Sizes& axes) -> X { return squared_deviations(x, axes) / count_of(x, axes); });
  reduce(
      "stddev", true, [](T x, A a, bool k) { return stddev(x, a, {.correction = 0, .keepdims = k}); },
      [](const X& x, const Sizes& axes) -> X {
        return xt::sqrt(squared_deviations(x, axes) / count_of(x, axes));
      });
  reduce(
      "norm", true, [](T x, A a, bool k) { return norm(x, a, {.keepdims = k}); },
      [](const X& x, const Sizes& axes) -> X { return xt::sqrt(sums(xt::square(x), axes)); });
  reduce(
      "logsumexp", true, [](T x, A a, bool k) { return logsumexp(x, a, k); },
      [](const X& x, const Sizes& axes) -> X { return xt::log(sums(xt::exp(x), axes)); });
  reduce(
      "any", true, [](T x, A a, bool k) { return any(x, a, k); },
      [](const X& x, const Sizes& axes) -> X {
        return xt::cast<double>(sums(xt::cast<double>(xt::not_equal(x, 0.0)), axes) > 0.0);
      });
  reduce(
      "all", true, [](T x, A a, bool k) { return all(x, a, k); },
      [](const X& x, const Sizes& axes) -> X {
        return xt::cast<double>(xt::equal(sums(xt::cast<double>(xt::equal(x, 0.0)), axes), 0.0));
      });
  const auto position = [&](const char* name, bool of_largest) {
    rows.push_back({name, [of_largest](Rng& rng, const Shape& shape) {
                      const Tensor x = rng.normal(shape, 0, 1, Dtype::f64);
                      // Of a matrix at least: xtensor's argmax (0.24) of a vector along an axis is its
                      // argmin.
                      const X values = array_of(unsqueeze(of_largest ? x : -x, 0));
                      for (int axis = 0; axis < shape.rank(); ++axis) {
                        if (shape.size() == 0) continue;
                        const xt::xarray<std::size_t> ids = xt::argmax(values, axis + 1);
                        const X wanted = xt::cast<double>(ids);
                        check_equal(as_numbers(of_largest ? argmax(x, axis) : argmin(x, axis))
                                        .reshape(shape.erased(axis).inserted(0, 1)),
                                    tensor_of(wanted));
                      }
                    }});
  };
  position("argmax", true);
  position("argmin", false);
  rows.push_back({"broadcast_to", [](Rng& rng, const Shape& shape) {
                    const Tensor x = rng.normal(draw_other(rng, shape), 0, 1, Dtype::f64);
                    check_equal(broadcast_to(x, shape),
                                tensor_of(xt::broadcast(array_of(x), detail::dims_of(shape))));
                  }});
  rows.push_back({"sum_to", [](Rng& rng, const Shape& shape) {
                    const Shape to = draw_other(rng, shape);
                    const Tensor x = rng.normal(shape, 0, 1, Dtype::f64);
                    Sizes axes;
                    for (int i = 0; i < shape.rank(); ++i) {
                      const int in_to = i - (shape.rank() - to.rank());
                      if (in_to < 0 || (to[in_to] == 1 && shape[i] != 1)) axes.push_back(u(i));
                    }
                    check_equal(sum_to(x, to), tensor_of(sums(array_of(x), axes)).reshape(to));
                  }});
  return rows;
}

ReferenceRows elementwise_reference() {
  ReferenceRows rows;
  for (const FunctionRow& row : function_rows()) {
    // digamma is polygamma of order 0.
    const std::string name = row.name == "digamma" ? "polygamma" : row.name;
    if (row.is_composed && name != "polygamma" && name != "sinc") continue;
    rows.push_back({name, [&row](Rng& rng, const Shape& shape) {
                      const auto draw = [&](const Shape& of) {
                        return rng.uniform(of, std::max(row.range.low, 0.1), row.range.high, Dtype::f64);
                      };
                      const Tensor a = draw(shape), b = draw(draw_other(rng, shape));
                      const auto exact = [&](double x, double y) {
                        return static_cast<double>(row.exact(x, y));
                      };
                      const X first = array_of(a), second = array_of(b);
                      if (row.operands == 1) {
                        const X wanted = xt::vectorize([&](double x) { return exact(x, 0); })(first);
                        check_equal(row.on_tensors(std::array{a}), tensor_of(wanted));
                      } else {
                        const X wanted = xt::vectorize(exact)(first, second);
                        check_equal(row.on_tensors(std::array{a, b}), tensor_of(wanted));
                      }
                    }});
  }
  const auto gate = [](double x) {
    return 1 / (1 + std::exp(-2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  };
  using T = const Tensor&;
  add_plain(
      rows, "gelu_gate", 0, [](T x) { return gelu_gate(x); },
      [gate](const X& x) -> X { return xt::vectorize(gate)(x); });
  add_plain(
      rows, "gelu_gate_slope", 0, [](T x) { return gelu_gate_slope(x); },
      [gate](const X& x) -> X {
        const double c = 2 * std::sqrt(2 / std::numbers::pi);
        const auto slope = [gate, c](double v) {
          return gate(v) * (1 - gate(v)) * c * (1 + 3 * 0.044715 * v * v);
        };
        return xt::vectorize(slope)(x);
      });
  const auto three = [&](const char* name, auto op, double (*reference)(double, double, double)) {
    rows.push_back({name, [op, reference](Rng& rng, const Shape& shape) {
                      const auto draw = [&](const Shape& of) { return rng.normal(of, 0, 1, Dtype::f64); };
                      const Tensor a = draw(draw_other(rng, shape)), b = draw(shape);
                      const Tensor c = b + abs(draw(draw_other(rng, shape)));
                      const X wanted = xt::vectorize(reference)(array_of(a), array_of(b), array_of(c));
                      check_equal(op(a, b, c), tensor_of(wanted));
                    }});
  };
  three(
      "fma", [](T a, T b, T c) { return fma(a, b, c); },
      [](double a, double b, double c) { return a * b + c; });
  three(
      "where", [](T a, T b, T c) { return where(greater(a, 0), b, c); },
      [](double a, double b, double c) { return a > 0 ? b : c; });
  const auto clipped = [](double a, double b, double c) { return std::min(std::max(a, b), c); };
  three(
      "clamp", [](T a, T b, T c) { return clamp(a, b, c); }, clipped);
  three(
      "clamp_flat", [](T a, T b, T c) { return clamp_flat(a, b, c); }, clipped);
  three(
      "within", [](T a, T b, T c) { return within(a, b, c); },
      [](double a, double b, double c) { return b <= a && a <= c ? 1.0 : 0.0; });
  three(
      "inside", [](T a, T b, T c) { return inside(a, b, c); },
      [](double a, double b, double c) { return b < a && a < c ? 1.0 : 0.0; });
  return rows;
}

}  // namespace gradus::test

namespace {

/// The functions that a header of tensor/ops declares for users.
std::set<std::string> declared_ops(const std::string& header) {
  std::ifstream file(source_dir() + "/tensor/ops/" + header + ".hpp");
  std::stringstream text;
  text << file.rdbuf();
  const std::string inner = "namespace detail {", end = "}  // namespace detail";
  std::string source = text.str();
  for (std::size_t at = 0; (at = source.find(inner)) != source.npos;)
    source.erase(at, source.find(end, at) + end.size() - at);
  const std::regex declaration(R"(\n(?:Tensor|Indices|void|std::vector<Tensor>|Sorted<Tensor>) (\w+)\()");
  std::set<std::string> names;
  for (std::sregex_iterator it(source.begin(), source.end(), declaration), last; it != last; ++it)
    names.insert((*it)[1]);
  return names;
}

void check_rows(const ReferenceRows& rows) {
  for (const ReferenceRow& row : rows) {
    Rng rng(11);
    for (int i = 0; i < 20; ++i) {
      const Shape shape = draw_shape(rng, i % 5);
      INFO(row.name << " of shape " << shape);
      row.check(rng, shape);
    }
  }
}

}  // namespace

TEST_CASE("elementwise ops equal xtensor's broadcasting over random shapes", "[xtensor][reference]") {
  check_rows(elementwise_reference());
}
TEST_CASE("reductions equal xtensor's over random shapes and axes", "[xtensor][reference]") {
  check_rows(reduction_reference());
}
TEST_CASE("moves equal xtensor's over random shapes and axes", "[xtensor][reference]") {
  check_rows(movement_reference());
}
TEST_CASE("sorting equals xtensor's over random shapes and axes", "[xtensor][reference]") {
  check_rows(sorting_reference());
}
TEST_CASE("running sums and products equal xtensor's over random shapes and axes", "[xtensor][reference]") {
  check_rows(cumulative_reference());
}

TEST_CASE("an op of these families without a row beside xtensor fails", "[xtensor][reference]") {
  std::set<std::string> ops;
  for (const char* header : {"reduction", "movement", "sorting", "cumulative", "quantile", "logcumsumexp"})
    ops.merge(declared_ops(header));
  CHECK(ops.size() > 45);
  for (std::size_t i = 0; i < kernels::unary_count; ++i)
    ops.insert(kernels::name_of(static_cast<kernels::Unary>(i)));
  for (std::size_t i = 0; i < kernels::binary_count; ++i)
    ops.insert(kernels::name_of(static_cast<kernels::Binary>(i)));
  for (std::size_t i = 0; i < kernels::ternary_count; ++i)
    ops.insert(kernels::name_of(static_cast<kernels::Ternary>(i)));
  std::set<std::string> rows;
  for (const ReferenceRows& of : {elementwise_reference(), reduction_reference(), movement_reference(),
                                  sorting_reference(), cumulative_reference()})
    for (const ReferenceRow& row : of) rows.insert(row.name);
  for (const std::string& op : ops) {
    INFO("add a row for " << op << " to tests/tensor/xtensor_reference_test.cpp");
    CHECK(rows.count(op) == 1);
  }
}
