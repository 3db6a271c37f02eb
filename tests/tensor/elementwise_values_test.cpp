#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <regex>
#include <set>

#include "autograd/elementwise/derivatives.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/function_rows.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/paths.hpp"

using namespace gradus;
using Catch::Contains;
using namespace gradus::test;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// Every exponent with both signs, the first and the last number of each and some between; so zeros,
/// subnormal numbers, infinities and NaN are among them. Then denser where functions bend.
template <class T>
std::vector<T> probes(int per_exponent) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr int fraction_bits = std::numeric_limits<T>::digits - 1;
  constexpr Bits fractions = (Bits{1} << fraction_bits) - 1;
  std::mt19937_64 random(7);
  std::vector<T> out;
  for (Bits exponent = 0; exponent < Bits{1} << (8 * sizeof(T) - fraction_bits); ++exponent) {
    for (int k = 0; k < per_exponent; ++k) {
      const Bits fraction = k == 0   ? 0
                            : k == 1 ? 1
                            : k == 2 ? fractions
                                     : static_cast<Bits>(random()) & fractions;
      const Bits bits = (exponent << fraction_bits) | fraction;
      T value{};
      std::memcpy(&value, &bits, sizeof value);
      out.push_back(value);
    }
  }
  for (const double width : {1.0, 5.0, 30.0, 110.0, 800.0}) {
    std::uniform_real_distribution<double> near(-width, width);
    for (int k = 0; k < 40 * per_exponent; ++k) out.push_back(static_cast<T>(near(random)));
  }
  return out;
}

/// How far `got` is from the exact value, in units in the last place of the nearest T, or of 1 where that is
/// larger and `absolute` is set; infinite when one is NaN, or a zero has the wrong sign. What overflows
/// counts as the power of two behind the largest number.
template <class T>
double ulps_off(T got, long double exact, bool absolute = false) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : infinity;
  if (std::isinf(exact)) return got == static_cast<T>(exact) ? 0 : infinity;
  const T nearest = static_cast<T>(exact);
  if (std::isinf(nearest) && got == nearest) return 0;
  if (nearest == 0 && got == 0) {
    return absolute || std::signbit(got) == std::signbit(nearest) ? 0 : infinity;
  }
  const auto finite = [](T x) {
    return std::isinf(x) ? std::copysign(std::ldexp(1.0L, Limits::max_exponent), static_cast<long double>(x))
                         : static_cast<long double>(x);
  };
  int exponent = 0;
  std::frexp(std::isinf(nearest) ? Limits::max() : nearest, &exponent);
  exponent = std::max(exponent, absolute ? 1 : Limits::min_exponent);
  return static_cast<double>(std::abs(finite(got) - exact) / std::ldexp(1.0L, exponent - Limits::digits));
}

/// Checks the functions of so many operands at inputs of (operands, points).
template <class T>
void check_functions(int operands, const std::vector<std::vector<T>>& x) {
  std::vector<Tensor> inputs;
  for (const auto& values : x)
    inputs.push_back(Tensor::from(values, {static_cast<std::int64_t>(values.size())}));
  std::vector<Real> exact(x[0].size());
  for (const FunctionRow& f : function_rows()) {
    if (f.operands != operands) continue;
    for (std::size_t i = 0; i < exact.size(); ++i)
      exact[i] = f.exact(static_cast<Real>(x[0][i]), static_cast<Real>(x.back()[i]));
    for_every_instruction_set([&] {
      const Tensor outputs = f.on_tensors(inputs);
      const std::span<const T> y = outputs.values<T>();
      double worst = 0;
      std::size_t at = 0;
      for (std::size_t i = 0; i < exact.size(); ++i) {
        const double off = ulps_off(y[i], exact[i], f.accuracy.absolute);
        if (!(off <= worst)) {
          worst = off;
          at = i;
        }
      }
      INFO(f.name << " in " << name_of(dtype_of<T>()) << " at " << x[0][at] << ", " << x.back()[at] << ": "
                  << y[at] << " instead of " << exact[at]);
      CHECK(worst < (sizeof(T) == 4 ? f.accuracy.f32 : f.accuracy.f64));
    });
  }
}

