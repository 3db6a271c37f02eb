#include "autograd/ops/linalg.hpp"

#include <cmath>
#include <limits>

#include "autograd/gradcheck.hpp"
#include "autograd/ops/elementwise.hpp"
#include "tensor/random.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

const double not_a_number = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

Tensor matrix(std::initializer_list<double> values, std::int64_t n, Dtype dtype = Dtype::f64) {
  return Tensor::of(values, dtype).reshape({n, n});
}
Tensor one_on_diagonal(std::int64_t n, Dtype dtype = Dtype::f64) {
  return eye(n, dtype);
}
Tensor positive(Rng& rng, const Shape& shape, Dtype dtype = Dtype::f64) {
  const Tensor x = rng.normal(shape, 0, 1, dtype);
  return matmul(x, x, {.transpose_b = true}) + one_on_diagonal(shape[-1], dtype);
}
/// The sum over all permutations, for a small matrix.
double det_by_minors(const Tensor& a) {
  const std::int64_t n = a.dim(0);
  if (n == 0) return 1;
  double total = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    std::vector<double> minor;
    for (std::int64_t i = 1; i < n; ++i) {
      for (std::int64_t k = 0; k < n; ++k) {
        if (k != j) minor.push_back(a.at(i * n + k));
      }
    }
    total += (j % 2 == 0 ? 1 : -1) * a.at(j) * det_by_minors(Tensor::from(minor, {n - 1, n - 1}));
  }
  return total;
}

}  // namespace

TEST_CASE("linear algebra's values and gradients are PyTorch's", "[linalg]") {
  using Xs = std::span<const Variable>;
  check_torch_case("cholesky", {"a"}, [](Xs x) { return cholesky(x[0]); });
  check_torch_case("triangular_lower", {"a", "b"}, [](Xs x) { return triangular_solve(x[0], x[1]); });
  check_torch_case("triangular_upper", {"a", "b"},
                   [](Xs x) { return triangular_solve(x[0], x[1], {.upper = true, .unit_diagonal = true}); });
  // Of matrices whose condition numbers go up to about 100, so that as many digits may go.
  const TorchTolerance worse{.f64 = 1e-12, .f32 = 1e-4};
  check_torch_case(
      "solve", {"a", "b"}, [](Xs x) { return solve(x[0], x[1]); }, worse);
  check_torch_case(
      "solve_vector", {"a", "b"}, [](Xs x) { return solve(x[0], x[1]); }, worse);
  check_torch_case(
      "inverse", {"a"}, [](Xs x) { return inverse(x[0]); }, worse);
  check_torch_case("det", {"a"}, [](Xs x) { return det(x[0]); });
  check_torch_case("slogdet", {"a"}, [](Xs x) { return slogdet(x[0]).log_abs; });
  check_torch_case("logdet", {"a"}, [](Xs x) { return logdet(x[0]); });
}

TEST_CASE("dot and outer are sums and products of elements", "[linalg]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Tensor a = Tensor::of({1, 2, 3}, dtype), b = Tensor::of({4, 5, 6}, dtype);
    CHECK(dot(a, b).text() == "32");
    CHECK(dot(stack(std::array{a, b}), b).text() == "[32, 77]");
    CHECK(outer(a, Tensor::of({10, 20}, dtype)).text() == "[[10, 20], [20, 40], [30, 60]]");
    CHECK(outer(stack(std::array{a, b}), a).shape() == Shape{2, 3, 3});
    CHECK(std::isnan(dot(a, Tensor::of({not_a_number, 0, 0}, dtype)).item()));
  }
  CHECK(dot(zeros({0}), zeros({0})).item() == 0);
  CHECK(outer(zeros({0}), zeros({2})).shape() == Shape{0, 2});
  CHECK_THROWS_WITH(dot(zeros({2}), zeros({3})), Contains("dot") && Contains("(2,)") && Contains("(3,)"));
  CHECK_THROWS_AS(dot(zeros({2}), zeros({1})), ShapeError);  // a length of 1 stretches only in the batch
  CHECK_THROWS_AS(dot(zeros({}), zeros({})), ShapeError);
  CHECK_THROWS_AS(outer(zeros({}), zeros({2})), ShapeError);
  CHECK_THROWS_AS(outer(zeros({2}), zeros({2}, Dtype::f64)), DtypeError);
}

