#include "autograd/ops/einsum.hpp"

#include <algorithm>
#include <map>

#include "tensor/ops/einsum_plan.hpp"
#include "tensor/random.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

/// The sum over every value of every letter, for subscripts with `->` and without `...`.
Tensor naive(const std::string& subscripts, const std::vector<Tensor>& operands) {
  const std::size_t arrow = subscripts.find("->");
  std::vector<std::string> terms{""};
  for (const char c : subscripts.substr(0, arrow)) {
    if (c == ',') {
      terms.emplace_back();
    } else {
      terms.back() += c;
    }
  }
  const std::string out = subscripts.substr(arrow + 2);
  std::map<char, std::int64_t> length, at;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    for (std::size_t axis = 0; axis < terms[i].size(); ++axis)
      length[terms[i][axis]] = operands[i].dim(static_cast<int>(axis));
  }
  const auto place = [&](const std::string& letters) {
    std::int64_t p = 0;
    for (const char c : letters) p = p * length[c] + at[c];
    return p;
  };
  std::vector<std::int64_t> dims;
  std::int64_t size = 1, total = 1;
  for (const char c : out) dims.push_back(length[c]);
  for (const std::int64_t d : dims) size *= d;
  for (const auto& [c, n] : length) total *= n;
  std::vector<double> values(static_cast<std::size_t>(size), 0.0);
  for (std::int64_t i = 0; i < total; ++i) {
    std::int64_t rest = i;
    for (const auto& [c, n] : length) {
      at[c] = rest % n;
      rest /= n;
    }
    double product = 1;
    for (std::size_t k = 0; k < terms.size(); ++k) product *= operands[k].at(place(terms[k]));
    values[static_cast<std::size_t>(place(out))] += product;
  }
  return Tensor::from(values, Shape(dims));
}

const std::map<char, std::int64_t> lengths{{'a', 2}, {'b', 3}, {'c', 4}, {'d', 5},
                                           {'e', 1}, {'f', 2}, {'z', 0}};

std::vector<Tensor> operands_for(Rng& rng, const std::string& subscripts, Dtype dtype) {
  std::vector<Tensor> out;
  std::vector<std::int64_t> dims;
  for (const char c : subscripts.substr(0, subscripts.find("->")) + ",") {
    if (c != ',') {
      dims.push_back(lengths.at(c));
    } else {
      out.push_back(rng.uniform(Shape(dims), -1, 1, dtype));
      dims.clear();
    }
  }
  return out;
}

}  // namespace

TEST_CASE("einsum equals loops over every index", "[einsum]") {
  Rng rng(1);
  for (const char* subscripts : {"ab->ab",
                                 "ab->ba",
                                 "ab->",
                                 "ab->b",
                                 "abcd->dbca",
                                 "abcd->ca",
                                 "aa->a",
                                 "aa->",
                                 "aba->b",
                                 "abab->ba",
                                 "aabb->ab",
                                 "abcabc->cab",
                                 "->",
                                 "a,a->",
                                 "a,a->a",
                                 "a,b->ab",
                                 "a,b->ba",
                                 "a,b->",
                                 "ab,bc->ac",
                                 "ab,cb->ac",
                                 "ba,bc->ac",
                                 "ba,cb->ca",
                                 "ab,b->a",
                                 "ab,a->b",
                                 "a,ab->b",
                                 "abc,acd->abd",
                                 "abc,adc->abd",
                                 "abc,abc->a",
                                 "abc,abc->cab",
                                 "abc,bc->abc",
                                 "abc,bc->a",
                                 "abcd,abce->dae",
                                 "dcba,acf->bfd",
                                 "ab,cd->acbd",
                                 "aab,bcc->ac",
                                 "ab,cd->",
                                 "abz,zc->abc",
                                 "az,az->a",
                                 "za,ab->zb",
                                 ",ab->ab",
                                 "ab,->b",
                                 "ab,bc,cd->ad",
                                 "ab,bc,cd,da->",
                                 "ab,ab,ab->ab",
                                 "a,b,c,d->dcba",
                                 "abf,bcd,ef,cd->ae",
                                 "ae,eb->ab",
                                 "aa,aa->a",
                                 "abcdef,abcdef->"}) {
    for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
      INFO(subscripts << " in " << name_of(dtype));
      const std::vector<Tensor> operands = operands_for(rng, subscripts, dtype);
      const Tensor out = einsum(subscripts, operands);
      CHECK(out.dtype() == dtype);
      CHECK(difference(out.to(Dtype::f64), naive(subscripts, operands)) <
            (dtype == Dtype::f64 ? 1e-13 : 1e-5));
    }
  }
}

