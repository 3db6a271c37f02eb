#include "optim/whole.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/ops.hpp"

namespace gradus::optim {

namespace {

double rms(const Tensor& x) {
  return x.size() == 0 ? 0 : norm(x).item() / std::sqrt(static_cast<double>(x.size()));
}
/// sum + (x - sum) * share
Tensor towards(const Tensor& sum, const Tensor& x, double share) {
  return sum + (x - sum) * share;
}

}  // namespace

void AdafactorRule::check(const Options& o) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  check_options("Adafactor", {{"lr", o.lr, not_negative},
                              {"beta2_decay", o.beta2_decay, {-infinity, 0, "below 0"}},
                              {"eps1", o.eps1.value_or(1), keeps_from_zero},
                              {"eps2", o.eps2, not_negative},
                              {"clip", o.clip, keeps_from_zero},
                              {"weight_decay", o.weight_decay, not_negative}});
}

StateArrays AdafactorRule::state(const Options&, const Shape& parameter) {
  if (parameter.rank() < 2) return {{"variance", parameter}};
  return {{"row_var", parameter.with(-1, 1)}, {"col_var", parameter.with(-2, 1)}};
}

void AdafactorRule::update(Tensor& p, const Tensor& g, std::span<Tensor> state) const {
  if (p.size() == 0) return;
  const auto step = static_cast<double>(t);
  const double share = std::pow(step, options.beta2_decay);
  const double eps1 = options.eps1.value_or(p.dtype() == Dtype::f32 ? std::numeric_limits<float>::epsilon()
                                                                    : std::numeric_limits<double>::epsilon());
  const double rate = std::max(options.eps2, rms(p)) * std::min(options.lr, 1 / std::sqrt(step));
  if (options.weight_decay != 0) p = p * (1 - options.lr * options.weight_decay);
  Tensor variance;
  // A square beyond the dtype counts as its largest number, so that an infinite one makes no NaN.
  const double most =
      p.dtype() == Dtype::f32 ? std::numeric_limits<float>::max() : std::numeric_limits<double>::max();
  const Tensor squares = minimum(square(g), most / 0x1p40);
  if (p.rank() < 2) {
    variance = state[0] = towards(state[0], squares, share);
  } else {
    state[0] = towards(state[0], mean(squares, -1, true), share);  // (..., rows, 1)
    state[1] = towards(state[1], mean(squares, -2, true), share);  // (..., 1, columns)
    variance = state[0] / maximum(mean(state[0], -2, true), eps1) * state[1];
  }
  const Tensor u = g * rsqrt(maximum(variance, eps1 * eps1));
  p = p - u * (rate / std::max(1.0, rms(u) / options.clip));
}

void MuonRule::check(const Options& o) {
  check_options("Muon", {{"lr", o.lr, not_negative},
                         {"momentum", o.momentum, fraction},
                         {"weight_decay", o.weight_decay, not_negative},
                         {"eps", o.eps, keeps_from_zero},
                         {"steps", static_cast<double>(o.steps), {1, 100, "from 1 to 99"}},
                         {"adam_rate", o.adam_rate, not_negative},
                         {"beta1", o.beta1, fraction},
                         {"beta2", o.beta2, fraction},
                         {"adam_eps", o.adam_eps, keeps_from_zero}});
}

StateArrays MuonRule::state(const Options& o, const Shape& parameter) {
  if (o.orthogonal && parameter.rank() == 2) return {{"momentum_buffer", parameter}};
  return {{"exp_avg", parameter}, {"exp_avg_sq", parameter}};
}

void MuonRule::update(Tensor& p, const Tensor& g, std::span<Tensor> state) const {
  const Options& o = options;
  if (o.orthogonal && p.rank() == 2) {
    state[0] = towards(state[0], g, 1 - o.momentum);
    const Tensor d = o.nesterov ? towards(g, state[0], o.momentum) : state[0];
    const double ratio = p.dim(1) == 0 ? 1 : static_cast<double>(p.dim(0)) / static_cast<double>(p.dim(1));
    p = p * (1 - o.lr * o.weight_decay) -
        detail::orthogonalized(d, o.steps, o.eps) * (o.lr * std::sqrt(std::max(1.0, ratio)));
    return;
  }
  const double lr = o.lr * o.adam_rate, step = static_cast<double>(t);
  state[0] = towards(state[0], g, 1 - o.beta1);
  state[1] = towards(state[1], square(g), 1 - o.beta2);
  const Tensor root = sqrt(state[1]) * (1 / std::sqrt(1 - std::pow(o.beta2, step))) + o.adam_eps;
  p = p * (1 - lr * o.weight_decay) - state[0] / root * (lr / (1 - std::pow(o.beta1, step)));
}

Tensor detail::orthogonalized(const Tensor& matrix, int steps, double eps) {
  if (matrix.size() == 0) return matrix;
  // The smaller of x x^T and x^T x is made.
  const bool tall = matrix.dim(0) > matrix.dim(1);
  Tensor x = tall ? transpose(matrix) : matrix;  // (rows, columns)
  x = x / std::max(norm(x).item(), eps);
  for (int i = 0; i < steps; ++i) {
    const Tensor a = matmul(x, x, {.transpose_b = true});  // (rows, rows)
    x = 3.4445 * x + matmul(-4.7750 * a + 2.0315 * matmul(a, a), x);
  }
  return tall ? transpose(x) : x;
}

}  // namespace gradus::optim