/// Each of `few` with each of them, and pairs of probes.
template <class T>
std::vector<std::vector<T>> pairs_of_probes(const std::vector<double>& few) {
  std::vector<std::vector<T>> out(2);
  for (const double a : few) {
    for (const double b : few) {
      out[0].push_back(static_cast<T>(a));
      out[1].push_back(static_cast<T>(b));
    }
  }
  std::vector<T> a = probes<T>(8), b = a;
  std::shuffle(b.begin(), b.end(), std::mt19937_64(5));
  out[0].insert(out[0].end(), a.begin(), a.end());
  out[1].insert(out[1].end(), b.begin(), b.end());
  return out;
}

bool same(double a, double b, double relative) {
  if (std::isnan(b)) return std::isnan(a);
  if (std::isinf(b) || b == 0) return a == b && std::signbit(a) == std::signbit(b);
  return std::abs(a - b) <= relative * std::abs(b);
}
bool same_values(const Tensor& a, const Tensor& b) {
  bool out = a.shape() == b.shape();
  for (std::int64_t i = 0; out && i < a.size(); ++i) out = same(a.at(i), b.at(i), 0);
  return out;
}

}  // namespace

TEST_CASE("functions of one number are right to the last places at every exponent, in f32", "[elementwise]") {
  check_functions<float>(1, {probes<float>(300)});
}

TEST_CASE("functions of one number are right to the last places at every exponent, in f64", "[elementwise]") {
  check_functions<double>(1, {probes<double>(12)});
}

TEST_CASE("functions of two numbers are right to the last places at odd and at usual values",
          "[elementwise]") {
  const std::vector<double> few{not_a_number, infinity, -infinity, 0,    -0.0, 1,      -1,  2,
                                -2,           3,        0.5,       -2.5, 1e30, -1e-30, 7.25};
  check_functions<float>(2, pairs_of_probes<float>(few));
  check_functions<double>(2, pairs_of_probes<double>(few));
  // Broadcast, and with a number on either side, they are the same.
  const auto n = static_cast<std::int64_t>(few.size());
  for_every_instruction_set([&] {
    for (std::size_t k = 0; k < kernels::binary_count; ++k) {
      const auto op = static_cast<kernels::Binary>(k);
      if (!detail::has_derivative(op, 0) && detail::has_derivative(op, 1)) continue;  // a is an order
      for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
        const Tensor row = Tensor::from(few, {1, n}).to(dtype), column = row.reshape({n, 1});
        const Tensor y = apply(op, column, row), rows = broadcast_to(row, {n, n});
        CHECK(same_values(y, apply(op, broadcast_to(column, {n, n}), rows)));
        for (std::int64_t i = 0; i < n; ++i) {
          INFO(kernels::name_of(op) << " with " << row.at(i) << " in " << name_of(dtype));
          for (std::int64_t j = 0; j < n; ++j) {
            CHECK(same(apply(op, row, row.at(j)).at(i), y.at(i * n + j), 0));
            CHECK(same(apply(op, row.at(i), row).at(j), y.at(i * n + j), 0));
          }
        }
      }
    }
  });
}

TEST_CASE("an elementwise function without a row in the table of tests fails", "[elementwise]") {
  std::set<std::string> rows, functions;
  for (const FunctionRow& row : function_rows()) rows.insert(row.name);
  for (std::size_t i = 0; i < kernels::unary_count; ++i)
    functions.insert(kernels::name_of(static_cast<kernels::Unary>(i)));
  for (std::size_t i = 0; i < kernels::binary_count; ++i)
    functions.insert(kernels::name_of(static_cast<kernels::Binary>(i)));
  const std::string source = read_bytes(source_dir() + "/autograd/ops/activations.hpp");
  const std::regex formula(R"re(formula\(\s*"(\w+)")re");
  for (std::sregex_iterator it(source.begin(), source.end(), formula), end; it != end; ++it)
    functions.insert((*it)[1]);
  CHECK(functions.size() > 50);
  for (const std::string& function : functions) {
    INFO("add a row for " << function << " to tests/support/function_rows.cpp");
    CHECK(rows.count(function) == 1);
  }
}