TEST_CASE("einsum's values and gradients are PyTorch's", "[einsum]") {
  using Xs = std::span<const Variable>;
  check_torch_case("einsum_attention", {"a", "b"}, [](Xs x) { return einsum("bqhd,bkhd->bhqk", x); });
  check_torch_case("einsum_implicit", {"a", "b"}, [](Xs x) { return einsum("ba...,c...b", x); });
  check_torch_case("einsum_bilinear", {"a", "b", "c"}, [](Xs x) { return einsum("bi,kij,bj->bk", x); });
}

TEST_CASE("einsum without -> sorts the letters that stand once, after ...", "[einsum]") {
  Rng rng(2);
  const Tensor a = rng.normal({2, 3}), b = rng.normal({3, 4}), square = rng.normal({3, 3});
  CHECK(identical(einsum("ij,jk", {a, b}), einsum("ij,jk->ik", {a, b})));
  CHECK(identical(einsum("ba", {a}), transpose(a)));
  CHECK(identical(einsum("aB", {a}), transpose(a)));  // capitals first
  CHECK(einsum("ii", {square}).rank() == 0);
  CHECK(identical(einsum("...", {a}), a));
  CHECK(identical(einsum(" i j , j k -> i k ", {a, b}), matmul(a, b)));
  CHECK(identical(einsum("j...", {a}), transpose(a)));  // the axes of ... before the letters
}

TEST_CASE("einsum's ... stands for any number of axes, which broadcast", "[einsum]") {
  Rng rng(3);
  const auto draw = [&](const Shape& shape) { return rng.normal(shape, 0, 1, Dtype::f64); };
  for (const auto& [left, right] : std::vector<std::pair<Shape, Shape>>{{{2, 3}, {3, 4}},
                                                                        {{5, 2, 3}, {3, 4}},
                                                                        {{2, 3}, {5, 3, 4}},
                                                                        {{5, 1, 2, 3}, {6, 3, 4}},
                                                                        {{1, 2, 3}, {0, 3, 4}},
                                                                        {{1, 2, 3}, {1, 3, 4}}}) {
    INFO(left.text() << " " << right.text());
    const Tensor a = draw(left), b = draw(right);
    CHECK(difference(einsum("...ij,...jk->...ik", {a, b}), matmul(a, b)) < 1e-13);
    CHECK(difference(einsum("...ij,...jk", {a, b}), matmul(a, b)) < 1e-13);
  }
  const Tensor a = draw({1, 3}), b = draw({4, 3});
  // Summed over ... when the result lacks it, each side stretched first.
  CHECK(difference(einsum("...i,...i->i", {a, b}), sum(a * b, 0)) < 1e-13);
  CHECK(difference(einsum("...i,...i->i", {b, a}), sum(a * b, 0)) < 1e-13);
  CHECK(difference(einsum("...i,...i,...->...", {a, b, draw({1})}).reshape({4, 1}),
                   einsum("...i,...i,...->...", {a, b, ones({4}, Dtype::f64)}).reshape({4, 1})) > 0);
  CHECK(einsum("...ii->...i", {draw({2, 3, 3})}).shape() == Shape{2, 3});
  CHECK(einsum("i...j->j...i", {draw({2, 3, 4, 5})}).shape() == Shape{5, 3, 4, 2});
}

