#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/instruction_sets.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::for_every_instruction_set;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// A function, the most that it may be off in f32 and f64 in units of the last place, and its exact value.
struct Function {
  const char* name;
  Tensor (*ours)(const TensorArgument&);
  long double (*exact)(long double);
  double ulps_f32, ulps_f64;
};
const std::vector<Function>& functions() {
  using Real = long double;
  static const std::vector<Function> all{
      // The ones that models spend their time in.
      {"exp", exp, [](Real x) { return std::exp(x); }, 2, 4},
      {"log", log, [](Real x) { return std::log(x); }, 2, 4},
      {"tanh", tanh, [](Real x) { return std::tanh(x); }, 2, 4},
      {"sigmoid", sigmoid,
       [](Real x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }, 2, 4},
      {"erf", erf, [](Real x) { return std::erf(x); }, 2, 4},
      // Exactly rounded, or nearly.
      {"neg", [](const TensorArgument& x) { return -x; }, [](Real x) { return -x; }, 0.51, 0.51},
      {"abs", abs, [](Real x) { return std::abs(x); }, 0.51, 0.51},
      {"square", square, [](Real x) { return x * x; }, 0.51, 0.51},
      {"sqrt", sqrt, [](Real x) { return std::sqrt(x); }, 0.51, 0.51},
      {"rsqrt", rsqrt, [](Real x) { return 1 / std::sqrt(x); }, 2, 2},
      {"reciprocal", reciprocal, [](Real x) { return 1 / x; }, 0.51, 0.51},
      {"floor", floor, [](Real x) { return std::floor(x); }, 0.51, 0.51},
      {"ceil", ceil, [](Real x) { return std::ceil(x); }, 0.51, 0.51},
      {"round", round, [](Real x) { return std::nearbyint(x); }, 0.51, 0.51},
      {"sign", sign, [](Real x) { return std::isnan(x) ? x : Real((x > 0) - (x < 0)); }, 0.51, 0.51},
      {"relu", relu, [](Real x) { return x <= 0 ? 0 : x; }, 0.51, 0.51},
      // The others.
      {"expm1", expm1, [](Real x) { return std::expm1(x); }, 2, 4},
      {"log1p", log1p, [](Real x) { return std::log1p(x); }, 2, 4},
      {"log2", log2, [](Real x) { return std::log2(x); }, 2, 4},
      {"sin", sin, [](Real x) { return std::sin(x); }, 2, 4},
      {"cos", cos, [](Real x) { return std::cos(x); }, 2, 4},
      {"tan", tan, [](Real x) { return std::tan(x); }, 4, 4},
      {"asin", asin, [](Real x) { return std::asin(x); }, 4, 4},
      {"acos", acos, [](Real x) { return std::acos(x); }, 4, 4},
      {"atan", atan, [](Real x) { return std::atan(x); }, 4, 4},
      {"sinh", sinh, [](Real x) { return std::sinh(x); }, 4, 4},
      {"cosh", cosh, [](Real x) { return std::cosh(x); }, 4, 4},
      {"asinh", asinh, [](Real x) { return std::asinh(x); }, 4, 4},
      {"acosh", acosh, [](Real x) { return std::acosh(x); }, 4, 4},
      {"atanh", atanh, [](Real x) { return std::atanh(x); }, 4, 4},
      {"erfc", erfc, [](Real x) { return std::erfc(x); }, 4, 8},
      {"lgamma", lgamma, [](Real x) { return std::lgamma(x); }, 4, 8},
  };
  return all;
}

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

/// How far `got` is from the exact value, in units in the last place of the nearest T; infinite when one is
/// NaN, or a zero has the wrong sign. What overflows counts as the power of two behind the largest number.
template <class T>
double ulps_off(T got, long double exact) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : infinity;
  if (std::isinf(exact)) return got == static_cast<T>(exact) ? 0 : infinity;
  const T nearest = static_cast<T>(exact);
  if (std::isinf(nearest) && got == nearest) return 0;
  if (nearest == 0 && got == 0) return std::signbit(got) == std::signbit(nearest) ? 0 : infinity;
  const auto finite = [](T x) {
    return std::isinf(x) ? std::copysign(std::ldexp(1.0L, Limits::max_exponent), static_cast<long double>(x))
                         : static_cast<long double>(x);
  };
  int exponent = 0;
  std::frexp(std::isinf(nearest) ? Limits::max() : nearest, &exponent);
  exponent = std::max(exponent, Limits::min_exponent);
  return static_cast<double>(std::abs(finite(got) - exact) / std::ldexp(1.0L, exponent - Limits::digits));
}

