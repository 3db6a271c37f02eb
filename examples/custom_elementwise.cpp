// A custom elementwise op without a derivative to write: swish, x / (1 + exp(-beta x)), of a tensor and a
// factor that broadcasts. It is traced once and runs, as its gradient does, in one pass over the data.
// gradcheck compares both orders of derivatives with finite differences.

#include <gradus.hpp>

#include <cstdio>

using namespace gradus;

// custom begins
const auto swish = [](auto x, auto beta) { return x / (1 + exp(-beta * x)); };

// Functions are made of others; where, max and min stand for branches.
const auto huber_swish = [](auto x, auto beta) {
  const auto y = swish(x, beta);
  return where(abs(y) < 1, 0.5 * y * y, abs(y) - 0.5);
};
// custom ends

int main() {
  const Tensor x = Tensor::of({-3, -0.5, 0.7, 2}, Dtype::f64), beta = Tensor::scalar(1.5, Dtype::f64);
  const auto f = [](auto in) { return elementwise(huber_swish, in[0], in[1]); };
  const GradcheckResult result = gradcheck(f, {x, beta});
  std::printf("huber_swish: %lld derivatives, largest relative error %.1e %s\n",
              static_cast<long long>(result.checked), result.largest_error, result.message.c_str());
  std::printf("%s\n", elementwise(swish, x, 1.5).text().c_str());
  return result.passed ? 0 : 1;
}
