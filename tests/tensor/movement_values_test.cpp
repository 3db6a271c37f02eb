#include <algorithm>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/positions.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

/// Every shape of interest in both dtypes.
template <class F>
void for_shapes(F check) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{5}, Shape{3, 4}, Shape{1, 3}, Shape{3, 0},
                               Shape{2, 3, 4}, Shape{2, 1, 3}, Shape{2, 3, 1, 4}}) {
      INFO(shape.text() << " of " << name_of(dtype));
      check(counting(shape, dtype, 1));
    }
  }
}

}  // namespace

TEST_CASE("flip, roll, transpose and repeat_interleave equal loops along every axis", "[movement]") {
  for_shapes([](const Tensor& x) {
    for (int axis = -x.rank(); axis < x.rank(); ++axis) {
      const int a = x.shape().normalize_axis(axis);
      const std::int64_t n = x.dim(a);
      const auto moved = [&](const Shape& shape, auto from) {
        return tabulate(shape, x.dtype(), [&](Position i) {
          i[u(a)] = from(i[u(a)]);
          return at(x, i);
        });
      };
      CHECK(identical(flip(x, {axis}), moved(x.shape(), [&](std::int64_t i) { return n - 1 - i; })));
      for (const std::int64_t shift : {0, 1, -1, 3, -7, 11}) {
        CHECK(identical(roll(x, shift, axis),
                        moved(x.shape(), [&](std::int64_t i) { return (((i - shift) % n) + n) % n; })));
      }
      for (const std::int64_t count : {0, 1, 3}) {
        CHECK(identical(repeat_interleave(x, count, axis),
                        moved(x.shape().with(a, n * count), [&](std::int64_t i) { return i / count; })));
      }
      const Shape turned = x.shape().with(a, x.dim(0)).with(0, n);
      CHECK(identical(transpose(x, axis, 0), tabulate(turned, x.dtype(), [&](Position i) {
                        std::swap(i[0], i[u(a)]);
                        return at(x, i);
                      })));
    }
    std::vector<std::int64_t> counts(u(x.rank()) + 1, 2);
    Shape shape{2};
    for (int a = 0; a < x.rank(); ++a) shape = shape.inserted(a + 1, 2 * x.dim(a));
    CHECK(identical(repeat(x, counts), tabulate(shape, x.dtype(), [&](Position i) {
                      i.erase(i.begin());
                      for (int a = 0; a < x.rank(); ++a) i[u(a)] %= x.dim(a);
                      return at(x, i);
                    })));
  });
}

TEST_CASE("slices with steps and open ends are Python's", "[movement]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Tensor x = counting({7, 2}, dtype, 1);
    const auto check = [&](const Slice& which, const std::vector<std::int64_t>& rows) {
      const Tensor wanted = tabulate({static_cast<std::int64_t>(rows.size()), 2}, dtype, [&](Position i) {
        return at(x, {rows[static_cast<std::size_t>(i[0])], i[1]});
      });
      CHECK(identical(slice(x, 0, which), wanted));
      CHECK(identical(slice(x, {which}), wanted));
      CHECK(identical(slice(transpose(x), -1, which), transpose(wanted)));
    };
    check({}, {0, 1, 2, 3, 4, 5, 6});
    check({.step = -1}, {6, 5, 4, 3, 2, 1, 0});
    check({.begin = 1, .end = -1, .step = 2}, {1, 3, 5});
    check({.step = 3}, {0, 3, 6});
    check({.step = 100}, {0});
    check({.begin = -2, .end = 0, .step = -2}, {5, 3, 1});
    check({.begin = 3, .step = -2}, {3, 1});
    check({.end = 4, .step = -1}, {6, 5});
    check({.begin = 7}, {});
    check({.begin = 3, .end = 3}, {});
  }
  const Tensor x = zeros({7, 2});
  CHECK_THROWS_WITH(slice(x, 0, Slice{.step = 0}), Contains("slice") && Contains("step of 0"));
  CHECK_THROWS_WITH(slice(x, 0, Slice{.end = 8}), Contains("end 8") && Contains("-7..7"));
  CHECK_THROWS_AS(slice(x, 0, Slice{.begin = 7, .step = -1}), ShapeError);
  CHECK_THROWS_AS(slice(x, 2, Slice{}), ShapeError);
  CHECK_THROWS_WITH(select(x, 0, -8), Contains("select: entry -8") && Contains("-7 to 6"));
}

TEST_CASE("pad fills, mirrors and repeats the ends", "[movement]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Tensor x = Tensor::of({1, 2, 3}, dtype);
    CHECK(pad(x, {{2, 1}}, {.value = -4}).text() == "[-4, -4, 1, 2, 3, -4]");
    CHECK(pad(x, {{2, 1}}, {.mode = PadMode::reflect}).text() == "[3, 2, 1, 2, 3, 2]");
    CHECK(pad(x, {{2, 3}}, {.mode = PadMode::replicate}).text() == "[1, 1, 1, 2, 3, 3, 3, 3]");
    CHECK(pad(zeros({0}, dtype), {{1, 1}}, {.value = 2}).text() == "[2, 2]");
    CHECK_THROWS_AS(pad(x, {{3, 0}}, {.mode = PadMode::reflect}), ShapeError);
    CHECK_THROWS_AS(pad(zeros({0}), {{1, 0}}, {.mode = PadMode::replicate}), ShapeError);
    CHECK_THROWS_AS(pad(x, {{-1, 0}}), ShapeError);
    CHECK_THROWS_AS(pad(x, {{1, 0}, {1, 0}}), ShapeError);
  }
}