TEST_CASE("a small whole exponent gives the same bits however it is given", "[elementwise]") {
  std::mt19937_64 random(19);
  std::uniform_real_distribution<double> near(-9, 9);
  std::vector<double> values(2000);
  for (double& v : values) v = near(random);
  const std::vector<double> far{0,      -0.0,     1e-200,    -1e-120,      1e120,
                                -1e200, infinity, -infinity, not_a_number, 5e-324};
  values.insert(values.end(), far.begin(), far.end());
  const auto n = static_cast<std::int64_t>(values.size());
  for_every_instruction_set([&] {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const Tensor x = Tensor::from(values, {n}).to(dtype);
      for (const double exponent : {-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0}) {
        INFO("exponent " << exponent << " in " << name_of(dtype));
        const Tensor y = pow(x, exponent),
                     traced = elementwise([exponent](auto v) { return pow(v, exponent); }, x);
        CHECK(same_values(y, traced));
        CHECK(same_values(y, pow(x, full({n}, exponent, dtype))));
        CHECK(same_values(y, pow(x, Tensor::scalar(exponent, dtype))));
        CHECK(same_values(y, pow(Variable(x), exponent).value()));
        for (std::int64_t i = 0; i < n; i += 97)
          CHECK(same(pow(Tensor::scalar(x.at(i), dtype), exponent).item(), y.at(i), 0));
      }
    }
  });
}

