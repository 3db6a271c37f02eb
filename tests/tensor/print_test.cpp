#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

namespace {

template <class T>
std::string printed(const T& x) {
  std::ostringstream to;
  to << x;
  CHECK(fmt::format("{}", x) == to.str());
  return to.str();
}

}  // namespace

TEST_CASE("a tensor is printed a row a line, with its shape and dtype", "[tensor][print]") {
  CHECK(printed(Tensor::of({1, -2.5, 300})) == "[   1, -2.5,  300] (3,) f32");
  CHECK(printed(Tensor::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {2, 3})) ==
        "[[1, 2, 3],\n"
        " [4, 5, 6]] (2, 3) f64");
  CHECK(printed(arange(0, 8).reshape({2, 2, 2})) ==
        "[[[0, 1],\n"
        "  [2, 3]],\n"
        "\n"
        " [[4, 5],\n"
        "  [6, 7]]] (2, 2, 2) f32");
  CHECK(printed(Indices({5, 10, 7, 8}, {2, 2})) ==
        "[[ 5, 10],\n"
        " [ 7,  8]] (2, 2) indices");
  CHECK(printed(Shape{2, 3}) == "(2, 3)");
}

TEST_CASE("scalars, empty and undefined tensors, and numbers that are none, are printed", "[tensor][print]") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK(printed(Tensor::scalar(2.5)) == "2.5");
  CHECK(printed(Tensor::scalar(1.0 / 3)) == "0.333333");
  CHECK(printed(Tensor::scalar(1.0 / 3, Dtype::f64)) == "0.33333333");
  CHECK(printed(Tensor::scalar(1e-30, Dtype::f64)) == "1e-30");
  CHECK(printed(Tensor()) == "undefined");
  CHECK(printed(zeros(0)) == "[] (0,) f32");
  CHECK(printed(zeros({2, 0, 3}, Dtype::f64)) == "[] (2, 0, 3) f64");
  CHECK(printed(Indices()) == "[] (0,) indices");
  CHECK(printed(Indices({7})[0]) == "7");
  CHECK(printed(Tensor::of({NAN, infinity, -infinity, -0.0})) == "[ nan,  inf, -inf,   -0] (4,) f32");
}

TEST_CASE("of a large tensor the ends of each axis are printed", "[tensor][print]") {
  CHECK(printed(arange(0, 1001)) == "[   0,    1,    2, ...,  998,  999, 1000] (1001,) f32");
  CHECK(printed(arange(0, 400 * 4).reshape({400, 4})) ==
        "[[   0,    1,    2,    3],\n"
        " [   4,    5,    6,    7],\n"
        " [   8,    9,   10,   11],\n"
        " ...,\n"
        " [1588, 1589, 1590, 1591],\n"
        " [1592, 1593, 1594, 1595],\n"
        " [1596, 1597, 1598, 1599]] (400, 4) f32");
  const std::string all = printed(arange(0, 1000));
  CHECK(all.find("...") == all.npos);
  CHECK(all.find(" 500,") != all.npos);
  // Long rows are broken.
  for (std::size_t begin = 0, end = 0; end != all.npos; begin = end + 1) {
    end = all.find('\n', begin);
    CHECK(std::min(end, all.size()) - begin <= 120);
  }
  CHECK(printed(arange(0, 30)).find("\n ") != all.npos);
  CHECK(printed(zeros({1 << 15, 1 << 10})).size() < 1000);
}