TEST_CASE("factors multiply back to the matrix, and solutions solve, at every size", "[linalg]") {
  Rng rng(1);
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const double unit = dtype == Dtype::f32 ? 0x1p-23 : 0x1p-52;
    for (const std::int64_t n : {1, 2, 5, 16, 33, 100, 150}) {
      INFO(n << " in " << name_of(dtype));
      const double tolerance = 10 * static_cast<double>(n) * unit;
      const Tensor a = positive(rng, {2, n, n}, dtype), b = rng.normal({2, n, 3}, 0, 1, dtype);
      const Tensor l = cholesky(a);
      CHECK(difference(matmul(l, l, {.transpose_b = true}), a) < tolerance * static_cast<double>(n));
      CHECK(identical(cholesky(a, {.upper = true}), transpose(l)));
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = i + 1; j < n; ++j) CHECK(l.at(i * n + j) == 0);
      }
      // A diagonal that rules keeps the condition number small.
      const Tensor well =
          rng.uniform({n, n}, -1, 1, dtype) / static_cast<double>(n) + one_on_diagonal(n, dtype) * 2;
      CHECK(difference(matmul(well, solve(well, b)), b) < tolerance);
      CHECK(difference(matmul(well, inverse(well)), one_on_diagonal(n, dtype)) < tolerance);
      CHECK(difference(matmul(transpose(well), lu_solve(lu_factor(well), b, true)), b) < tolerance);
      for (const bool upper : {false, true}) {
        for (const bool transposed : {false, true}) {
          for (const bool unit_diagonal : {false, true}) {
            INFO(upper << transposed << unit_diagonal);
            Tensor triangle = well.to(Dtype::f64);
            double* t = triangle.mutable_data<double>();
            for (std::int64_t i = 0; i < n; ++i) {
              for (std::int64_t j = 0; j < n; ++j) {
                if (upper ? i > j : i < j) t[i * n + j] = 0;
              }
              if (unit_diagonal) t[i * (n + 1)] = 1;
            }
            const Tensor x = triangular_solve(
                well, b, {.upper = upper, .transpose = transposed, .unit_diagonal = unit_diagonal});
            const Tensor back = matmul(triangle, x.to(Dtype::f64), {.transpose_a = transposed});
            CHECK(difference(back, b.to(Dtype::f64)) < 10 * tolerance);
          }
        }
      }
    }
  }
}

TEST_CASE("batches broadcast, and a vector serves every batch", "[linalg]") {
  Rng rng(2);
  const Tensor a = rng.normal({3, 1, 4, 4}, 0, 1, Dtype::f64), b = rng.normal({2, 4, 5}, 0, 1, Dtype::f64);
  const Tensor x = solve(a, b);
  REQUIRE(x.shape() == Shape{3, 2, 4, 5});
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 2; ++j) CHECK(identical(x[i][j], solve(a[i][0], b[j])));
  }
  const Tensor v = rng.normal({4}, 0, 1, Dtype::f64), y = solve(a, v), z = triangular_solve(a, v);
  REQUIRE(y.shape() == Shape{3, 1, 4});
  REQUIRE(z.shape() == Shape{3, 1, 4});
  for (std::int64_t i = 0; i < 3; ++i) {
    CHECK(identical(y[i][0], solve(a[i][0], v)));
    CHECK(identical(z[i][0], triangular_solve(a[i][0], v)));
  }
}

