#pragma once

#include <optional>
#include <utility>

#include "autograd/ops/cross_entropy.hpp"
#include "nn/linear.hpp"

/// Losses, PyTorch's number for number unless said. `reduction` makes one number of all: their mean, their
/// sum, or none, for each by itself. They throw ShapeError for shapes that do not fit and for the mean of
/// nothing, DtypeError for several dtypes, ArgumentError for options out of range.
namespace gradus::nn {

using gradus::cross_entropy;
using gradus::linear_cross_entropy;
using gradus::Reduction;

/// The same of an output layer, with what an adapter (nn/lora.hpp) adds to it; the adapter's dropout has no
/// effect there.
inline Variable linear_cross_entropy(const Variable& x, const Linear& layer, const Indices& targets,
                                     const LinearCrossEntropyOptions& options = {},
                                     Where where = Where::here()) {
  return linear_cross_entropy(x, layer.effective_weight(where), layer.bias, targets, options, where);
}

/// What a loss is compared with: a Tensor, or a Variable, through which gradients flow too.
class Target {
 public:
  Target(const Variable& x) : value_(x) {}    // NOLINT(google-explicit-constructor)
  Target(Tensor x) : value_(std::move(x)) {}  // NOLINT(google-explicit-constructor)
  const Variable& operator*() const { return value_; }

 private:
  Variable value_;
};

/// (x - target)^2 of each element; the shapes are equal.
Variable mse(const Variable& x, const Target& target, Reduction reduction = Reduction::mean,
             Where at = Where::here());
/// |x - target|
Variable l1(const Variable& x, const Target& target, Reduction reduction = Reduction::mean,
            Where at = Where::here());

struct HuberOptions {
  double delta = 1;  // above 0
  Reduction reduction = Reduction::mean;
};
/// (x - target)^2 / 2 where |x - target| is at most delta, else delta (|x - target| - delta / 2) (Huber
/// 1964).
Variable huber(const Variable& x, const Target& target, const HuberOptions& options = {},
               Where at = Where::here());

struct BceOptions {
  /// What the positive part of each loss is multiplied by, 0 or more; it broadcasts. Undefined for 1.
  Tensor positive_weight = {};
  Reduction reduction = Reduction::mean;
};
/// -target log sigmoid(logits) - (1 - target) log sigmoid(-logits), for targets from 0 to 1: exact for logits
/// of any size. An infinite logit on the target's side costs nothing.
Variable bce_with_logits(const Variable& logits, const Target& target, const BceOptions& options = {},
                         Where at = Where::here());

struct NllOptions {
  Reduction reduction = Reduction::mean;
  std::int32_t ignore_index = -100;
};
/// -log_probs[target] over the last axis. log_probs: (..., classes); targets: the same without the last axis.
/// A target of ignore_index has a loss of 0 and does not count in the mean.
Variable nll(const Variable& log_probs, const Indices& targets, const NllOptions& options = {},
             Where at = Where::here());

/// cross_entropy for targets that are distributions over the classes: -sum(target * log_softmax(logits)) over
/// the last axis, in which a class of target 0 costs nothing. A row whose targets are all 0 has a loss of 0
/// and gives its logits no gradient, whatever they are.
Variable soft_cross_entropy(const Variable& logits, const Target& target,
                            Reduction reduction = Reduction::mean, Where at = Where::here());
/// The same as PyTorch's cross_entropy has it, which takes both kinds of targets. Label smoothing mixes each
/// target with the even distribution; a class's weight multiplies its term, and the mean is then still over
/// the targets, unlike that of ids. There is no ignored target.
Variable cross_entropy(const Variable& logits, const Target& target, const CrossEntropyOptions& options = {},
                       Where at = Where::here());

struct KlOptions {
  bool log_target = false;  // the target is logarithms too
  /// The sum over all elements divided by the first axis's length, which is the mean of divergences; else the
  /// mean of all elements, as PyTorch's `mean`.
  bool per_row = true;
  Reduction reduction = Reduction::mean;
};
/// target (log target - log_probs) of each element, 0 where the target is 0: the divergence of Kullback and
/// Leibler of the target from the model.
Variable kl_div(const Variable& log_probs, const Target& target, const KlOptions& options = {},
                Where at = Where::here());

struct GaussianNllOptions {
  bool full = false;  // with log(2 pi) / 2
  double eps = 1e-6;  // the least variance that is divided by
  Reduction reduction = Reduction::mean;
};
/// (log v + (x - target)^2 / v) / 2 with v = max(variance, eps); the variance broadcasts. Throws NumericError
/// for a negative variance.
Variable gaussian_nll(const Variable& x, const Target& target, const Target& variance,
                      const GaussianNllOptions& options = {}, Where at = Where::here());

/// x . y / max(|x| |y|, eps), over an axis, which the result lacks.
Variable cosine_similarity(const Variable& x, const Target& y, int axis = -1, double eps = 1e-8,
                           Where at = Where::here());
struct CosineOptions {
  double margin = 0;
  Reduction reduction = Reduction::mean;
};
/// Of rows x and y, (..., width): 1 - cosine_similarity where the label, (...), is 1, and
/// max(0, cosine_similarity - margin) where it is -1.
Variable cosine(const Variable& x, const Target& y, const Tensor& label, const CosineOptions& options = {},
                Where at = Where::here());

struct MarginOptions {
  double margin = 0;
  Reduction reduction = Reduction::mean;
};
/// max(0, margin - label (x - y)), for labels 1 where x should be the larger and -1 where y should.
Variable margin_ranking(const Variable& x, const Target& y, const Tensor& label,
                        const MarginOptions& options = {}, Where at = Where::here());

struct TripletOptions {
  double margin = 1;
  double p = 2;       // the order of the norm
  double eps = 1e-6;  // added to each difference
  bool swap = false;  // also take the distance of positive and negative, where it is smaller
  Reduction reduction = Reduction::mean;
};
/// max(0, d(anchor, positive) - d(anchor, negative) + margin), d being the p-norm of the difference over the
/// last axis (Balntas et al. 2016).
Variable triplet(const Variable& anchor, const Target& positive, const Target& negative,
                 const TripletOptions& options = {}, Where at = Where::here());

/// Activation regularisation (Merity, McCann and Socher 2017): alpha times the mean square of a layer's
/// outputs.
Variable activation_penalty(const Variable& outputs, double alpha, Where at = Where::here());
/// Temporal activation regularisation: beta times the mean square of the outputs' changes from step to step.
/// outputs: (time, ...), of two steps or more.
Variable change_penalty(const Variable& outputs, double beta, Where at = Where::here());

}  // namespace gradus::nn