TEST_CASE("polygamma equals values of 40 digits", "[elementwise]") {
  struct Value {
    int n;
    double x, wanted;
  };
  // From mpmath 1.3.
  const std::vector<Value> values{
      {0, 1e-300, -9.99999999999999975e+299}, {0, 1e-08, -100000000.577215646},
      {0, 0.1, -10.4237549404110762},         {0, 0.5, -1.96351002602142348},
      {0, 1.0, -0.577215664901532861},        {0, 1.25, -0.227453533376265408},
      {0, 2.0, 0.422784335098467139},         {0, 3.7, 1.16715353936151144},
      {0, 9.99, 2.25070037283120112},         {0, 12.0, 2.44266167997581202},
      {0, 25.5, 3.21894247288391977},         {0, 99.5, 4.5951241013255638},
      {0, 100000.0, 11.5129204649618951},     {0, 1e+300, 690.775527898213705},
      {0, -1e-10, 9999999999.42278397},       {0, -0.1, 9.24507305005294804},
      {0, -0.5, 0.0364899739785765206},       {0, -0.999, -999.574570930808411},
      {0, -1.5, 0.703156640645243187},        {0, -3.25, 4.46627587235027997},
      {0, -7.875, -5.4586319404955003},       {0, -9.75, -0.813919015981114662},
      {0, -1000.25, 10.0500976930667059},     {1, 1e-30, 9.99999999999999833e+59},
      {1, 0.1, 101.433299150792748},          {1, 0.5, 4.93480220054467931},
      {1, 1.0, 1.64493406684822644},          {1, 3.7, 0.310037857670038302},
      {1, 11.5, 0.0908466612745462343},       {1, 14.0, 0.0740402686640103368},
      {1, 99.5, 0.0101009242198974887},       {1, 100000.0, 0.0000100000500001666667},
      {2, 1e-30, -1.9999999999999995e+90},    {2, 0.1, -2001.86145737834367},
      {2, 0.5, -16.82879664423432},           {2, 1.0, -2.40411380631918857},
      {2, 3.7, -0.0953953087285540335},       {2, 11.5, -0.00824746905065221712},
      {2, 14.0, -0.00547946569031248769},     {2, 99.5, -0.000102027802664699321},
      {2, 100000.0, -1.00001000005e-10},      {3, 1e-30, 5.999999999999998e+120},
      {3, 0.1, 60004.5128767902534},          {3, 0.5, 97.4090910340024372},
      {3, 1.0, 6.49393940226682915},          {3, 3.7, 0.0582792179565636141},
      {3, 11.5, 0.00149646475226922506},      {3, 14.0, 0.000810664701231508694},
      {3, 99.5, 2.06111516007178795e-6},      {3, 100000.0, 2.0000300002e-15},
      {4, 1e-30, -2.399999999999999e+151},    {4, 0.1, -2400015.6072031952},
      {4, 0.5, -771.474249826667225},         {4, 1.0, -24.8862661234408782},
      {4, 3.7, -0.0530386111079539593},       {4, 11.5, -0.000407013839056976589},
      {4, 14.0, -0.000179820455574841722},    {4, 99.5, -6.24559112183367201e-8},
      {4, 100000.0, -6.000120001e-20},        {1, -1e-10, 9.99999999999999927e+19},
      {1, -0.25, 18.5418796476716065},        {1, -0.999, 1000002.6445361981},
      {1, -1.5, 9.37924664498912375},         {1, -9.75, 19.6417249539768651},
      {1, -1000.25, 19.7382095516997849},     {2, -1e-10, 1.99999999999999978e+30},
      {2, -0.25, 122.69736678366236},         {2, -0.999, -2000000000.39161494},
      {2, -1.6, -22.4915881143191229},        {2, -9.75, -124.034602340844207},
      {2, -1000.25, 124.025105722697844},     {3, -1e-10, 5.99999999999999913e+40},
      {3, -0.25, 1555.7633125348506},         {3, -0.999, 6000000000012.47186},
      {3, -1.5, 194.594276219187622},         {3, -9.75, 1558.54360811116161},
      {3, -1000.25, 1558.54545654204349},     {10, 0.5, -7431824508.85876898},
      {10, 3.0, -21.4366066287129906},        {10, 40.0, -3.91307479989808489e-11},
  };
  for (const auto& [n, x, wanted] : values) {
    INFO("polygamma(" << n << ", " << x << ")");
    const double got = polygamma(n, Tensor::scalar(x, Dtype::f64)).item();
    CHECK(same(got, wanted, 1e-12));
    if (std::abs(wanted) < 1e30 && static_cast<double>(static_cast<float>(x)) == x)
      CHECK(same(polygamma(n, Tensor::scalar(x)).item(), wanted, 1e-7));
  }
  const auto at = [](int n, double x) { return polygamma(n, Tensor::scalar(x, Dtype::f64)).item(); };
  for_every_instruction_set([] {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      INFO(name_of(dtype));
      const auto of = [dtype](int n, double x) { return polygamma(n, full({3}, x, dtype)).at(1); };
      CHECK(of(0, 0.0) == -infinity);
      CHECK(of(0, -0.0) == infinity);
      CHECK(std::isnan(of(0, -3)));
      CHECK(std::isnan(of(0, -infinity)));
      CHECK(of(0, infinity) == infinity);
      CHECK(of(1, 0) == infinity);
      CHECK(of(1, -2) == infinity);
      CHECK(of(2, -1) == -infinity);
      CHECK(of(1, infinity) == 0);
    }
  });
  CHECK(same(at(1, 1e200), 1e-200, 1e-15));  // where x^-2 is too small for a number
  CHECK(std::isnan(at(1, not_a_number)));
  CHECK(digamma(Tensor::of({1, 2})).at(1) == Approx(0.42278433509846714));
  CHECK_THROWS_WITH(polygamma(-1, ones({2})), Contains("polygamma(-1"));
}

