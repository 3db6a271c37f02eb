// A physics fit: the length and the friction of a pendulum from noisy angles, by differentiating through a
// solver of its equation, angle'' = -(g / length) sin(angle) - friction * angle' (Runge and Kutta's of order
// 4).

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

constexpr double step_length = 0.02;  // seconds
constexpr std::int64_t steps = 250;

struct Pendulum {
  Parameter log_length{Tensor::scalar(std::log(1.0), Dtype::f64)};  // metres; as logarithms both stay above 0
  Parameter log_friction{Tensor::scalar(std::log(0.1), Dtype::f64)};  // 1 / second

  static void members(auto& self, auto&& visit) {
    visit("log_length", self.log_length);
    visit("log_friction", self.log_friction);
  }

  /// y: (2), the angle and its rate; their rates of change.
  Variable rates(const Variable& y) const {
    const Variable fall = -9.81 / exp(log_length) * sin(y[0]) - exp(log_friction) * y[1];
    return stack({y[1], fall}, 0);
  }
  Variable advance(const Variable& y) const {
    const double h = step_length;
    const Variable a = rates(y), b = rates(y + h / 2 * a), c = rates(y + h / 2 * b), d = rates(y + h * c);
    return y + h / 6 * (a + 2 * b + 2 * c + d);
  }
  /// The angles after each step: (steps).
  Variable swing(const Tensor& start) const {
    Variables angles;
    Variable y(start);
    for (std::int64_t i = 0; i < steps; ++i) angles.push_back((y = advance(y))[0]);
    return stack(angles, 0);
  }
};

int main() {
  const Tensor start = Tensor::of({1.2, 0}, Dtype::f64);
  Pendulum truth;
  truth.log_length = Parameter(Tensor::scalar(std::log(0.75), Dtype::f64));
  truth.log_friction = Parameter(Tensor::scalar(std::log(0.25), Dtype::f64));
  Rng rng(1);
  const Tensor measured = truth.swing(start).value() + rng.normal({steps}, 0, 0.02, Dtype::f64);

  Pendulum pendulum;
  optim::Lbfgs optimizer({.iterations = 1});
  for (int i = 0; i < 30; ++i) {
    optimizer.step(pendulum, [&] {
      Tape tape;
      const Variable loss = nn::mse(pendulum.swing(start), measured);
      return std::pair(loss.item(), tape.backward(loss));
    });
  }
  const double length = std::exp(pendulum.log_length.item()),
               friction = std::exp(pendulum.log_friction.item());
  std::printf("length %.3f m (0.75 made the data), friction %.3f /s (0.25)\n", length, friction);
  return std::abs(length - 0.75) < 0.01 && std::abs(friction - 0.25) < 0.02 ? 0 : 1;
}
