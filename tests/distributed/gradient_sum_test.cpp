#include "distributed/gradient_sum.hpp"

#include <cmath>
#include <cstring>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/linear.hpp"
#include "optim/gradient_tree.hpp"
#include "optim/owners.hpp"
#include "tensor/ops.hpp"
#include "tests/distributed/world.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using gradus::test::world;

namespace {

constexpr std::int64_t pieces = 8;

/// Parameters that are large, small, of both dtypes, an embedding, one that only some pieces reach, and one
/// that none does.
struct Parts {
  Parameter large{zeros({700, 900})}, small{zeros({3, 5})}, scalar{zeros({})}, empty{zeros({0, 4})},
      table{zeros({50, 6})}, doubles{zeros({40}, Dtype::f64)}, some{zeros({4})}, never{zeros({2})},
      changing{zeros({20, 3})}, large_some{zeros({500, 600})}, large_changing{zeros({600, 500})};
  static void members(auto& self, auto&& visit) {
    visit("large", self.large);
    visit("small", self.small);
    visit("scalar", self.scalar);
    visit("empty", self.empty);
    visit("table", self.table);
    visit("doubles", self.doubles);
    visit("some", self.some);
    visit("never", self.never);
    visit("changing", self.changing);
    visit("large_some", self.large_some);
    visit("large_changing", self.large_changing);
  }
};

struct Single {
  Parameter p;
  static void members(auto& self, auto&& visit) { visit("p", self.p); }
};
Gradient ones_of(const Parameter& p) {
  return {p.place(), ones(p.shape()), {}};
}

/// What a piece's backward might give in a step: the same in every process.
Gradients gradients_of(const Parts& parts, std::int64_t step, std::int64_t piece) {
  Rng rng(static_cast<std::uint64_t>(1000 * step + piece));
  GradientList out;
  const auto dense = [&](const Parameter& p) {
    out.push_back({p.place(), rng.normal(p.shape(), 0, 1, p.dtype()), {}});
  };
  const auto rows = [&](const Parameter& p, std::int64_t count) {
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < count; ++i)
      ids.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(p.shape()[0]))));
    const Tensor values = rng.normal(p.shape().with(0, count), 0, 1, p.dtype());
    out.push_back({p.place(), {}, Rows{Indices(ids), values, p.shape()[0]}.merged()});
  };
  for (const Parameter* p : {&parts.large, &parts.small, &parts.scalar, &parts.empty, &parts.doubles})
    dense(*p);
  rows(parts.table, 7);
  if (piece % 3 == 1) dense(parts.some);
  // Large ones are sent from where they are. This one is missing in a process from the third step on, when
  // all know it to be dense, and that one has rows in some.
  if (step < 2 || piece >= pieces / 2) dense(parts.large_some);
  if (step < 1 || piece < pieces / 2) {
    dense(parts.large_changing);
  } else {
    rows(parts.large_changing, 4);
  }
  if ((piece + step) % 2 == 0) {
    dense(parts.changing);
  } else {
    rows(parts.changing, 4);
  }
  return Gradients(std::move(out));
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  return visit_dtype(a.dtype(), [&](auto tag) {
    using T = decltype(tag);
    return std::memcmp(a.data<T>(), b.data<T>(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0;
  });
}

void check_same(const Gradients& a, const Gradients& b) {
  REQUIRE(a.entries().size() == b.entries().size());
  for (std::size_t i = 0; i < a.entries().size(); ++i) {
    const Gradient &x = a.entries()[i], &y = b.entries()[i];
    INFO("entry " << i << " of shape " << x.values().shape());
    CHECK(x.of == y.of);
    REQUIRE(x.is_sparse() == y.is_sparse());
    CHECK(same_bits(x.values(), y.values()));
    if (x.is_sparse()) CHECK(std::ranges::equal(x.rows.ids.values(), y.rows.ids.values()));
  }
}

/// Those of one owner's parameters.
Gradients owned(const Gradients& all, const ParameterView& view, std::span<const int> owners, int rank) {
  GradientList out;
  for (std::size_t i = 0; i < owners.size(); ++i) {
    const Gradient* const gradient = all.find(view.parts()[i].second->place());
    if (gradient != nullptr && owners[i] == rank) out.push_back(*gradient);
  }
  return Gradients(std::move(out));
}

}  // namespace