TEST_CASE("determinants equal the sum over minors, and do not overflow as logarithms", "[linalg]") {
  Rng rng(3);
  for (const std::int64_t n : {0, 1, 2, 3, 5}) {
    INFO(n);
    const Tensor a = rng.normal({n, n}, 0, 1, Dtype::f64);
    const double expected = det_by_minors(a);
    CHECK(det(a).item() == Approx(expected).epsilon(1e-12));
    const auto [sign, log_abs] = slogdet(a);
    CHECK(sign.item() == (expected < 0 ? -1 : 1));
    CHECK(log_abs.item() == Approx(std::log(std::abs(expected))).epsilon(1e-12).margin(1e-12));
    CHECK(std::isnan(logdet(a).item()) == (expected < 0));
  }
  // Odd and even row orders.
  CHECK(det(matrix({0, 1, 1, 0}, 2)).item() == -1);
  CHECK(det(matrix({0, 1, 0, 0, 0, 1, 1, 0, 0}, 3)).item() == 1);
  const auto [sign, log_abs] = slogdet(one_on_diagonal(400, Dtype::f32) * -1e3);
  CHECK(sign.item() == 1);
  CHECK(log_abs.item() == Approx(400 * std::log(1e3)));
  CHECK(det(zeros({3, 0, 0})).text() == "[1, 1, 1]");
  CHECK(det(zeros({0, 2, 2})).shape() == Shape{0});
}

TEST_CASE("singular matrices have determinant 0, and NaN goes through", "[linalg]") {
  const Tensor singular = matrix({1, 2, 2, 4}, 2);
  CHECK(det(singular).item() == 0);
  CHECK(slogdet(singular).sign.item() == 0);
  CHECK(slogdet(singular).log_abs.item() == -infinity);
  CHECK(logdet(singular).item() == -infinity);
  for (const Tensor& bad : {matrix({not_a_number, 1, 1, 2}, 2), matrix({1, not_a_number, 0, 2}, 2),
                            matrix({1, 0, 0, not_a_number}, 2)}) {
    CHECK(std::isnan(det(bad).item()));
    CHECK(std::isnan(slogdet(bad).sign.item()));
    CHECK(std::isnan(slogdet(bad).log_abs.item()));
  }
}

TEST_CASE("the gradient of det is right where the matrix is singular, at second order too", "[linalg]") {
  const auto f = [](std::span<const Variable> x) { return det(x[0]); };
  const std::vector<Tensor> singular{
      matrix({0}, 1),
      matrix({1, 2, 2, 4}, 2),
      matrix({0, 0, 0, 0}, 2),
      matrix({1, 2, 3, 2, 4, 6, 1, 0, 1}, 3),   // rank 2
      matrix({1, 2, 3, 2, 4, 6, 4, 8, 12}, 3),  // rank 1
      matrix({1, 2, 3, 4, 5, 6, 7, 8, 9}, 3),   // rank 2, but for rounding errors
      stack(std::array{matrix({1, 2, 2, 4}, 2), matrix({1, 2, 3, 4}, 2)}),
  };
  for (const Tensor& a : singular) {
    INFO(a.text());
    const GradcheckResult result = gradcheck(f, {a});
    INFO(result.message);
    CHECK(result.passed);
  }
  CHECK(difference(cofactors(matrix({1, 2, 2, 4}, 2)), matrix({4, -2, -2, 1}, 2)) < 1e-14);
  CHECK(difference(cofactors(matrix({1, 2, 3, 4}, 2)), matrix({4, -3, -2, 1}, 2)) < 1e-14);
  // Nearly singular: a pivot of the size of rounding errors.
  CHECK(difference(cofactors(matrix({1, 2, 3, 4, 5, 6, 7, 8, 9}, 3)),
                   matrix({-3, 6, -3, 6, -12, 6, -3, 6, -3}, 3)) < 1e-13);
}