template <class T>
void check_functions(int per_exponent) {
  const std::vector<T> x = probes<T>(per_exponent);
  const Tensor inputs = Tensor::from(x, {static_cast<std::int64_t>(x.size())});
  std::vector<long double> exact(x.size());
  for (const Function& f : functions()) {
    for (std::size_t i = 0; i < x.size(); ++i) exact[i] = f.exact(static_cast<long double>(x[i]));
    for_every_instruction_set([&] {
      const Tensor outputs = f.ours(inputs);
      const std::span<const T> y = outputs.values<T>();
      double worst = 0;
      std::size_t at = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double off = ulps_off(y[i], exact[i]);
        if (!(off <= worst)) {
          worst = off;
          at = i;
        }
      }
      INFO(f.name << " in " << name_of(dtype_of<T>()) << " at " << x[at] << ": " << y[at]);
      CHECK(worst < (sizeof(T) == 4 ? f.ulps_f32 : f.ulps_f64));
    });
  }
}

bool same(double a, double b, double relative) {
  if (std::isnan(b)) return std::isnan(a);
  if (std::isinf(b) || b == 0) return a == b && std::signbit(a) == std::signbit(b);
  return std::abs(a - b) <= relative * std::abs(b);
}

}  // namespace

TEST_CASE("functions of one number are right to the last places at every exponent, in f32", "[elementwise]") {
  check_functions<float>(300);
}

TEST_CASE("functions of one number are right to the last places at every exponent, in f64", "[elementwise]") {
  check_functions<double>(12);
}

TEST_CASE("functions of two numbers are the standard library's at odd and at usual values", "[elementwise]") {
  struct Pair {
    const char* name;
    Tensor (*ours)(const TensorOperand&, const TensorOperand&);
    double (*theirs)(double, double);
  };
  const std::vector<Pair> pairs{
      {"pow", pow, [](double a, double b) { return std::pow(a, b); }},
      {"atan2", atan2, [](double a, double b) { return std::atan2(a, b); }},
      {"fmod", fmod, [](double a, double b) { return std::fmod(a, b); }},
      {"less", less, [](double a, double b) { return double(a < b); }},
      {"less_equal", less_equal, [](double a, double b) { return double(a <= b); }},
      {"greater", greater, [](double a, double b) { return double(a > b); }},
      {"greater_equal", greater_equal, [](double a, double b) { return double(a >= b); }},
      {"equal", equal, [](double a, double b) { return double(a == b); }},
      {"not_equal", not_equal, [](double a, double b) { return double(a != b); }},
  };
  std::vector<double> values{not_a_number, infinity, -infinity, 0,    -0.0, 1,      -1,  2,
                             -2,           3,        0.5,       -2.5, 1e30, -1e-30, 7.25};
  const auto n = static_cast<std::int64_t>(values.size());
  for_every_instruction_set([&] {
    for (const Pair& f : pairs) {
      for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
        const Tensor row = Tensor::from(values, {1, n}).to(dtype), column = row.reshape({n, 1});
        const Tensor y = f.ours(column, row);
        for (std::int64_t i = 0; i < n; ++i) {
          for (std::int64_t j = 0; j < n; ++j) {
            const double a = row.at(i), b = row.at(j), got = y.at(i * n + j);
            double wanted = f.theirs(a, b);
            if (dtype == Dtype::f32) wanted = static_cast<double>(static_cast<float>(wanted));
            INFO(f.name << "(" << a << ", " << b << ") in " << name_of(dtype) << ": " << got);
            CHECK(same(got, wanted, dtype == Dtype::f32 ? 2e-7 : 4e-16));
            // A number on either side is no other case.
            CHECK(same(f.ours(row, b).at(i), got, 0));
            CHECK(same(f.ours(a, row).at(j), got, 0));
          }
        }
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
  CHECK(at(0, 0.0) == -infinity);
  CHECK(at(0, -0.0) == infinity);
  CHECK(std::isnan(at(0, -3)));
  CHECK(std::isnan(at(0, -infinity)));
  CHECK(at(0, infinity) == infinity);
  CHECK(at(1, 0) == infinity);
  CHECK(at(1, -2) == infinity);
  CHECK(at(2, -1) == -infinity);
  CHECK(at(1, infinity) == 0);
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
    for (const Function& f : functions()) {
      INFO(f.name);
      const Tensor together = f.ours(all);
      set_threads(1);
      CHECK(identical(f.ours(all), together));
      set_threads(0);
      for (std::int64_t i = 0; i < 40; ++i) {
        const Tensor alone = f.ours(Tensor::scalar(all.at(i)));
        CHECK(same(alone.item(), together.at(i), 0));
        CHECK(identical(f.ours(all.rows(0, i)), together.rows(0, i)));
      }
    }
  });
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
  CHECK(where(1, 2, 3).dtype() == Dtype::f64);
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
  CHECK(fma(x, 2, Tensor::from(std::vector<float>{0, 1}, {2, 1})).text() == "[[-2, 0, 4], [-1, 1, 5]]");
}
