#pragma once

#include "autograd/module_path.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "tensor/random.hpp"

namespace gradus::nn {

/// Sets each element to 0 with probability `rate` and multiplies the others by 1 / (1 - rate), so that the
/// mean stays the same (inverted dropout; Srivastava et al. 2014). Without a generator, as in evaluation, the
/// result is x. Throws ArgumentError unless 0 <= rate < 1.
inline Variable dropout(const Variable& x, double rate, Rng* rng) {
  if (!(rate >= 0 && rate < 1))
    fail<ArgumentError>("dropout: a rate of {}; it must be at least 0 and below 1", rate);
  if (rng == nullptr || rate == 0) return x;
  return x * Variable(rng->bernoulli(x.shape(), 1 - rate, 1 / (1 - rate), x.dtype()));
}

/// The same as a module.
struct Dropout {
  double rate = 0.5;

  Variable operator()(const Variable& x, Rng* rng) const {
    const InModule here(*this);
    return dropout(x, rate, rng);
  }
  static void members(auto&, auto&&) {}
};

}  // namespace gradus::nn
