#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/members.hpp"
#include "tensor/safetensors.hpp"

namespace gradus::optim {

/// L-BFGS (Liu and Nocedal 1989; Nocedal and Wright 2006, algorithms 7.4 and 7.5) with a line search that
/// meets the strong Wolfe conditions (algorithms 3.5 and 3.6 with cubic interpolation): for losses without
/// noise, such as a fit to all data at once. PyTorch's LBFGS with line_search_fn="strong_wolfe".
///
///   optim::Lbfgs optimizer;
///   for (int i = 0; i < 10; ++i) {
///     const double loss = optimizer.step(model, [&] {
///       Tape tape;
///       const Variable loss = mean(square(model(x) - y));
///       return std::pair(loss.item(), tape.backward(loss));
///     });
///   }
class Lbfgs {
 public:
  struct Options {
    double lr = 1;                     // the first step length that a line search tries
    int iterations = 20;               // of one call of step, at most
    int evaluations = 25;              // of the loss in one call, after which no search begins
    double gradient_tolerance = 1e-7;  // it ends when no element of the gradient is larger,
    double change_tolerance = 1e-9;    // or neither a parameter nor the loss changes by more
    int history = 100;                 // pairs of changes that are kept
  };

  Lbfgs();
  /// Throws ArgumentError for options out of range.
  explicit Lbfgs(const Options& options);

  /// Up to `iterations` iterations. `evaluate` gives the loss and the gradients at the model's parameters,
  /// which are changed between its calls; a parameter without a gradient stays as it is. Returns the loss
  /// before. A loss that is not finite on the way shortens the step. Throws NumericError when it is not
  /// finite at the start, TapeError when the gradients hold a parameter that the model does not list,
  /// DtypeError for parameters of several dtypes, and what `evaluate` throws; the parameters are then those
  /// of the best loss so far.
  template <class M, class Evaluate>
  double step(M& model, const Evaluate& evaluate) {
    std::vector<Parameter*> parameters;
    for_each_unnamed_parameter(model, [&](Parameter& parameter) {
      if (!parameter.is_frozen()) parameters.push_back(&parameter);
    });
    return run(parameters, [&]() -> std::pair<double, Gradients> { return evaluate(); });
  }

  /// What it goes on with after it was saved, also in another dtype: the last directions, changes and
  /// gradient, all parameters in a row.
  Safetensors state() const;
  /// Takes it back. Throws DataError, which calls it `name`, when a tensor is missing or has another shape.
  void set_state(const Safetensors& content, const std::string& name = "the optimizer's state");

 private:
  using Closure = std::function<std::pair<double, Gradients>()>;
  /// The changes of the parameters and of the gradient in one iteration, each of all parameters in a row.
  struct Pair {
    Tensor step, change;
    double scale;  // 1 / (step . change)
  };
  double run(const std::vector<Parameter*>& parameters, const Closure& evaluate);
  Tensor direction(const Tensor& gradient) const;
  void remember(const Tensor& gradient);
  void convert(Dtype dtype);

  Options options_;
  std::deque<Pair> pairs_;
  std::int64_t iterations_ = 0;  // of all calls
  Tensor direction_, gradient_;  // of the last iteration
  double length_ = 0;            // of its step along the direction
  double curvature_ = 1;         // the scale of the first guess at the inverse Hessian
};

}  // namespace gradus::optim