TEST_CASE("gradients that several processes sum have the bits of one that adds all pieces", "[sum]") {
  const auto& all = world();
  Parts parts;
  distributed::GradientSum sum(all, parts, 1.0 / pieces);
  const std::int64_t own = pieces / all.size();
  for (std::int64_t step = 0; step < 4; ++step) {
    optim::GradientTree every, mine;
    for (std::int64_t p = 0; p < pieces; ++p) every.add(gradients_of(parts, step, p));
    Gradients expected = every.take();
    expected *= 1.0 / pieces;
    for (std::int64_t k = 0; k + 1 < own; ++k) mine.add(gradients_of(parts, step, all.rank() * own + k));
    // The last piece's come one by one, some of them at the end.
    Gradients last = gradients_of(parts, step, all.rank() * own + own - 1);
    GradientList rest;
    std::size_t i = 0;
    for (Gradient& gradient : last.entries()) {
      if (++i % 4 == 0) {
        rest.push_back(gradient);
      } else {
        mine.complete(gradient);
        sum.add(gradient);
      }
    }
    INFO("step " << step);
    check_same(sum.finish(mine.take_rest(Gradients(std::move(rest)))), expected);
  }
  CHECK(sum.spent() >= sum.waited());
}

TEST_CASE("owners get the sums of their parameters alone, and all get what they make of them", "[sum]") {
  const auto& all = world();
  for (const bool by_rows : {true, false}) {
    INFO("by rows: " << by_rows);
    Parts parts;
    const ParameterView view(parts);
    const std::vector<int> owners = optim::owners_of(view, all.size());
    distributed::GradientSum sum(all, view, 1.0 / pieces, owners);
    const std::int64_t own = pieces / all.size();
    for (std::int64_t step = 0; step < 4; ++step) {
      INFO("step " << step);
      optim::GradientTree every, mine;
      for (std::int64_t p = 0; p < pieces; ++p) every.add(gradients_of(parts, step, p));
      Gradients expected = every.take();
      expected *= 1.0 / pieces;
      for (std::int64_t k = 0; k < own; ++k) mine.add(gradients_of(parts, step, all.rank() * own + k));
      const Gradients sums = sum.finish(mine.take());
      check_same(sums, owned(expected, view, owners, all.rank()));
      CHECK(sum.norm(sums) == norm(expected));
      // A step of each element, or of whole parameters, by its owner, beside one by everybody.
      Parts reference;
      for (std::size_t i = 0; i < view.parts().size(); ++i) {
        Parameter& shared = *view.parts()[i].second;
        Tensor& value = ParameterView(reference).parts()[i].second->mutable_value();
        value = shared.value();
        const Gradient* const gradient = expected.find(shared.place());
        if (gradient == nullptr) continue;
        if (by_rows && gradient->is_sparse()) {
          index_add(value, 0, gradient->rows.ids, gradient->rows.values);
        } else {
          value = value * 0.5 + gradient->tensor();
        }
        if (owners[i] == all.rank()) shared.mutable_value() = value;
      }
      sum.share(by_rows);
      for (std::size_t i = 0; i < view.parts().size(); ++i) {
        INFO(view.parts()[i].first);
        CHECK(
            same_bits(view.parts()[i].second->value(), ParameterView(reference).parts()[i].second->value()));
      }
    }
  }
}

TEST_CASE("a large gradient is summed where it is", "[sum]") {
  const auto& all = world();
  for (const Shape& shape : {Shape{600, 500}, Shape{300000}}) {
    Single large{Parameter(zeros(shape))};
    distributed::GradientSum sum(all, large, 1);
    Gradient gradient = ones_of(large.p);
    const float* const before = gradient.dense.data<float>();
    sum.add(gradient);
    const Gradients sums = sum.finish({});
    CHECK(sums.find(large.p.place())->dense.data<float>() == before);
    CHECK(identical(sums[large.p], full(shape, all.size())));
  }
}