TEST_CASE("derivatives of third order are those of 1 / x, log and sqrt", "[linalg]") {
  const double x = 1.5;
  const auto third = [&](Variable (*f)(const Variable&)) {
    Tape tape;
    const Variable at = tape.watch(matrix({x}, 1));
    Variable y = f(at);
    for (int order = 0; order < 3; ++order) y = grad(sum(y), at);
    return y.item();
  };
  CHECK(third([](const Variable& a) { return inverse(a); }) == Approx(-6 / std::pow(x, 4)));
  CHECK(third([](const Variable& a) { return solve(a, Variable(matrix({1}, 1))); }) ==
        Approx(-6 / std::pow(x, 4)));
  CHECK(third([](const Variable& a) { return triangular_solve(a, Variable(matrix({1}, 1))); }) ==
        Approx(-6 / std::pow(x, 4)));
  CHECK(third([](const Variable& a) { return logdet(a); }) == Approx(2 / std::pow(x, 3)));
  CHECK(third([](const Variable& a) { return cholesky(a); }) == Approx(3.0 / 8 * std::pow(x, -2.5)));
  CHECK(third([](const Variable& a) { return det(a) * det(a) * det(a); }) == Approx(6));
}

TEST_CASE("only the triangle that belongs to a matrix is read", "[linalg]") {
  CHECK(cholesky(matrix({4, not_a_number, 2, 5}, 2)).text() == "[[2, 0], [1, 2]]");
  const Tensor b = Tensor::of({2, 4}, Dtype::f64);
  CHECK(triangular_solve(matrix({2, not_a_number, 2, 1}, 2), b).text() == "[1, 2]");
  CHECK(triangular_solve(matrix({2, 0, not_a_number, 4}, 2), b, {.upper = true}).text() == "[1, 1]");
  CHECK(triangular_solve(matrix({not_a_number, not_a_number, 1, not_a_number}, 2), b, {.unit_diagonal = true})
            .text() == "[2, 2]");
  // Right-hand sides may hold anything.
  CHECK(std::isnan(triangular_solve(one_on_diagonal(2), Tensor::of({not_a_number, 1}, Dtype::f64)).at(0)));
  CHECK(std::isnan(solve(one_on_diagonal(2), Tensor::of({not_a_number, 1}, Dtype::f64)).at(0)));
}

TEST_CASE("empty matrices and batches are fine", "[linalg]") {
  CHECK(cholesky(zeros({0, 0})).shape() == Shape{0, 0});
  CHECK(cholesky(zeros({0, 3, 3})).shape() == Shape{0, 3, 3});
  CHECK(inverse(zeros({2, 0, 0})).shape() == Shape{2, 0, 0});
  CHECK(solve(zeros({0, 0}), zeros({0, 2})).shape() == Shape{0, 2});
  CHECK(solve(one_on_diagonal(2), zeros({2, 0}, Dtype::f64)).shape() == Shape{2, 0});
  CHECK(triangular_solve(one_on_diagonal(2), zeros({2, 0}, Dtype::f64)).shape() == Shape{2, 0});
  CHECK(cofactors(zeros({0, 0})).shape() == Shape{0, 0});
}