TEST_CASE("einsum contracts the pair that leaves least first", "[einsum]") {
  const auto order = [](const char* subscripts, std::vector<Shape> shapes) {
    std::vector<std::pair<int, int>> out;
    for (const detail::EinsumStep& step : detail::plan_einsum(subscripts, shapes))
      out.emplace_back(step.left, step.right);
    return out;
  };
  using Order = std::vector<std::pair<int, int>>;
  // Both ways leave as many elements: the one with less work is taken.
  CHECK(order("ab,bc,cd->ad", {{3, 100}, {100, 100}, {100, 2}}) == Order{{1, 2}, {0, 3}});
  CHECK(order("ab,bc,cd->ad", {{2, 100}, {100, 100}, {100, 3}}) == Order{{0, 1}, {3, 2}});
  // Never the outer product of the first two.
  CHECK(order("a,b,abc->c", {{50}, {60}, {50, 60, 2}}).front().second == 2);
  // One step, and no copies, for what is one product.
  CHECK(detail::plan_einsum("ab,bc->ac", std::vector<Shape>{{2, 3}, {3, 4}}).size() == 1);
}

TEST_CASE("einsum reads NaN through, and shares the storage of what it leaves as it is", "[einsum]") {
  Tensor a = ones({2, 2}, Dtype::f64);
  a.mutable_data<double>()[1] = std::numeric_limits<double>::quiet_NaN();
  const Tensor product = einsum("ij,jk->ik", {a, zeros({2, 2}, Dtype::f64)});
  CHECK(std::isnan(product.at(0)));
  CHECK(product.at(2) == 0);
  CHECK(einsum("ij->ij", {a}).data<double>() == a.data<double>());
}

TEST_CASE("errors of einsum name the place in the subscripts", "[einsum]") {
  const Tensor a = zeros({2, 3}), b = zeros({3, 4});
  const auto fails = [&](const char* subscripts, const char* text) {
    INFO(subscripts);
    CHECK_THROWS_AS(einsum(subscripts, {a, b}), ArgumentError);
    CHECK_THROWS_WITH(einsum(subscripts, {a, b}),
                      Contains(std::string("einsum: \"") + subscripts + "\"") && Contains(text));
  };
  fails("ij,j%->i", "position 4: '%'");
  fails("ij,jk->ik,", "position 9: ','");
  fails("ij,jk->il", "position 8: 'l' of the result occurs in no operand");
  fails("ij,jk->ii", "position 8: 'i' occurs twice");
  fails("ij,jk-ik", "position 5: '-' without '>'");
  fails("i.j,jk->ik", "position 1: '.'");
  fails("...i...,jk->ik", "position 4: a second '...'");
  fails("ij->i", "names 1 operand, 2 were given");
  fails("ij,jk,kl->i", "names 3 operands, 2 were given");
  CHECK_THROWS_AS(einsum("ijk,jk->i", {a, b}), ShapeError);
  CHECK_THROWS_WITH(einsum("i,jk->i", {a, b}),
                    Contains("position 0: 1 letter for operand 0 of shape (2, 3)") && Contains("'...'"));
  CHECK_THROWS_WITH(einsum("ij,ij->i", {a, b}), Contains("'i' is 2 in operand 0 of shape (2, 3) but 3 in "
                                                         "operand 1 of shape (3, 4)"));
  CHECK_THROWS_WITH(einsum("ij,jk", {zeros({2, 1}), b}), Contains("'j' is 1"));  // letters do not stretch
  CHECK_THROWS_WITH(einsum("ii->i", {a}), Contains("'i' is 2"));
  CHECK_THROWS_WITH(einsum("...i,...i->i", {a, b.reshape({4, 3})}), Contains("axis -1 of '...'"));
  CHECK_THROWS_AS(einsum("ij,jk", {a, b.to(Dtype::f64)}), DtypeError);
  CHECK_THROWS_AS(einsum("", std::span<const Tensor>()), ArgumentError);
  CHECK_THROWS_WITH(einsum("ij,ij->i", {Variable(a), Variable(b)}),
                    Contains("at einsum_test.cpp:") && Contains("einsum"));
  CHECK_THROWS_WITH(einsum("ab,cd,ef,gh,ij->abcdefghij", {a, a, a, a, a}), Contains("axes"));
}

TEST_CASE("einsum has the same bits for any number of threads", "[einsum][threads]") {
  Rng rng(4);
  const Tensor q = rng.normal({8, 40, 4, 16}), k = rng.normal({8, 30, 4, 16});
  test::check_same_bits([&] {
    return std::vector{einsum("bqhd,bkhd->bhqk", {q, k}), einsum("bqhd,bqhd->bh", {q, q})};
  });
}