TEST_CASE("diagonals and triangles take any offset", "[movement]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const Shape& shape : {Shape{3, 5}, Shape{4, 2}, Shape{2, 3, 4}, Shape{2, 2, 3, 3}, Shape{0, 3}}) {
      const Tensor x = counting(shape, dtype, 1);
      const int r = shape.rank();
      for (int offset = -6; offset <= 6; ++offset) {
        INFO(shape.text() << " offset " << offset);
        const auto triangle = [&](bool lower) {
          return tabulate(shape, dtype, [&](const Position& i) {
            const std::int64_t right = i[u(r - 1)] - i[u(r - 2)];
            return (lower ? right <= offset : right >= offset) ? at(x, i) : 0;
          });
        };
        CHECK(identical(tril(x, offset), triangle(true)));
        CHECK(identical(triu(x, offset), triangle(false)));
        const std::int64_t down = std::max(0, -offset), right = std::max(0, offset);
        const std::int64_t n = std::max<std::int64_t>(0, std::min(x.dim(-2) - down, x.dim(-1) - right));
        CHECK(identical(diagonal(x, {.offset = offset}),
                        tabulate(shape.erased(r - 1).with(r - 2, n), dtype, [&](Position i) {
                          const std::int64_t along = i.empty() ? 0 : i.back();
                          i.resize(u(r));
                          i[u(r - 2)] = along + down;
                          i[u(r - 1)] = along + right;
                          return at(x, i);
                        })));
      }
    }
  }
  CHECK_THROWS_AS(tril(zeros({3})), ShapeError);
  CHECK_THROWS_AS(diagonal(zeros({3, 3}), {.axis1 = 1, .axis2 = -1}), ShapeError);
}

TEST_CASE("split and chunk share rows, and refuse what does not fill the axis", "[movement]") {
  const Tensor x = counting({7, 2}, Dtype::f32, 1);
  const std::vector<Tensor> chunks = chunk(x, 3);
  REQUIRE(chunks.size() == 3);
  CHECK(chunks[2].shape() == Shape{1, 2});
  CHECK(chunks[1].data<float>() == x.data<float>() + 6);
  CHECK(identical(concat(chunks, 0), x));
  CHECK(split(x, {3, 0, 4})[1].size() == 0);
  CHECK_THROWS_AS(split(x, 2), ShapeError);
  CHECK_THROWS_AS(split(x, {3, 3}), ShapeError);
  CHECK(unsqueeze(x, -1).data<float>() == x.data<float>());
  CHECK(transpose(x.reshape({14, 1})).data<float>() == x.data<float>());
  CHECK_THROWS_AS(squeeze(x, 0), ShapeError);
}

TEST_CASE("a thousand parts on a tape each get their gradient", "[movement]") {
  Tape tape;
  std::vector<Variable> parts;
  for (int i = 0; i < 1000; ++i) parts.push_back(tape.watch(full({2}, i, Dtype::f64)));
  const Tensor weights = counting({1000, 2}, Dtype::f64, 1);
  const auto stacked = grad(sum(stack(parts) * Variable(weights)), parts);
  const auto joined = grad(sum(concat(parts, 0) * Variable(weights.reshape({2000}))), parts);
  for (std::size_t i = 0; i < 1000; ++i) {
    CHECK(identical(stacked[i].value(), weights[static_cast<std::int64_t>(i)]));
    CHECK(identical(joined[i].value(), weights[static_cast<std::int64_t>(i)]));
  }
  CHECK_THROWS_WITH(roll(parts[0], 1, 3), Contains("movement_values_test.cpp:") && Contains("axis 3"));
}

TEST_CASE("runs of every length are moved whole", "[movement]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (std::int64_t n = 1; n < 75; ++n) {
      INFO("runs of " << n << " of " << name_of(dtype));
      const Tensor x = counting({3, n}, dtype, 1), y = counting({3, 2, n}, dtype, 1);
      for (const std::int64_t shift : {std::int64_t{1}, n / 3, n - 1}) {
        CHECK(identical(roll(x, shift, 1), tabulate({3, n}, dtype, [&](Position i) {
                          i[1] = (i[1] - shift + n) % n;
                          return at(x, i);
                        })));
      }
      CHECK(identical(concat({x, x}, 1), tabulate({3, 2 * n}, dtype, [&](Position i) {
                        i[1] %= n;
                        return at(x, i);
                      })));
      CHECK(
          identical(index_select(y, 1, Indices({1, 0, 1}, {3})), tabulate({3, 3, n}, dtype, [&](Position i) {
                      i[1] = 1 - i[1] % 2;
                      return at(y, i);
                    })));
    }
  }
}

TEST_CASE("permute, concat and stack equal loops", "[movement]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const Shape& shape : {Shape{2, 3, 4}, Shape{1, 3, 2}, Shape{2, 0, 3}}) {
      const Tensor x = counting(shape, dtype, 1);
      CHECK(identical(permute(x, {-1, 0, 1}),
                      tabulate({shape[2], shape[0], shape[1]}, dtype, [&](const Position& i) {
                        return at(x, {i[1], i[2], i[0]});
                      })));
      for (int axis = -3; axis < 3; ++axis) {
        const int a = shape.normalize_axis(axis);
        CHECK(identical(concat({x, x}, axis), tabulate(shape.with(a, 2 * shape[a]), dtype, [&](Position i) {
                          i[u(a)] %= shape[a];
                          return at(x, i);
                        })));
        CHECK(identical(stack({x, x}, a), tabulate(shape.inserted(a, 2), dtype, [&](Position i) {
                          i.erase(i.begin() + a);
                          return at(x, i);
                        })));
      }
    }
  }
  CHECK_THROWS_WITH(concat({zeros({2}), zeros({2, 1})}, 0), Contains("part 1 of shape (2, 1)"));
  CHECK_THROWS_AS(concat({zeros({2}), zeros({2}, Dtype::f64)}, 0), DtypeError);
}
