#pragma once

#include <memory>
#include <vector>

#include "autograd/ops/cross_entropy.hpp"
#include "tensor/random.hpp"

/// Losses of large vocabularies that look at the target and at some classes drawn at random, in training
/// alone:
///
///   const auto noise = nn::Noise::log_uniform(vocab);  // classes sorted by falling frequency
///   ...
///   const nn::Candidates drawn = noise.draw(rng, 1000, {.distinct = true});
///   const Variable loss = nn::sampled_softmax(h, head.weight, head.bias, y, drawn);
///
/// The gradients of weight and bias are row-sparse: the targets' and the drawn rows. The generator's state
/// (tensor/random.hpp) is all that is random here. For evaluation there is cross_entropy of all logits.
namespace gradus::nn {

/// Classes that were drawn, and how often each was to be expected among them.
struct Candidates {
  Indices ids = {};                                           // (count)
  std::shared_ptr<const std::vector<double>> log_probs = {};  // (classes): of one draw
  double draws = 0;
  bool distinct = false, all = false;  // all that have a probability

  std::int64_t classes() const { return static_cast<std::int64_t>(log_probs->size()); }
  /// The logarithm of the expected number; minus infinity for a class without a probability.
  double log_expected(std::int64_t k) const;
};

struct DrawOptions {
  /// Each class at most once: drawn until there are `count` different ones. The expected number is then 1 -
  /// (1 - p)^n for n draws, as TensorFlow's candidate samplers have it; where all classes are asked for, each
  /// is there once, and it is 1.
  bool distinct = false;
};

/// A distribution over classes to draw from.
class Noise {
 public:
  /// p(k) = log((k + 2) / (k + 1)) / log(classes + 1), about Zipf's law. Throws ArgumentError for no classes.
  static Noise log_uniform(std::int64_t classes);
  /// In proportion to the weights, such as counts of words (often to the power 3/4, as Mikolov et al. 2013).
  /// Throws ArgumentError unless all are finite and not negative, with one above 0.
  static Noise of(const std::vector<double>& weights);

  std::int64_t classes() const { return static_cast<std::int64_t>(log_probs_->size()); }
  double log_prob(std::int64_t k) const { return (*log_probs_)[static_cast<std::size_t>(k)]; }
  /// Throws ArgumentError for a count below 1, or of more distinct classes than have a probability.
  Candidates draw(Rng& rng, std::int64_t count, const DrawOptions& options = {}) const;

 private:
  std::vector<double> below_;  // (classes): the sum of the weights up to each, itself included
  std::shared_ptr<const std::vector<double>> log_probs_;  // (classes)
  std::int64_t possible_ = 0;                             // classes of a probability above 0
};

struct SampledOptions {
  Reduction reduction = Reduction::mean;
};

/// The cross entropy among the target and the drawn classes, with log(expected number) taken off each logit,
/// so that the sum over the drawn ones estimates that over all (Jean et al. 2015, section 3; Bengio and
/// Senecal 2008). A drawn class that is the target itself is left out. Where all classes are drawn, distinct,
/// it is the softmax's cross entropy itself.
///
/// x: (..., width); weight: (classes, width); bias: (classes), or default-made for none; targets: the shape
/// of x without the last axis. Throws ShapeError and DtypeError for what does not fit, and for the mean of no
/// targets.
Variable sampled_softmax(const Variable& x, const Variable& weight, const Variable& bias,
                         const Indices& targets, const Candidates& drawn, const SampledOptions& options = {},
                         Where at = Where::here());

/// Noise-contrastive estimation (Gutmann and Hyvarinen 2010; Mnih and Teh 2012, eq. 8, with partition
/// functions of 1): the target is told from k drawn classes, with s_w the logit of w and k p(w) its expected
/// number:
///
///   -log sigmoid(s_target - log(k p(target))) - sum over drawn w of log sigmoid(log(k p(w)) - s_w)
///
/// Draw with repetition, which is the default. Shapes and errors as sampled_softmax's.
Variable nce(const Variable& x, const Variable& weight, const Variable& bias, const Indices& targets,
             const Candidates& drawn, const SampledOptions& options = {}, Where at = Where::here());

}  // namespace gradus::nn
