#include "autograd/ops/decompositions.hpp"

#include <cmath>
#include <limits>

#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

using Xs = std::span<const Variable>;
const double infinity = std::numeric_limits<double>::infinity(), not_a_number = std::nan("");

Variable squares(const std::vector<Variable>& parts) {
  std::vector<Variable> flat;
  for (const Variable& part : parts) flat.push_back(flatten(square(part)));
  return concat(flat, 0);
}
double largest(const Tensor& x) {
  return x.size() == 0 ? 0 : max(abs(x)).item();
}
/// How far the columns of x are from orthonormal.
double skewness(const Tensor& x) {
  return largest(matmul(x, x, {.transpose_a = true}) - eye(x.dim(-1), x.dtype()));
}
/// Whether the element of largest size in each column is positive.
bool signs_fixed(const Tensor& x) {
  const Tensor highest = max(x, {-2}), size = max(abs(x), {-2});
  return identical(highest, size);
}

}  // namespace

TEST_CASE("decompositions' values and gradients are PyTorch's for every instruction set",
          "[decompositions]") {
  for_every_instruction_set([] {
    for (const std::string shape : {"square", "tall", "wide"}) {
      check_torch_case("svd_" + shape, {"a"}, [](Xs x) {
        const auto [u, s, vt] = svd(x[0]);
        return squares({u, s, vt});
      });
      check_torch_case("qr_" + shape, {"a"}, [](Xs x) {
        const auto [q, r] = qr(x[0]);
        return squares({q, r});
      });
      check_torch_case("lstsq_" + shape, {"a", "b"}, [](Xs x) { return lstsq(x[0], x[1]); });
    }
    check_torch_case("svd_values", {"a"}, [](Xs x) { return svd(x[0]).s; });
    check_torch_case("eigh", {"a"}, [](Xs x) {
      const auto [values, vectors] = eigh(x[0] + transpose(x[0]));
      return squares({values, vectors});
    });
  });
}

TEST_CASE("factors multiply back, are orthonormal, in order and of fixed signs, at every shape",
          "[decompositions]") {
  Rng rng(2);
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const double epsilon =
        dtype == Dtype::f32 ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon();
    const double most = dtype == Dtype::f32 ? 2e-5 : 2e-13;
    for (const Shape& shape :
         {Shape{1, 1}, Shape{5, 5}, Shape{40, 7}, Shape{7, 40}, Shape{1, 4}, Shape{4, 1}, Shape{30, 30},
          Shape{3, 2, 4, 3}, Shape{2, 0, 3, 3}, Shape{0, 3}, Shape{3, 0}}) {
      INFO(shape << " " << name_of(dtype));
      const Tensor a = rng.normal(shape, 0, 1, dtype);
      const std::int64_t k = std::min(shape[-2], shape[-1]);
      const auto [u, s, vt] = svd(a);
      // As the tests of LAPACK measure errors (LAPACK Working Note 41): in units of the longer side's
      // roundings, those of a product relative to its norm. They allow 30 units.
      const double of_factors = 2 * epsilon * static_cast<double>(std::max(shape[-2], shape[-1]));
      const auto of_product = [&](const Tensor& sizes) {
        return std::min(most, of_factors * largest(sizes));
      };
      CHECK(u.shape() == shape.with(-1, k));
      CHECK(vt.shape() == shape.with(-2, k));
      CHECK(largest(matmul(u * unsqueeze(s, -2), vt) - a) <= of_product(s));
      CHECK(skewness(u) <= of_factors);
      CHECK(skewness(transpose(vt)) <= of_factors);
      CHECK(s.shape() == shape.erased(-1).with(-1, k));
      const auto [q, r] = qr(a);
      CHECK(largest(matmul(q, r) - a) <= of_product(s));
      CHECK(skewness(q) <= of_factors);
      CHECK(identical(r, triu(r)));
      if (s.size() > 0) {
        CHECK(signs_fixed(u));
        CHECK(min(s).item() >= 0);
        CHECK(min(diagonal(r)).item() >= 0);
        if (k > 1) CHECK(min(slice(s, -1, 0, k - 1) - slice(s, -1, 1, k)).item() >= 0);
      }
      if (shape[-1] != shape[-2]) continue;
      const Tensor symmetric = (a + transpose(a)) / 2;  // as large as a
      const auto [values, vectors] = eigh(symmetric);
      CHECK(largest(matmul(vectors * unsqueeze(values, -2), vectors, {.transpose_b = true}) - symmetric) <=
            of_product(values));
      CHECK(skewness(vectors) <= of_factors);
      if (values.size() == 0) continue;
      CHECK(signs_fixed(vectors));
      if (k > 1) CHECK(min(slice(values, -1, 1, k) - slice(values, -1, 0, k - 1)).item() >= 0);
      // The upper triangle is not read.
      const Tensor lower = tril(symmetric) + triu(full(shape, not_a_number, dtype), 1);
      CHECK(identical(eigh(lower).values, values));
    }
  }
}

