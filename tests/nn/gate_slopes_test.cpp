#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/recurrent.hpp"

using namespace gradus;
using gradus::test::CellFunction;
using gradus::test::for_every_instruction_set;

namespace {

using Real = long double;
Real exact_sigmoid(Real x) {
  return 1 / (1 + std::exp(-x));
}
Real exact_sigmoid_slope(Real x) {
  return exact_sigmoid(x) * exact_sigmoid(-x);
}
Real exact_tanh_slope(Real x) {
  return 4 * exact_sigmoid_slope(2 * x);
}

/// The gradients of the sum of h of a single step with respect to the pre-activations, (batch, gates), and
/// the state's parts. Each row is a batch of its own, of one unit.
template <class Cell>
std::vector<Tensor> slopes_of_step(const Tensor& pre, const std::vector<Tensor>& state) {
  const std::int64_t batch = pre.dim(0), gates = pre.dim(1);
  std::vector<Tensor> in{pre.reshape({1, batch, gates})};
  for (const Tensor& part : state) in.push_back(part.reshape({batch, 1}));
  in.insert(in.end(), {eye(gates, pre.dtype()), zeros({gates, 1}, pre.dtype()), zeros({gates}, pre.dtype()),
                       zeros({gates}, pre.dtype())});
  const CellFunction<Cell> step;
  Tape tape;
  std::vector<Variable> xs;
  for (const Tensor& x : in) xs.push_back(tape.watch(x));
  const Gradients gradients = tape.backward(sum(slice(step(xs), 0, 0, batch)));
  std::vector<Tensor> out{gradients[xs[0]].reshape({batch, gates})};
  for (std::size_t i = 0; i < state.size(); ++i) out.push_back(gradients[xs[1 + i]].reshape({batch}));
  return out;
}

void check_relative(const Tensor& ours, std::int64_t at, Real exact) {
  const double eps = ours.dtype() == Dtype::f32 ? 0x1p-23 : 0x1p-52;
  const double smallest = ours.dtype() == Dtype::f32 ? 0x1p-126 : 0x1p-1022;
  INFO(ours.at(at) << ", exactly " << static_cast<double>(exact));
  CHECK(std::abs(static_cast<Real>(ours.at(at)) - exact) <=
        10 * eps * std::max<Real>(std::abs(exact), smallest));
}

}  // namespace

TEST_CASE("the slopes of saturated gates in fused layers are exact", "[nn]") {
  const std::vector<double> points{-400, -95, -50, -17, -9, -1, -0.25, 0, 0.375, 2, 9, 17, 40, 50, 95, 400};
  const auto count = std::ssize(points);
  for_every_instruction_set([&] {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const auto column = [&](double v) { return full({count, 1}, v, dtype); };
      const Tensor at = Tensor::from(points, {count, 1}).to(dtype), state = full({count}, 0.75, dtype);
      const Tensor rnn = slopes_of_step<nn::RnnCell>(at, {state})[0];
      // The output gate, and tanh(c) with c = 0.75.
      const Tensor output = slopes_of_step<nn::LstmCell>(
          concat({column(-1000), column(1000), column(0), at}, 1), {state, state})[0];
      // c is what the state was; the gradient passes the output gate.
      const std::vector<Tensor> cell = slopes_of_step<nn::LstmCell>(
          concat({column(-1000), column(1000), column(0), column(1)}, 1), {state, at.reshape({count})});
      // c = 0.75 f + i tanh(g), where one of the gates is at the point.
      const Tensor input = slopes_of_step<nn::LstmCell>(
          concat({at, column(-1000), column(1), column(1000)}, 1), {state, state})[0];
      const Tensor forget = slopes_of_step<nn::LstmCell>(
          concat({column(-1000), at, column(1), column(1000)}, 1), {state, state})[0];
      const Tensor candidate = slopes_of_step<nn::LstmCell>(
          concat({column(0), column(-1000), at, column(1000)}, 1), {state, state})[0];
      // h = (1 - z) n + z 0.75
      const Tensor reset = slopes_of_step<nn::GruCell>(concat({column(0), at, column(-0.5)}, 1), {state})[0];
      const std::vector<Tensor> update =
          slopes_of_step<nn::GruCell>(concat({column(0), at, column(-0.5)}, 1), {state});
      for (std::int64_t i = 0; i < count; ++i) {
        const Real x = points[static_cast<std::size_t>(i)], s = exact_sigmoid(x);
        INFO("at " << static_cast<double>(x) << " in " << name_of(dtype));
        check_relative(rnn, i, exact_tanh_slope(x));
        check_relative(output, 4 * i + 3, std::tanh(Real{0.75}) * exact_sigmoid_slope(x));
        check_relative(cell[2], i, exact_sigmoid(1) * exact_tanh_slope(x));
        const Real by_input = std::tanh(Real{1}), by_forget = 0.75, half = 0.5;
        check_relative(input, 4 * i, exact_tanh_slope(s * by_input) * by_input * exact_sigmoid_slope(x));
        check_relative(forget, 4 * i + 1,
                       exact_tanh_slope(s * by_forget) * by_forget * exact_sigmoid_slope(x));
        check_relative(candidate, 4 * i + 2,
                       exact_tanh_slope(half * std::tanh(x)) * half * exact_tanh_slope(x));
        const Real n = std::tanh(Real{-0.5});
        check_relative(reset, 3 * i + 1, (Real{0.75} - n) * exact_sigmoid_slope(x));
        check_relative(update[0], 3 * i + 2, exact_sigmoid(-x) * exact_tanh_slope(-half));
        check_relative(update[1], i, s);
      }
      const Tensor new_state =
          slopes_of_step<nn::GruCell>(concat({column(0), column(-3), at}, 1), {state})[0];
      for (std::int64_t i = 0; i < count; ++i) {
        check_relative(new_state, 3 * i + 2,
                       exact_sigmoid(3) * exact_tanh_slope(points[static_cast<std::size_t>(i)]));
      }
    }
  });
}
