#include "nn/sampled_softmax.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "autograd/op.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

Noise Noise::log_uniform(std::int64_t classes) {
  if (classes < 1) fail<ArgumentError>("Noise: {} classes; one at least is needed", classes);
  std::vector<double> weights;
  for (std::int64_t k = 0; k < classes; ++k) weights.push_back(std::log1p(1 / static_cast<double>(k + 1)));
  return of(weights);
}

Noise Noise::of(const std::vector<double>& weights) {
  Noise out;
  double total = 0;
  for (const double weight : weights) {
    if (!(weight >= 0 && std::isfinite(weight)))
      fail<ArgumentError>("Noise: a weight of {}; they must be finite and not negative", weight);
    out.below_.push_back(total += weight);
  }
  if (!(total > 0)) fail<ArgumentError>("Noise: no weight is above 0; one at least must be");
  if (std::isinf(total)) fail<ArgumentError>("Noise: the weights add up to more than a double holds");
  std::vector<double> log_probs;
  double before = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    // A class that adds nothing to the sum is never drawn, however a weight so small is called.
    const bool is_drawn = std::exchange(before, out.below_[k]) < out.below_[k] && weights[k] / total > 0;
    log_probs.push_back(is_drawn ? std::log(weights[k] / total) : -std::numeric_limits<double>::infinity());
    out.possible_ += is_drawn;
  }
  out.log_probs_ = std::make_shared<const std::vector<double>>(std::move(log_probs));
  return out;
}

double Candidates::log_expected(std::int64_t k) const {
  const double log_p = (*log_probs)[static_cast<std::size_t>(k)];
  if (!std::isfinite(log_p)) return log_p;
  if (all) return 0;
  return distinct ? std::log(-std::expm1(draws * std::log1p(-std::exp(log_p)))) : std::log(draws) + log_p;
}

Candidates Noise::draw(Rng& rng, std::int64_t count, const DrawOptions& options) const {
  if (count < 1) fail<ArgumentError>("Noise: {} draws; one at least is needed", count);
  if (options.distinct && count > possible_)
    fail<ArgumentError>("Noise: {} distinct draws of {} classes that have a probability", count, possible_);
  Candidates out{.log_probs = log_probs_, .distinct = options.distinct};
  out.all = options.distinct && count == possible_;
  std::vector<std::int32_t> ids;
  for (std::int64_t k = 0; out.all && k < classes(); ++k) {
    if (std::isfinite(log_prob(k))) ids.push_back(static_cast<std::int32_t>(k));
  }
  std::vector<bool> drawn(options.distinct ? below_.size() : 0);
  while (static_cast<std::int64_t>(ids.size()) < count) {
    const auto found = std::upper_bound(below_.begin(), below_.end(), rng.uniform() * below_.back());
    const auto k = static_cast<std::size_t>(found - below_.begin());
    ++out.draws;
    if (options.distinct && drawn[k]) continue;
    if (options.distinct) drawn[k] = true;
    ids.push_back(static_cast<std::int32_t>(k));
  }
  out.ids = Indices(std::move(ids));
  return out;
}

