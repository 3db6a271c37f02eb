#pragma once

#include "autograd/module_path.hpp"
#include "autograd/ops/activations.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/softmax.hpp"

/// Activations as modules, for where one is wanted (nn/sequential.hpp, nn/mlp.hpp). Each is the function of
/// its name, of autograd/ops/activations.hpp and the like.
namespace gradus::nn {

/// What makes a module without parts of a struct with `of(x, where)`; one of your own is as short as these.
template <class Self>
struct Stateless {
  Variable operator()(const Variable& x, Where where = Where::here()) const {
    const auto& self = static_cast<const Self&>(*this);
    const InModule here(self);
    return self.of(x, where);
  }
  static void members(auto&, auto&&) {}
};

/// x itself.
struct Identity : Stateless<Identity> {
  Variable of(const Variable& x, Where) const { return x; }
};
/// max(x, 0), elementwise.
struct Relu : Stateless<Relu> {
  Variable of(const Variable& x, Where at) const { return relu(x, at); }
};
/// x where it is positive, slope * x elsewhere (Maas et al. 2013).
struct LeakyRelu : Stateless<LeakyRelu> {
  double slope;
  explicit LeakyRelu(double below_0 = 0.01) : slope(below_0) {}
  Variable of(const Variable& x, Where at) const { return leaky_relu(x, slope, at); }
};
/// x where it is positive, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2015).
struct Elu : Stateless<Elu> {
  double alpha;
  explicit Elu(double scale = 1) : alpha(scale) {}
  Variable of(const Variable& x, Where at) const { return elu(x, alpha, at); }
};
/// The self-normalising scaled elu (Klambauer et al. 2017).
struct Selu : Stateless<Selu> {
  Variable of(const Variable& x, Where at) const { return selu(x, at); }
};
/// x * Phi(x), exact or by tanh (Hendrycks and Gimpel 2016).
struct Gelu : Stateless<Gelu> {
  GeluForm form;
  explicit Gelu(GeluForm chosen = GeluForm::exact) : form(chosen) {}
  Variable of(const Variable& x, Where at) const { return gelu(x, form, at); }
};
/// x * sigmoid(x) (Elfwing et al. 2017), also called swish.
struct Silu : Stateless<Silu> {
  Variable of(const Variable& x, Where at) const { return silu(x, at); }
};
/// x * tanh(softplus(x)) (Misra 2019).
struct Mish : Stateless<Mish> {
  Variable of(const Variable& x, Where at) const { return mish(x, at); }
};
/// 1 / (1 + exp(-x)).
struct Sigmoid : Stateless<Sigmoid> {
  Variable of(const Variable& x, Where at) const { return sigmoid(x, at); }
};
/// log(sigmoid(x)).
struct LogSigmoid : Stateless<LogSigmoid> {
  Variable of(const Variable& x, Where at) const { return log_sigmoid(x, at); }
};
/// tanh(x).
struct Tanh : Stateless<Tanh> {
  Variable of(const Variable& x, Where at) const { return tanh(x, at); }
};
/// log(1 + exp(beta * x)) / beta.
struct Softplus : Stateless<Softplus> {
  SoftplusOptions options;
  explicit Softplus(SoftplusOptions chosen = {}) : options(chosen) {}
  Variable of(const Variable& x, Where at) const { return softplus(x, options, at); }
};
/// x, but no less than low and no more than high.
struct Hardtanh : Stateless<Hardtanh> {
  double low, high;
  explicit Hardtanh(double from = -1, double to = 1) : low(from), high(to) {}
  Variable of(const Variable& x, Where at) const { return hardtanh(x, low, high, at); }
};
/// exp(x) / sum(exp(x)) along the axis, the last one by default.
struct Softmax : Stateless<Softmax> {
  int axis;
  explicit Softmax(int along = -1) : axis(along) {}
  Variable of(const Variable& x, Where at) const { return softmax(x, axis, at); }
};
/// log(softmax(x)) along the axis, the last one by default.
struct LogSoftmax : Stateless<LogSoftmax> {
  int axis;
  explicit LogSoftmax(int along = -1) : axis(along) {}
  Variable of(const Variable& x, Where at) const { return log_softmax(x, axis, at); }
};
/// (batch, ...) to (batch, all the rest), or the axes from `first` to `last` as one.
struct Flatten : Stateless<Flatten> {
  int first, last;
  explicit Flatten(int from = 1, int to = -1) : first(from), last(to) {}
  Variable of(const Variable& x, Where at) const { return flatten(x, first, last, at); }
};

}  // namespace gradus::nn
