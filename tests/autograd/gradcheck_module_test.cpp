#include <stdexcept>

#include "autograd/gradcheck.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "nn/norm.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

/// tanh, whose gradient is off by `error`.
Variable bent(const Variable& x, double error) {
  return record("bent", tanh(x.value()),
                wrt(x, [x, error](const Variable& g) { return g * (1 - square(tanh(x))) * (1 + error); }));
}

struct Layer {
  Parameter weight, bias;
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};
/// A net of two layers; the bias of the second goes through a function of its own.
struct Net {
  std::vector<Layer> layers;
  double error = 0;

  explicit Net(Dtype dtype = Dtype::f64) {
    Rng rng(1);
    for (int i = 0; i < 2; ++i)
      layers.push_back({Parameter(rng.normal({3, 3}, 0, 1, dtype)), Parameter(rng.normal({3}, 0, 1, dtype))});
  }
  Variable operator()(const Variable& x) const {
    const Variable hidden = tanh(matmul(x, layers[0].weight) + layers[0].bias);
    return matmul(hidden, layers[1].weight) + bent(layers[1].bias, error);
  }
  static void members(auto& self, auto&& visit) { visit("layers", self.layers); }
};

}  // namespace

TEST_CASE("gradcheck of a model covers every parameter, and names the path of one that is wrong",
          "[gradient][module]") {
  const Variable x(Rng(2).normal({2, 3}, 0, 1, Dtype::f64));
  const auto loss = [&](const Net& net) { return sum(square(net(x))); };
  Net net;
  const GradcheckResult right = gradcheck(net, loss);
  INFO(right.message);
  CHECK(right.passed);
  CHECK(right.checked == 3 * 24 + 1);
  CHECK(gradcheck(net, [&] { return mean(net(x)); }, {.second_order = false}).passed);
  net.error = 1e-3;
  const GradcheckResult wrong = gradcheck(net, loss);
  CHECK_FALSE(wrong.passed);
  CHECK_THAT(wrong.message, Contains("backward derivative of layers.1.bias (shape (3,)), element ("));
  CHECK(wrong.worst->input == 3);
}

TEST_CASE("gradcheck leaves a model as it was, also when its loss throws", "[gradient][module]") {
  Net net;
  std::vector<std::pair<Tensor, std::uint32_t>> before;
  for_each_parameter(net,
                     [&](const std::string&, const Parameter& p) { before.emplace_back(p.value(), p.id()); });
  const auto unchanged = [&] {
    std::size_t i = 0;
    bool same = true;
    for_each_parameter(net, [&](const std::string&, const Parameter& p) {
      same &= identical(p.value(), before[i].first) && p.id() == before[i].second && !p.is_constant();
      ++i;
    });
    return same;
  };
  const Variable x(Rng(2).normal({2, 3}, 0, 1, Dtype::f64));
  gradcheck(net, [&](const Net& n) { return sum(n(x)); });
  CHECK(unchanged());
  int calls = 0;
  const auto throws = [&](const Net& n) {
    if (++calls == 5) throw std::runtime_error("stop");
    return sum(n(x));
  };
  CHECK_THROWS_WITH(gradcheck(net, throws), "stop");
  CHECK(unchanged());
}

TEST_CASE("gradcheck of a model says what it needs", "[gradient][module]") {
  Net single(Dtype::f32), net;
  CHECK_THROWS_WITH(gradcheck(single, [](const Net& n) { return sum(n.layers[0].weight); }),
                    Contains("gradcheck: layers.0.weight is f32; convert(model, Dtype::f64)"));
  Rng rng(1);
  const auto random = [&](const Net& n) {
    return sum(n.layers[0].bias * rng.uniform({3}, 0, 1, Dtype::f64));
  };
  CHECK_THROWS_WITH(gradcheck(net, random), Contains("the loss differs from call to call"));
  Net empty;
  empty.layers.clear();
  CHECK_THROWS_WITH(gradcheck(empty, [](const Net&) { return Variable(Tensor::scalar(1)); }),
                    Contains("no parameters"));
}

TEST_CASE("a check of a model gives back its buffers", "[gradcheck]") {
  nn::BatchNorm norm(3);
  convert(norm, Dtype::f64);
  Rng rng(1);
  norm.weight.mutable_value() = rng.normal({3}, 1, 0.1, Dtype::f64);
  const Tensor x = rng.normal({6, 3}, 0, 1, Dtype::f64);
  const Tensor mean = norm.running_mean.value();
  const GradcheckResult result = gradcheck(norm, [&](auto& m) { return sum(sin(m(Variable(x), &rng))); });
  INFO(result.message);
  CHECK(result.passed);
  CHECK(norm.num_batches_tracked.value().item() == 0);
  CHECK(identical(norm.running_mean.value(), mean));
}
