#pragma once

#include "autograd/module_path.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "tensor/random.hpp"

/// Dropout in its forms. All take a generator, by pointer; without one, as in evaluation, nothing is dropped.
/// No layer has a random state of its own: the masks are a function of the generator's state, three integers,
/// and are the same for any number of threads. So a run is resumed to the bit with `Rng(state)` of a saved
/// `rng.state()` (tensor/random.hpp); or a step's generator is made of its number, `Rng of_step =
/// rng.fork(step)`, and there is nothing to save.
///
/// A rate is the probability to be dropped; they throw ArgumentError unless 0 <= rate < 1.
namespace gradus::nn {

namespace detail {
inline void check_rate(const char* name, double rate) {
  if (!(rate >= 0 && rate < 1))
    fail<ArgumentError>("{}: a rate of {}; it must be at least 0 and below 1", name, rate);
}
}  // namespace detail

/// Sets each element to 0 with probability `rate` and multiplies the others by 1 / (1 - rate), so that the
/// mean stays the same (inverted dropout; Srivastava et al. 2014). Without a generator the result is x.
inline Variable dropout(const Variable& x, double rate, Rng* rng) {
  detail::check_rate("dropout", rate);
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

/// Variational dropout of a sequence, (time, ...): one mask for all its steps (Gal and Ghahramani 2016; the
/// "locked" dropout of AWD-LSTM). Throws ShapeError for a scalar.
inline Variable locked_dropout(const Variable& x, double rate, Rng* rng) {
  detail::check_rate("locked_dropout", rate);
  if (x.rank() < 1) fail<ShapeError>("locked_dropout: a scalar; the first axis of a sequence is time");
  if (rng == nullptr || rate == 0) return x;
  return x * Variable(rng->bernoulli(x.shape().with(0, 1), 1 - rate, 1 / (1 - rate), x.dtype()));
}

/// The same as a module.
struct LockedDropout {
  double rate = 0.5;

  Variable operator()(const Variable& x, Rng* rng) const {
    const InModule here(*this);
    return locked_dropout(x, rate, rng);
  }
  static void members(auto&, auto&&) {}
};

/// The rates of zoneout of a recurrent layer: of h, and of the other parts of the state, an LSTM's c.
struct Zoneout {
  double h = 0, c = 0;
};

/// Zoneout of a step of a recurrent layer (Krueger et al. 2017): with a generator each unit keeps its value
/// of before the step with probability `rate`. Without one the result is the expectation, rate * before + (1
/// - rate) * after, as in the paper.
inline Variable zoneout(const Variable& before, const Variable& after, double rate, Rng* rng) {
  detail::check_rate("zoneout", rate);
  if (rate == 0) return after;
  if (rng == nullptr) return rate * before + (1 - rate) * after;
  return where(rng->bernoulli(after.shape(), rate, 1, after.dtype()), before, after);
}

}  // namespace gradus::nn