TEST_CASE("lstsq has the normal equations' solution, of several that of least norm", "[decompositions]") {
  Rng rng(6);
  const Tensor tall = rng.normal({6, 3}, 0, 1, Dtype::f64), b = rng.normal({6, 2}, 0, 1, Dtype::f64);
  const Tensor x = lstsq(tall, b);
  CHECK(largest(matmul(tall, matmul(tall, x) - b, {.transpose_a = true})) < 1e-13);
  const Tensor wide = transpose(tall), c = b.rows(0, 3);
  const Tensor y = lstsq(wide, c);
  CHECK(largest(matmul(wide, y) - c) < 1e-13);
  // Of least norm: y is in the span of the rows.
  CHECK(largest(y - matmul(tall, lstsq(tall, y))) < 1e-13);
  // Of rank 1: all of 1 1^T x = 1 lies in the direction of 1.
  CHECK(largest(lstsq(ones({3, 2}, Dtype::f64), ones({3}, Dtype::f64)) - 0.5) < 1e-14);
  CHECK(lstsq(zeros({3, 2}), ones({3})).text() == "[0, 0]");
  // A singular value of a thousandth of the largest counts, or not.
  const Tensor uneven = Tensor::of({1, 0, 0, 1e-3}, Dtype::f64).reshape({2, 2}), one = ones({2}, Dtype::f64);
  CHECK(lstsq(uneven, one).at(1) == Approx(1000));
  CHECK(lstsq(uneven, one, {.rcond = 0.01}).at(1) == 0);
  // Batches broadcast, and a vector serves all.
  CHECK(lstsq(rng.normal({4, 1, 5, 2}), rng.normal({3, 5, 1})).shape() == Shape{4, 3, 2, 1});
  CHECK(lstsq(rng.normal({4, 5, 2}), rng.normal({5})).shape() == Shape{4, 2});
  CHECK(lstsq(zeros({0, 2}), zeros({0, 1})).text() == "[[0], [0]]");
}

TEST_CASE("where values are equal, theirs is the only gradient that is finite", "[decompositions]") {
  const Tensor a = eye(3, Dtype::f64) * 2;
  const auto gradient = [&](const std::function<Variable(const Variable&)>& f) {
    Tape tape;
    const Variable x = tape.watch(a);
    return tape.backward(sum(f(x)))[x];
  };
  CHECK(largest(gradient([](const Variable& x) { return svd(x).s; }) - eye(3, Dtype::f64)) < 1e-14);
  CHECK(largest(gradient([](const Variable& x) { return eigh(x).values; }) - eye(3, Dtype::f64)) < 1e-14);
  CHECK_FALSE(all_finite(gradient([](const Variable& x) { return svd(x).u; })));
  CHECK_FALSE(all_finite(gradient([](const Variable& x) { return eigh(x).vectors; })));
}

TEST_CASE("errors of decompositions say what is wrong with which matrix", "[decompositions]") {
  Tensor batch = ones({2, 2, 3});
  batch.mutable_values<float>()[10] = static_cast<float>(not_a_number);
  CHECK_THROWS_WITH(svd(batch), Contains("svd: the matrix of batch (1) holds nan at (1, 1)"));
  CHECK_THROWS_WITH(qr(batch), Contains("qr: the matrix of batch (1)"));
  CHECK_THROWS_AS(lstsq(batch, ones({2})), NumericError);
  CHECK_THROWS_WITH(svd(ones({3})), Contains("svd: a of shape (3,); it must be a matrix"));
  CHECK_THROWS_WITH(eigh(ones({2, 3})), Contains("eigh: a of shape (2, 3); it must be square"));
  CHECK_THROWS_AS(eigh(full({2, 2}, infinity)), NumericError);
  CHECK_THROWS_WITH(lstsq(ones({3, 2}), ones({2, 2})), Contains("b must be (..., 3, k) or a vector of 3"));
  CHECK_THROWS_WITH(lstsq(ones({3, 2}), ones({3}), {.rcond = -1}), Contains("rcond of -1"));
  CHECK_THROWS_AS(lstsq(ones({3, 2}), ones({3}, Dtype::f64)), DtypeError);
  CHECK_THROWS_AS(lstsq(ones({2, 3, 2}), ones({4, 3, 1})), ShapeError);
  CHECK_THROWS_WITH(qr(Variable(ones({3}))), Contains("decompositions_test.cpp:"));
  // q of a matrix without full rank has no derivative.
  Tape tape;
  const Variable x = tape.watch(zeros({2, 2}));
  CHECK_THROWS_AS(tape.backward(sum(qr(x).q)), NumericError);
}

TEST_CASE("decompositions have the same bits for any number of threads", "[decompositions][threads]") {
  const int before = gradus::threads();
  const Tensor a = Rng(3).uniform({40, 12, 9}, -1, 1);
  const auto results = [&](int threads) {
    set_threads(threads);
    const auto [u, s, vt] = svd(a);
    const auto [values, vectors] = eigh(matmul(a, a, {.transpose_b = true}));
    return std::vector{u, s, vt, values, vectors, qr(a).q, lstsq(a, u)};
  };
  const auto one = results(1), two = results(2);
  set_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(identical(one[i], two[i]));
}

TEST_CASE("factors of values whose squares leave the dtype multiply back", "[decompositions]") {
  Rng rng(9);
  for (const double scale : {1e-25, 1e-20, 1e25}) {
    for (const Shape& shape : {Shape{3, 2}, Shape{2, 3}, Shape{4, 4}}) {
      INFO("about " << scale << ", of shape " << shape.text());
      const Tensor a = rng.normal(shape) * scale;
      const auto [q, r] = qr(a);
      CHECK(max(abs(matmul(q, r) - a)).item() < 1e-5 * scale);
      CHECK(max(abs(matmul(transpose(q), q) - eye(q.dim(1)))).item() < 1e-5);
      const auto [u, s, vt] = svd(a);
      CHECK(max(abs(matmul(u * s, vt) - a)).item() < 1e-5 * scale);
      CHECK(max(abs(matmul(transpose(u), u) - eye(u.dim(1)))).item() < 1e-5);
    }
    const Tensor a = rng.normal({5, 2}), x = rng.normal({2, 1});
    CHECK(max(abs(lstsq(a * scale, matmul(a, x) * scale) - x)).item() < 1e-4);
  }
}