TEST_CASE("errors of linear algebra say what is wrong with which matrix", "[linalg]") {
  const Tensor good = one_on_diagonal(2), singular = matrix({1, 2, 2, 4}, 2),
               bad = matrix({1, not_a_number, 0, 2}, 2);
  for (const auto& f : std::vector<std::function<void(const Tensor&)>>{
           [](const Tensor& a) { cholesky(a); }, [](const Tensor& a) { inverse(a); },
           [](const Tensor& a) { det(a); }, [](const Tensor& a) { slogdet(a); },
           [](const Tensor& a) { logdet(a); }, [](const Tensor& a) { lu_factor(a); },
           [](const Tensor& a) { cofactors(a); }, [](const Tensor& a) { solve(a, zeros({2})); },
           [](const Tensor& a) { triangular_solve(a, zeros({2})); }}) {
    CHECK_THROWS_WITH(f(zeros({2, 3})), Contains("(2, 3)") && Contains("square"));
    CHECK_THROWS_AS(f(zeros({4})), ShapeError);
    CHECK_THROWS_AS(f(zeros({})), ShapeError);
  }
  CHECK_THROWS_WITH(solve(good, zeros({3}, Dtype::f64)),
                    Contains("solve: a of shape (2, 2), b of shape (3,)"));
  CHECK_THROWS_AS(solve(good, zeros({}, Dtype::f64)), ShapeError);
  CHECK_THROWS_WITH(solve(zeros({2, 2, 2}), zeros({3, 2, 1})), Contains("solve") && Contains("broadcast"));
  CHECK_THROWS_AS(solve(good, zeros({2})), DtypeError);
  CHECK_THROWS_AS(triangular_solve(good, zeros({2})), DtypeError);

  const Tensor second = stack(std::array{good, singular});
  CHECK_THROWS_WITH(solve(second, zeros({2}, Dtype::f64)),
                    Contains("solve: the matrix of batch (1) is singular: pivot 1"));
  CHECK_THROWS_WITH(inverse(second.reshape({2, 1, 2, 2})), Contains("inverse: the matrix of batch (1, 0)"));
  CHECK_THROWS_WITH(inverse(singular), Contains("inverse: the matrix is singular"));
  CHECK_THROWS_WITH(triangular_solve(matrix({1, 0, 1, 0}, 2), zeros({2}, Dtype::f64)),
                    Contains("triangular_solve: the matrix is singular: 0 at (1, 1)"));
  CHECK_THROWS_WITH(cholesky(matrix({1, 2, 2, 1}, 2)),
                    Contains("cholesky: the matrix is not positive definite") && Contains("order 2"));
  CHECK_THROWS_WITH(cholesky(stack(std::array{good, -good})), Contains("batch (1)") && Contains("order 1"));
  for (const auto& f : std::vector<std::function<void(const Tensor&)>>{
           [](const Tensor& a) { cholesky(transpose(a)); }, [](const Tensor& a) { inverse(a); },
           [](const Tensor& a) { lu_factor(a); },
           [](const Tensor& a) { solve(a, zeros({2}, Dtype::f64)); }}) {
    CHECK_THROWS_AS(f(bad), NumericError);
    CHECK_THROWS_WITH(f(bad), Contains("the matrix holds nan at"));
    CHECK_THROWS_AS(f(bad * infinity), NumericError);
  }
}

TEST_CASE("errors of linear algebra on Variables name the user's place", "[linalg]") {
  const Variable flat(zeros({2, 3})), singular(matrix({1, 2, 2, 4}, 2));
  const Variable b(zeros({2}, Dtype::f64));
  const auto here = Contains("linalg_test.cpp:");
  CHECK_THROWS_WITH(cholesky(flat), here && Contains("cholesky"));
  CHECK_THROWS_WITH(inverse(singular), here && Contains("inverse"));
  CHECK_THROWS_WITH(solve(singular, b), here && Contains("solve"));
  CHECK_THROWS_WITH(triangular_solve(singular, Variable(zeros({3}, Dtype::f64))), here);
  CHECK_THROWS_WITH(det(flat), here && Contains("det"));
  CHECK_THROWS_WITH(slogdet(flat), here && Contains("slogdet"));
  CHECK_THROWS_WITH(logdet(flat), here && Contains("logdet"));
  CHECK_THROWS_WITH(dot(flat, b), here && Contains("dot"));
  CHECK_THROWS_WITH(outer(flat, b), here && Contains("outer"));
  CHECK_THROWS_AS(inverse(singular), NumericError);
  // Where a value exists but no derivative does.
  Tape tape;
  const Variable a = tape.watch(singular.value());
  CHECK_THROWS_WITH(
      tape.backward(slogdet(a).log_abs),
      Contains("while differentiating slogdet, recorded at linalg_test.cpp:") && Contains("singular"));
}

TEST_CASE("linear algebra has the same bits for any number of threads", "[linalg][threads]") {
  Rng rng(4);
  const Tensor a = positive(rng, {40, 30, 30}, Dtype::f32), b = rng.normal({40, 30, 20});
  test::check_same_bits([&] {
    return std::vector{cholesky(a), solve(a, b), inverse(a), det(a), triangular_solve(a, b), cofactors(a)};
  });
}
