#include "tests/support/xtensor.hpp"
#include "autograd/variable.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

TEST_CASE("a tensor is made from an xtensor expression, computed at once", "[xtensor]") {
  const xt::xarray<double> a{{1, 2, 3}, {4, 5, 6}};
  const Tensor x = from_xtensor(xt::transpose(a) * 2.0);
  CHECK(x.dtype() == Dtype::f64);
  CHECK(x.text() == "[[2, 8], [4, 10], [6, 12]]");
  const xt::xarray<float> b{1.5f, 2};
  CHECK(from_xtensor(b).dtype() == Dtype::f32);
}

TEST_CASE("a tensor lends its elements to xtensor, to read and to write", "[xtensor]") {
  Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
  CHECK(as_xtensor<float>(x)(1, 2) == 6);
  CHECK(static_cast<const void*>(as_xtensor<float>(x).data()) == x.data<float>());
  const Tensor copy = x;
  as_mutable_xtensor<float>(x)(0, 0) = 9;
  CHECK(x.at(0) == 9);
  CHECK(copy.at(0) == 1);
  CHECK_THROWS_AS(as_xtensor<double>(x), DtypeError);
  CHECK_THROWS_AS(as_mutable_xtensor<double>(x), DtypeError);
  as_mutable_xtensor<float>(x) = xt::xarray<float>{{1, 1, 1}, {2, 2, 2}} * 3;
  CHECK(x.text() == "[[3, 3, 3], [6, 6, 6]]");
  const xt::xarray<float> doubled = as_mutable_xtensor<float>(x) + as_xtensor<float>(x);
  CHECK(doubled(1, 0) == 12);
}

TEST_CASE("what is written through a view of xtensor reaches no copy that was made meanwhile", "[xtensor]") {
  Tensor x = ones({2, 2});
  {
    auto elements = as_mutable_xtensor<float>(x);
    const Tensor copy = x;
    elements(1, 1) = 7;
    CHECK(x.at(3) == 7);
    CHECK(copy.at(3) == 1);
    CHECK(x.lent());
  }
  CHECK_FALSE(x.lent());
  const Tensor copy = x;
  CHECK(copy.data<float>() == x.data<float>());
}

TEST_CASE("an xtensor array holds the elements that it shows", "[xtensor]") {
  const auto of_temporary = [] { return as_xtensor(arange(0, 6).reshape({2, 3})); };
  const auto elements = of_temporary();
  { const Tensor other = full({2, 3}, 9); }  // would take the memory, had it been given back
  CHECK(elements(1, 2) == 5);
  Tensor x = arange(0, 4);
  const auto before = as_xtensor(x);
  CHECK(static_cast<const void*>(before.data()) == x.data<float>());
  x += 1;
  CHECK(before(0) == 0);
  CHECK(x.at(0) == 1);
  const Variable v(ones({2, 2}, Dtype::f64));
  CHECK(as_xtensor<double>(v)(1, 1) == 1);
  CHECK(as_xtensor(Parameter(ones({2})))(1) == 1);
  CHECK(as_xtensor(Indices({3, 4, 5}))(2) == 5);
  CHECK(as_xtensor(Tensor::scalar(3))() == 3);
  CHECK(as_xtensor(zeros({0, 3})).size() == 0);
}

TEST_CASE("whole numbers of xtensor become ids, and a column-major array its own values", "[xtensor]") {
  const xt::xarray<std::int64_t> labels{{1, 2}, {3, 4}};
  const Indices ids = from_xtensor(labels + 1);
  CHECK(ids.shape() == Shape{2, 2});
  CHECK(ids.data()[3] == 5);
  const xt::xarray<std::int64_t> large{1, std::int64_t{1} << 31};
  CHECK_THROWS_WITH(from_xtensor(large), Contains("an id of 2147483648"));
  const xt::xarray<double, xt::layout_type::column_major> columns{{1, 2, 3}, {4, 5, 6}};
  CHECK(from_xtensor(columns).text() == "[[1, 2, 3], [4, 5, 6]]");
  CHECK(from_xtensor(xt::xarray<float>(2.5f)).shape() == Shape{});
  CHECK(from_xtensor(xt::xarray<float>::from_shape({2, 0})).shape() == Shape{2, 0});
}

TEST_CASE("an array of a tensor whose elements are lent shows what they were", "[xtensor]") {
  Tensor x = Tensor::of({1, 2, 3});
  auto written = as_mutable_xtensor(x);
  const auto read = as_xtensor(x);
  written(0) = 7;
  CHECK(read(0) == 1);
  CHECK(x.at(0) == 7);
}