TEST_CASE("an element's value depends neither on its place nor on the threads", "[elementwise]") {
  std::mt19937_64 random(11);
  std::uniform_real_distribution<float> near(0.1F, 0.9F);
  std::vector<float> x(70'000);
  for (float& v : x) v = near(random);
  const Tensor all = Tensor::from(x, {static_cast<std::int64_t>(x.size())});
  for_every_instruction_set([&] {
    for (const FunctionRow& f : function_rows()) {
      INFO(f.name);
      const auto of = [&](const Tensor& v) { return f.on_tensors(std::array{v, v}); };
      const Tensor together = of(all);
      set_threads(1);
      CHECK(identical(of(all), together));
      set_threads(0);
      for (std::int64_t i = 0; i < 40; ++i) {
        const Tensor alone = of(Tensor::scalar(all.at(i)));
        CHECK(same(alone.item(), together.at(i), 0));
        CHECK(identical(of(all.rows(0, i)), together.rows(0, i)));
      }
    }
  });
}

TEST_CASE("an element's value does not depend on its neighbours, however large", "[elementwise]") {
  const auto check = [](const auto& numbers) {
    const auto n = static_cast<std::int64_t>(numbers.size());
    const Tensor all = Tensor::from(numbers, {n});
    for_every_instruction_set([&] {
      for (const FunctionRow& f : function_rows()) {
        INFO(f.name << " in " << name_of(all.dtype()));
        const auto of = [&](const Tensor& v) { return f.on_tensors(std::array{v, v}); };
        const Tensor together = of(all);
        bool same_alone = true;
        for (std::int64_t i = 0; i < n; i += 7)
          same_alone =
              same_alone && same(of(Tensor::scalar(all.at(i), all.dtype())).item(), together.at(i), 0);
        CHECK(same_alone);
      }
    });
  };
  std::vector<float> single = probes<float>(2);
  std::vector<double> numbers = probes<double>(2);
  numbers.resize(4000);
  std::shuffle(single.begin(), single.end(), std::mt19937_64(5));
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937_64(5));
  check(single);
  check(numbers);
}

TEST_CASE("fma rounds once where the processor can, in every kernel", "[elementwise]") {
  for_every_instruction_set([] {
    const std::string set = kernels::instruction_set();
    if (set == "sse2") return;
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      // (1 + eps)^2 - (1 + 2 eps) is eps^2, which the product alone rounds away.
      const double eps = dtype == Dtype::f32 ? 0x1p-23 : 0x1p-52;
      const Tensor x = full({40}, 1 + eps, dtype), y = fma(x, x, -(1 + 2 * eps));
      INFO(set << " in " << name_of(dtype));
      CHECK(y.at(0) == eps * eps);
      CHECK(y.at(39) == eps * eps);
    }
  });
}

