#include "tests/support/xtensor.hpp"
#include "autograd/variable.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
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

namespace {
/// An allocator that counts, for an array of one's own.
template <class T>
struct Counting {
  using value_type = T;
  static inline int held = 0;
  Counting() = default;
  template <class Other>
  Counting(const Counting<Other>&) noexcept {}
  T* allocate(std::size_t count) {
    ++held;
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    --held;
    std::allocator<T>().deallocate(memory, count);
  }
  bool operator==(const Counting&) const { return true; }
};
}  // namespace

TEST_CASE("an xtensor array that is given up hands its elements over without a copy", "[xtensor]") {
  xt::xarray<float> a{{1, 2, 3}, {4, 5, 6}};
  const float* const elements = a.data();
  Tensor x = from_xtensor(std::move(a));
  CHECK(x.data<float>() == elements);
  CHECK(x.text() == "[[1, 2, 3], [4, 5, 6]]");
  CHECK(as_xtensor(x)(1, 2) == 6);
  // It is a tensor as any other: written in place where nobody shares it, and else copied first.
  x.mutable_values<float>()[0] = 7;
  CHECK(x.data<float>() == elements);
  const Tensor row = x[1], copy = x;
  x += 1;
  CHECK(x.text() == "[[8, 3, 4], [5, 6, 7]]");
  CHECK(copy.text() == "[[7, 2, 3], [4, 5, 6]]");
  CHECK(row.data<float>() == elements + 3);

  xt::xtensor<double, 2> b{{1, 2}, {3, 4}};
  const double* const numbers = b.data();
  const Tensor y = from_xtensor(std::move(b));
  CHECK(y.data<double>() == numbers);
  CHECK(matmul(y, y).text() == "[[7, 10], [15, 22]]");
}

TEST_CASE("the elements of an array end with the last tensor that shares them", "[xtensor]") {
  using Array = xt::xarray_container<xt::uvector<double, Counting<double>>, xt::layout_type::row_major,
                                     xt::dynamic_shape<std::size_t>>;
  {
    Array a = Array::from_shape({5, 3});
    a.fill(2);
    CHECK(Counting<double>::held == 1);
    Tensor rows;
    {
      const Tensor x = from_xtensor(std::move(a));
      rows = x.rows(1, 3);
    }
    CHECK(Counting<double>::held == 1);
    CHECK(sum(rows).item() == 12);
    CHECK(rows.dim(0) == 2);
  }
  CHECK(Counting<double>::held == 0);
  // Elements of others never serve for other tensors.
  const void* memory = nullptr;
  {
    Array a = Array::from_shape({64});
    memory = a.data();
    static_cast<void>(from_xtensor(std::move(a)));
  }
  CHECK(Counting<double>::held == 0);
  std::vector<Tensor> others;
  for (int i = 0; i < 20; ++i) {
    others.push_back(zeros({64}, Dtype::f64));
    CHECK(static_cast<const void*>(others.back().data<double>()) != memory);
  }
}

TEST_CASE("what is not an array of one's own in row-major order is copied", "[xtensor]") {
  xt::xarray<float, xt::layout_type::column_major> columns{{1, 2, 3}, {4, 5, 6}};
  const Tensor of_columns = from_xtensor(std::move(columns));
  CHECK(of_columns.text() == "[[1, 2, 3], [4, 5, 6]]");
  xt::xarray<float, xt::layout_type::dynamic> either(std::vector<std::size_t>{2, 2},
                                                     xt::layout_type::column_major);
  either(0, 0) = 1, either(0, 1) = 2, either(1, 0) = 3, either(1, 1) = 4;
  const Tensor of_either = from_xtensor(std::move(either));
  CHECK(of_either.text() == "[[1, 2], [3, 4]]");
  std::vector<float> values{1, 2, 3, 4};
  const Tensor adapted = from_xtensor(xt::adapt(values, std::vector<std::size_t>{2, 2}));
  values[0] = 9;
  CHECK(adapted.at(0) == 1);
  xt::xarray<float> kept{1, 2};
  const Tensor copy = from_xtensor(kept);
  kept(0) = 9;
  CHECK(copy.at(0) == 1);
  CHECK(from_xtensor(xt::xarray<double>(2.5)).item() == 2.5);
  CHECK(from_xtensor(xt::xarray<float>::from_shape({2, 0})).shape() == Shape{2, 0});
}

TEST_CASE("an array's elements at any address serve every op with the same bits", "[xtensor]") {
  // One element behind what an allocator aligns.
  Rng rng(4);
  struct Shifted final : storage::Keeper {
    std::vector<float> values;
  };
  const Tensor x = rng.normal({33, 17});
  const auto shifted = [&] {
    auto keeper = std::make_unique<Shifted>();
    keeper->values.resize(static_cast<std::size_t>(x.size()) + 1);
    std::copy_n(x.data<float>(), x.size(), keeper->values.data() + 1);
    float* const first = keeper->values.data() + 1;
    return Tensor::over(first, x.shape(), std::move(keeper));
  }();
  CHECK(identical(exp(shifted) * shifted + 1, exp(x) * x + 1));
  CHECK(identical(matmul(shifted, shifted, {.transpose_a = true}), matmul(x, x, {.transpose_a = true})));
  CHECK(identical(softmax(shifted, -1), softmax(x, -1)));
  CHECK(identical(sum(shifted, 0), sum(x, 0)));
  CHECK(identical(sort(shifted).values, sort(x).values));
  Tensor in_place = shifted;
  in_place += x;
  CHECK(identical(in_place, x + x));
}
