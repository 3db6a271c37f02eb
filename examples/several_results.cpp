// A custom op of several results: x and y as a distance and an angle. One node of the tape, whose gradient is
// computed for both inputs at once; here it pulls points onto a ring.

#include <gradus.hpp>

#include <cstdio>

using namespace gradus;

// custom begins
/// The distance of (x, y) from 0 and its angle, in radians; x, y and both results have one shape.
std::array<Variable, 2> polar(const Variable& x, const Variable& y, Where where = Where::here()) {
  // gs: the gradient of each result, without a value where that result was not used.
  const auto gradients = [x, y](std::span<const Variable> gs) {
    const Variable r = hypot(x, y);
    const Variable zero(zeros_like(x.value()));
    const Variable along = gs[0].value().defined() ? gs[0] / r : zero;
    const Variable across = gs[1].value().defined() ? gs[1] / square(r) : zero;
    return Variables{along * x - across * y, along * y + across * x};
  };
  return record({"polar", where}, std::array{hypot(x.value(), y.value()), atan2(y.value(), x.value())},
                jointly({x, y}, gradients));
}
// custom ends

int main() {
  Rng rng(1);
  const Tensor a = rng.normal({5}, 0, 1, Dtype::f64), b = rng.normal({5}, 0, 1, Dtype::f64);
  const auto both = [](auto in) {
    const auto [r, angle] = polar(in[0], in[1]);
    return r * r + sin(angle);
  };
  const GradcheckResult result = gradcheck(both, {a, b});
  std::printf("polar: %lld derivatives, largest relative error %.1e %s\n",
              static_cast<long long>(result.checked), result.largest_error, result.message.c_str());

  Variable x(a), y(b);
  for (int step = 0; step < 100; ++step) {
    const auto off = [](std::span<const Variable> at) { return sum(square(polar(at[0], at[1])[0] - 1)); };
    const Variables slopes = grad(off, std::vector{x, y});
    x = x - 0.1 * slopes[0];
    y = y - 0.1 * slopes[1];
  }
  const double largest = max(abs(hypot(x.value(), y.value()) - 1)).item();
  std::printf("largest distance from the ring: %.1e\n", largest);
  return result.passed && largest < 1e-8 ? 0 : 1;
}
