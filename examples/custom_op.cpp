// A custom op with its gradient: softsign, x / (1 + |x|). gradcheck compares the gradient, and the gradient
// of the gradient, with finite differences.

#include <gradus.hpp>

#include <cstdio>

using namespace gradus;

// custom begins
Variable softsign(const Variable& x, Where where = Where::here()) {
  const Tensor v = x.value();
  return record({"softsign", where}, v / (1 + abs(v)), wrt(x, [x](const Variable& g) {
                  const Variable d = 1 + abs(x);
                  return g / (d * d);
                }));
}
// custom ends

int main() {
  const Tensor x = Tensor::of({-3, -0.5, 0.7, 2}, Dtype::f64);
  const GradcheckResult result = gradcheck([](auto in) { return softsign(in[0]); }, {x});
  std::printf("softsign: %lld derivatives, largest relative error %.1e %s\n",
              static_cast<long long>(result.checked), result.largest_error, result.message.c_str());
  return result.passed ? 0 : 1;
}
