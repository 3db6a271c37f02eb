// xtensor's headers do not keep to the conversions that the project's warnings ask for.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include "tensor/xtensor.hpp"
#pragma GCC diagnostic pop

#include "tests/support/catch.hpp"

using namespace gradus;

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
  CHECK(view<float>(x)(1, 2) == 6);
  CHECK(static_cast<const void*>(view<float>(x).data()) == x.data<float>());
  const Tensor copy = x;
  mutable_view<float>(x)(0, 0) = 9;
  CHECK(x.at(0) == 9);
  CHECK(copy.at(0) == 1);
  CHECK_THROWS_AS(view<double>(x), DtypeError);
  CHECK_THROWS_AS(mutable_view<double>(x), DtypeError);
  mutable_view<float>(x) = xt::xarray<float>{{1, 1, 1}, {2, 2, 2}} * 3;
  CHECK(x.text() == "[[3, 3, 3], [6, 6, 6]]");
  const xt::xarray<float> doubled = mutable_view<float>(x) + view<float>(x);
  CHECK(doubled(1, 0) == 12);
}

TEST_CASE("what is written through a view of xtensor reaches no copy that was made meanwhile", "[xtensor]") {
  Tensor x = ones({2, 2});
  {
    auto elements = mutable_view<float>(x);
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
