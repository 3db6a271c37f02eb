// Derivatives of derivatives: the learning rates of a gradient descent, learned by differentiating through
// it. The inner loop minimises a loss in 20 steps; the outer one changes the logarithms of its rates, one a
// weight.

#include <gradus.hpp>

#include <cstdio>

using namespace gradus;

// custom begins
Variable loss(const Variable& w) {  // a long, narrow valley with its lowest point at 1
  const Variable steepness(Tensor::of({10, 1, 0.1}, Dtype::f64));
  return sum(steepness * square(w - 1));
}

Variable after_descent(const Variable& log_rates) {
  Variable w(zeros({3}, Dtype::f64));
  for (int step = 0; step < 20; ++step) w = w - exp(log_rates) * grad(loss, w);
  return loss(w);
}

Variable learned_rates() {
  Variable log_rates(full({3}, -4, Dtype::f64));
  for (int step = 0; step < 200; ++step) log_rates = log_rates - 0.2 * grad(after_descent, log_rates);
  return log_rates;
}
// custom ends

int main() {
  const Variable before(full({3}, -4, Dtype::f64)), after = learned_rates();
  const double first = after_descent(before).item(), last = after_descent(after).item();
  std::printf("loss after 20 steps: %.4f with one rate, %.6f with learned rates %s\n", first, last,
              exp(after).value().text().c_str());
  return last < first / 3 ? 0 : 1;
}