TEST_CASE("broadcast ops give the same bits for any number of threads", "[elementwise]") {
  std::mt19937_64 random(17);
  std::uniform_real_distribution<float> near(0.1F, 0.9F);
  const auto tensor = [&](const Shape& shape) {
    std::vector<float> values(static_cast<std::size_t>(shape.size()));
    for (float& v : values) v = near(random);
    return Tensor::from(values, shape);
  };
  const Tensor x = tensor({300, 1, 7}), y = tensor({40, 1}), row = tensor({1, 70'000}),
               column = tensor({3, 1});
  set_threads(1);
  const Tensor product = x * y, power = pow(row, column), chosen = where(x < y, x, 0.5);
  set_threads(3);
  CHECK(identical(x * y, product));
  CHECK(identical(pow(row, column), power));
  CHECK(identical(where(x < y, x, 0.5), chosen));
  set_threads(0);
  CHECK(product.at((123 * 40 + 17) * 7 + 5) ==
        static_cast<double>(x.values<float>()[123 * 7 + 5] * y.values<float>()[17]));
}

TEST_CASE("ops of three operands broadcast as NumPy's", "[elementwise]") {
  const std::vector<std::array<Shape, 3>> shapes{
      {{{}, {}, {}}},
      {{{3}, {}, {}}},
      {{{}, {3}, {2, 1}}},
      {{{2, 3}, {2, 3}, {2, 3}}},
      {{{4, 1, 3}, {2, 1}, {}}},
      {{{1, 37}, {5, 1}, {37}}},
      {{{0}, {1}, {}}},
      {{{2, 1}, {0}, {1, 1}}},
      {{{5, 40}, {40}, {}}},
      {{{}, {2, 3, 4}, {3, 1}}},
      {{{2, 1, 2}, {3, 1}, {1}}},
      {{{1}, {1, 1}, {1}}},
  };
  std::mt19937_64 random(13);
  for_every_instruction_set([&] {
    for (const auto& of : shapes) {
      std::array<Tensor, 3> x;
      Shape shape = of[0];
      for (std::size_t k = 0; k < 3; ++k) {
        shape = broadcast_shapes("test", shape, of[k]);
        std::vector<double> values(static_cast<std::size_t>(of[k].size()));
        for (double& v : values) v = static_cast<double>(random() % 3) - 1 + (k > 0 ? 0.25 : 0.0);
        x[k] = Tensor::from(values, of[k]);
      }
      const Tensor chosen = where(x[0], x[1], x[2]), sum = fma(x[0], x[1], x[2]);
      REQUIRE(chosen.shape() == shape);
      REQUIRE(sum.shape() == shape);
      const auto spread = [&](const Tensor& v) { return v + zeros(shape, Dtype::f64); };
      const Tensor c = spread(x[0]), a = spread(x[1]), b = spread(x[2]);
      for (std::int64_t i = 0; i < shape.size(); ++i) {
        CHECK(chosen.at(i) == (c.at(i) != 0 ? a.at(i) : b.at(i)));
        CHECK(sum.at(i) == c.at(i) * a.at(i) + b.at(i));
      }
    }
    const Tensor no_number = Tensor::of({not_a_number, 1, not_a_number});
    CHECK(where(Tensor::of({0, 1, 0}), no_number, 2).text() == "[2, 1, 2]");
    CHECK(std::isnan(where(Tensor::of({not_a_number}), no_number.rows(0, 1), 2).item()));
    const Tensor bounded = clamp(no_number, -1, 0.5);
    CHECK(std::isnan(bounded.at(0)));
    CHECK(bounded.at(1) == 0.5);
  });
  CHECK_THROWS_WITH(where(zeros({2}), zeros({3}), 1),
                    Contains("where") && Contains("(2,)") && Contains("(3,)"));
  CHECK_THROWS_AS(where(zeros({2}), zeros({2}, Dtype::f64), 1), DtypeError);
  CHECK(where(TensorOperand(1), 2, 3).dtype() == Dtype::f64);
}

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
  // One answer for tensors, on a tape and traced: minimum(maximum(x, low), high), in which NaN wins.
  const std::vector<double> odd{not_a_number, infinity, -infinity, 0, -0.0, 1, -2, 3};
  const auto n = static_cast<std::int64_t>(odd.size());
  const Tensor v = Tensor::from(odd, {n, 1, 1}), low = v.reshape({n, 1}), high = v.reshape({n});
  const Tensor bounded = clamp(v, low, high);
  CHECK(identical(bounded, minimum(maximum(v, low), high)));
  CHECK(identical(bounded, clamp(Variable(v), Variable(low), Variable(high)).value()));
  CHECK(identical(bounded, elementwise([](auto a, auto b, auto c) { return clamp(a, b, c); }, v, low, high)));
  CHECK(std::isnan(clamp(Variable(x), not_a_number, 1).value().at(0)));
  CHECK(std::isnan(elementwise([](auto a) { return clamp(a, 0, NAN); }, x).at(0)));
  CHECK(fma(x, 2, Tensor::from(std::vector<float>{0, 1}, {2, 1})).text() == "[[-2, 0, 4], [-1, 1, 5]]");
}
