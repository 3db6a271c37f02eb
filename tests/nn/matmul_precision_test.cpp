#include <cmath>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "models/networks.hpp"
#include "models/transformers.hpp"
#include "tensor/kernels/bf16.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;

namespace {

Indices ids(std::int64_t count, const Shape& shape) {
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < shape.size(); ++i) out.push_back(static_cast<std::int32_t>(7 * i * i % count));
  return Indices(std::move(out), shape);
}

/// The loss of a training step and all its gradients.
template <class Network>
std::vector<Tensor> step(const models::NetworkOptions& options, MatmulPrecision precision) {
  const MatmulPrecisionScope scope(precision);
  Rng rng(1);
  const Network network(rng, options);
  const Indices x = ids(options.vocab, {10, 8});
  Tape tape;
  const Variable loss = network.loss(x, ids(options.vocab, {10, 8}), network.start(8)).first;
  const Gradients gradients = tape.backward(loss);
  std::vector<Tensor> out{loss.value()};
  for_each_parameter(network, [&](const std::string&, const Parameter& p) { out.push_back(gradients[p]); });
  return out;
}

/// The root mean square of what differs, over that of what is expected.
double difference(const Tensor& found, const Tensor& expected) {
  const Tensor x = expected.to(Dtype::f64);
  return std::sqrt(sum(square(found.to(Dtype::f64) - x)).item() / sum(square(x)).item());
}

/// Rounding to 8 bits errs by 2^-9 at most, and by 2e-3 of a product's root mean square. A gradient has
/// passed a few products, in which errors add up at random.
template <class Network>
void check(const models::NetworkOptions& options) {
  const std::vector<Tensor> exact = step<Network>(options, MatmulPrecision::exact);
  for (const char* by : kernels::available_bf16()) {
    kernels::use_bf16(by);
    const std::vector<Tensor> medium = step<Network>(options, MatmulPrecision::medium),
                              high = step<Network>(options, MatmulPrecision::high);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      INFO(by << ", tensor " << i << " of shape " << exact[i].shape().text());
      CHECK(difference(medium[i], exact[i]) < 2e-2);
      CHECK(difference(high[i], exact[i]) < 5e-5);
    }
    CHECK_FALSE(identical(medium.back(), exact.back()));
    CHECK_FALSE(identical(high.back(), exact.back()));
    test::check_same_bits([&] { return step<Network>(options, MatmulPrecision::medium); });
  }
  kernels::use_bf16(nullptr);
}

}  // namespace

TEST_CASE(
    "gradients of networks under each precision are as close as its arithmetic, with the same bits for any "
    "number "
    "of threads",
    "[models][precision][threads]") {
  check<models::LstmNetwork>({.vocab = 200, .embedding = 96, .width = 128, .layers = 2});
  check<models::GruNetwork>({.vocab = 200, .embedding = 96, .width = 128});
  check<models::GptNetwork>({.vocab = 200, .width = 96, .layers = 2, .heads = 4, .context = 10});
  check<models::LlamaNetwork>({.vocab = 200, .width = 96, .layers = 2, .heads = 4, .context = 10});
}

TEST_CASE("a recurrent step by itself is multiplied under the same precision as a sequence", "[precision]") {
  // From a state that is not 0, with as many streams as are worth rounding.
  Rng rng(4);
  const nn::Lstm lstm(rng, 64, 128);
  const Tensor x = rng.normal({1, 96, 64});  // (time, batch, width)
  const nn::LstmState start{Variable(rng.normal({1, 96, 128})), Variable(rng.normal({1, 96, 128}))};
  kernels::use_bf16(kernels::available_bf16().front());
  const auto first_step = [&](const Tensor& of, MatmulPrecision precision) {
    const MatmulPrecisionScope scope(precision);
    return lstm(Variable(of), start).first.value()[0];
  };
  const Tensor two = concat({x, x}, 0);
  const Tensor exact = first_step(x, MatmulPrecision::exact);
  CHECK(difference(first_step(two, MatmulPrecision::exact), exact) < 1e-6);
  const Tensor medium = first_step(x, MatmulPrecision::medium);
  CHECK(difference(medium, exact) > 1e-4);
  CHECK(difference(medium, first_step(two, MatmulPrecision::medium)) < 1e-6);
  kernels::use_bf16(nullptr);
}

TEST_CASE(
    "the gradient of a product under medium precision is that of the function that it computes, but for "
    "rounding",
    "[precision]") {
  // Central differences of a sum of squares of the product; what they err by is what products round.
  Rng rng(2);
  const Tensor a = rng.normal({80, 90}), b = rng.normal({90, 100}), direction = rng.normal({80, 90});
  for (const char* by : kernels::available_bf16()) {
    kernels::use_bf16(by);
    const MatmulPrecisionScope scope(MatmulPrecision::medium);
    const auto value = [&](const Tensor& at) { return sum(square(matmul(at, b)).to(Dtype::f64)).item(); };
    Tape tape;
    const Variable x = tape.watch(a);
    const Gradients gradients = tape.backward(sum(square(matmul(x, Variable(b)))));
    const double slope = sum((gradients[x] * direction).to(Dtype::f64)).item();
    const double numeric = (value(a + direction) - value(a - direction)) / 2;  // exact of a square
    CHECK(slope == Approx(numeric).epsilon(1e-2));
  }
  kernels::use_bf16(nullptr);
}