namespace {

/// Logits with the logarithm of how often each class was expected taken off.
struct Logits {
  Variable target;  // (rows)
  Variable drawn;   // (rows, count)
};

Logits logits_of(const char* name, const Variable& x, const Variable& weight, const Variable& bias,
                 const Indices& targets, const Candidates& drawn, Reduction reduction, Where at) {
  const bool has_bias = bias.value().defined();
  if (weight.rank() != 2 || x.rank() < 1 || x.dim(-1) != weight.dim(1) ||
      (has_bias && bias.shape() != Shape{weight.dim(0)})) {
    fail<ShapeError>(
        "{}: x of shape {}, a weight of {} and a bias of {}; they must be (..., width), (classes, "
        "width) and (classes)",
        name, x.shape(), weight.shape(), has_bias ? bias.shape().text() : "none");
  }
  if (x.dtype() != weight.dtype() || (has_bias && x.dtype() != bias.dtype()))
    fail<DtypeError>("{}: x is {}, the weight {}{}; convert them to one dtype", name, name_of(x.dtype()),
                     name_of(weight.dtype()),
                     has_bias ? fmt::format(" and the bias {}", name_of(bias.dtype())) : "");
  if (x.shape().erased(-1) != targets.shape())
    fail<ShapeError>("{}: an x of shape {} needs targets of that shape without the last axis, not {}", name,
                     x.shape(), targets.shape());
  const std::int64_t classes = weight.dim(0), rows = targets.size(), count = drawn.ids.size();
  if (drawn.log_probs == nullptr || drawn.classes() != classes)
    fail<ShapeError>("{}: candidates of {} classes for a weight of {}", name,
                     drawn.log_probs == nullptr ? 0 : drawn.classes(), classes);
  check_ids(name, targets, classes);
  if (rows == 0 && reduction == Reduction::mean) fail<ShapeError>("{}: the mean of no targets", name);
  const auto expected = [&](const Indices& ids) {
    std::vector<double> out;
    for (const std::int32_t id : ids.values()) {
      const double log_count = drawn.log_expected(id);
      if (!std::isfinite(log_count))
        fail<ArgumentError>("{}: class {} is a target, and the noise never draws it", name, id);
      out.push_back(log_count);
    }
    return Variable(Tensor::from(out, {ids.size()}).to(x.dtype()));
  };
  const Indices ids = targets.reshape({rows});
  const Variable flat = reshape(x, {rows, weight.dim(1)});
  Variable target = sum(flat * gather_rows(weight, ids, at), -1);
  Variable others = linear(flat, gather_rows(weight, drawn.ids, at),
                           has_bias ? gather_rows(bias, drawn.ids, at) : Variable(), at);  // (rows, count)
  if (has_bias) target = target + gather_rows(bias, ids, at);
  return {target - expected(ids), others - reshape(expected(drawn.ids), {1, count})};
}

Variable reduced(const Variable& losses, const Shape& shape, Reduction reduction) {
  if (reduction == Reduction::mean) return mean(losses);
  return reduction == Reduction::sum ? sum(losses) : reshape(losses, shape);
}

}  // namespace

Variable sampled_softmax(const Variable& x, const Variable& weight, const Variable& bias,
                         const Indices& targets, const Candidates& drawn, const SampledOptions& options,
                         Where at) {
  const InOp op("sampled_softmax", at);
  const Logits logits = logits_of("sampled_softmax", x, weight, bias, targets, drawn, options.reduction, at);
  const std::int64_t rows = targets.size(), count = drawn.ids.size();
  // 1 where a drawn class is the target, which counts once: (rows, count)
  std::vector<float> hits;
  for (const std::int32_t target : targets.values()) {
    for (const std::int32_t id : drawn.ids.values()) hits.push_back(id == target ? 1 : 0);
  }
  const Tensor mask = Tensor::from(hits, {rows, count});
  const Variable others =
      masked_fill(logits.drawn, mask.to(x.dtype()), -std::numeric_limits<double>::infinity());
  const Variable all = concat({reshape(logits.target, {rows, 1}), others}, 1);
  const Indices first(std::vector<std::int32_t>(static_cast<std::size_t>(rows), 0));
  return reduced(cross_entropy(all, first, Reduction::none, at), targets.shape(), options.reduction);
}

Variable nce(const Variable& x, const Variable& weight, const Variable& bias, const Indices& targets,
             const Candidates& drawn, const SampledOptions& options, Where at) {
  const InOp op("nce", at);
  const Logits logits = logits_of("nce", x, weight, bias, targets, drawn, options.reduction, at);
  const Variable losses = log1p_exp(-logits.target) + sum(log1p_exp(logits.drawn), -1);
  return reduced(losses, targets.shape(), options.reduction);
}

}  // namespace gradus::nn
