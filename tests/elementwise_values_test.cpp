#include <cmath>

#include "tensor/ops.hpp"
#include "tests/catch.hpp"

using namespace gradus;
using Catch::Contains;

TEST_CASE("in-place forms keep the left side's shape and other holders' values", "[elementwise]") {
  Tensor x = Tensor::of({1, 2, 4});
  const Tensor before = x;
  x += x;
  CHECK(x.text() == "[2, 4, 8]");
  x -= 1;
  x *= Tensor::of({2});
  const float* const buffer = x.data<float>();
  x /= Tensor::scalar(2);
  CHECK(x.text() == "[1, 3, 7]");
  CHECK(x.data<float>() == buffer);
  CHECK(before.text() == "[1, 2, 4]");
  x += x[0].reshape({1});  // a view of its own storage
  CHECK(x.text() == "[2, 4, 8]");
  CHECK_THROWS_WITH(x += zeros({2, 3}), Contains("(3,)") && Contains("(2, 3)") && Contains("x = x + y"));
  CHECK_THROWS_AS(x += zeros({3}, Dtype::f64), DtypeError);
  CHECK(x.text() == "[2, 4, 8]");
  Tensor undefined;
  CHECK_THROWS_AS(undefined += 1, ShapeError);
  CHECK_THROWS_AS(undefined + 1, ShapeError);
}

TEST_CASE("where and clamp choose, comparisons give masks", "[elementwise]") {
  const Tensor x = Tensor::of({-1, 0, 2});
  CHECK((x < 0).text() == "[1, 0, 0]");
  CHECK((x <= 0).text() == "[1, 1, 0]");
  CHECK((0 < x).text() == "[0, 0, 1]");
  CHECK((x > Tensor::of({-2, 0, 3})).text() == "[1, 0, 0]");
  CHECK((x >= 0).text() == "[0, 1, 1]");
  CHECK(not_equal(x, 0).text() == "[1, 0, 1]");
  CHECK(where(x > 0, log(x), -1).text() == "[-1, -1, 0.693147]");
  CHECK(where(Tensor::from(std::vector<float>{0, 1}, {2, 1}), x, 5).text() == "[[5, 5, 5], [-1, 0, 2]]");
  CHECK(clamp(x, -0.5, 1).text() == "[-0.5, 0, 1]");
  CHECK(clamp(x, 2, 1).text() == "[1, 1, 1]");
  CHECK(fma(x, 2, Tensor::from(std::vector<float>{0, 1}, {2, 1})).text() == "[[-2, 0, 4], [-1, 1, 5]]");
}
