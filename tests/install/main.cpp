#include <gradus.hpp>

#include <cstdio>

#include "nn/linear.hpp"

// A program of another project, built against an installed Gradus: one gradient by hand.
int main() {
  gradus::Tape tape;
  const gradus::Variable x = tape.watch(gradus::Tensor::scalar(3));
  const double slope = tape.backward(x * x + 2 * x)[x].item();
  std::printf("installed package: d/dx (x^2 + 2x) at 3 is %g\n", slope);
  return slope == 8 ? 0 : 1;
}