TEST_CASE("a process may own nothing", "[sum]") {
  const auto& all = world();
  Single only{Parameter(zeros({3}))};
  const std::vector<int> owners{all.size() - 1};
  distributed::GradientSum sum(all, ParameterView(only), 1, owners);
  Gradient gradient = ones_of(only.p);
  sum.add(gradient);
  const Gradients sums = sum.finish({});
  CHECK(sum.norm(sums) == Approx(std::sqrt(3) * all.size()));
  if (all.rank() == owners[0]) only.p.mutable_value() = sums[only.p];
  sum.share(true);
  CHECK(identical(only.p.value(), full({3}, all.size())));
}

TEST_CASE("one sum at a time is on its way", "[sum]") {
  const auto& all = world();
  if (all.alone()) return;
  Single a{Parameter(zeros({3}))}, b{Parameter(zeros({3}))};
  distributed::GradientSum first(all, a, 1), second(all, b, 1);
  Gradient of_a = ones_of(a.p), of_b = ones_of(b.p);
  first.add(of_a);
  CHECK_THROWS_WITH(second.add(of_b), Catch::Contains("finish one before the other"));
  CHECK_THROWS_WITH(second.finish({}), Catch::Contains("finish one before the other"));
  CHECK(identical(first.finish({})[a.p], full({3}, all.size())));
  second.add(of_b);  // which was left as it was
  CHECK(identical(second.finish({})[b.p], full({3}, all.size())));
}

TEST_CASE("a parameter that is frozen when a sum is made stays so", "[sum]") {
  const auto& all = world();
  if (all.alone()) return;
  Rng rng(3);
  nn::Linear model(rng, 4, 2);
  model.bias.freeze();
  distributed::GradientSum sum(all, model, 1);
  model.bias.unfreeze();
  CHECK_THROWS_WITH(sum.finish({}), Catch::Contains("bias was frozen when this GradientSum was made"));
  // A new one beside it has a part for what it knows.
  distributed::GradientSum again(all, model, 1);
  Gradient gradient = ones_of(model.bias);
  again.add(gradient);
  CHECK(identical(again.finish({})[model.bias], full({2}, all.size())));
}

TEST_CASE("owners that there are not are refused", "[sum]") {
  const auto& all = world();
  Rng rng(3);
  nn::Linear model(rng, 4, 2);
  const ParameterView view(model);
  const std::vector<int> none{0, all.size()}, few{0};
  CHECK_THROWS_WITH(distributed::GradientSum(all, view, 1, none), Catch::Contains("is the owner of"));
  CHECK_THROWS_WITH(distributed::GradientSum(all, view, 1, few),
                    "1 owners of 2 parameters; give one for each");
}

TEST_CASE("the average of gradients is that of all processes", "[sum]") {
  const auto& all = world();
  Rng rng(3);
  nn::Linear model(rng, 4, 2);
  const Tensor x = Rng(static_cast<std::uint64_t>(all.rank())).normal({3, 4});
  const auto loss = [&](const Tensor& input) {
    const Variable y = model(Variable(input));
    return mean(y * y);
  };
  Tape tape;
  const Gradients mean = distributed::average(model, tape.backward(loss(x)), all);
  Tensor expected = zeros({2, 4});
  for (int r = 0; r < all.size(); ++r) {
    Tape of_one;
    add_to(expected, of_one.backward(loss(Rng(static_cast<std::uint64_t>(r)).normal({3, 4})))[model.weight] /
                         all.size());
  }
  CHECK(max(abs(mean[model.weight] - expected)).item() < 1e-6);
}

TEST_CASE("models that differ are refused where their gradients are summed", "[sum]") {
  const auto& all = world();
  if (all.alone()) return;
  Rng rng(3);
  nn::Linear model(rng, 4, 2, {.bias = all.rank() == 0}), alike(rng, 4, 2);
  CHECK_THROWS_WITH(distributed::GradientSum(all, model, 1), Catch::Contains("other parameters"));
  const std::vector<int> owners(ParameterView(alike).parts().size(), all.rank() == 0 ? 1 : 0);
  CHECK_THROWS_WITH(distributed::GradientSum(all, ParameterView(alike), 1, owners),
                    Catch::Contains("other owners"));
}
