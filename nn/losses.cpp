#include "nn/losses.hpp"

#include <cmath>
#include <numbers>

#include "autograd/elementwise.hpp"
#include "autograd/op.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

Variable reduced(const Variable& losses, Reduction reduction, const char* name) {
  if (reduction == Reduction::none) return losses;
  if (reduction == Reduction::sum) return sum(losses);
  if (losses.size() == 0) fail<ShapeError>("{}: the mean of no losses; the input has no elements", name);
  return mean(losses);
}

void require_same_shape(const char* name, const Variable& x, const Variable& target) {
  if (x.dtype() != target.dtype())
    fail<DtypeError>("{}: the input is {}, the target {}; convert one with to(...)", name, name_of(x.dtype()),
                     name_of(target.dtype()));
  if (x.shape() != target.shape())
    fail<ShapeError>("{}: the input has shape {}, the target {}; they must be the same", name, x.shape(),
                     target.shape());
}

void require_finite(const char* name, const char* option, double value) {
  if (!std::isfinite(value)) fail<ArgumentError>("{}: {} is {}; it must be finite", name, option, value);
}

/// A label for each loss, 1 or -1.
void require_labels(const char* name, const Shape& losses, const Tensor& labels) {
  if (labels.shape() != losses)
    fail<ShapeError>("{}: {} labels are needed, one for each pair; they have shape {}", name, losses,
                     labels.shape());
  if (labels.size() > 0 && !(min(abs(labels)).item() == 1 && max(abs(labels)).item() == 1))
    fail<ArgumentError>("{}: a label is 1 or -1", name);
}

/// The p-norm of x - y + eps over the last axis.
Variable distance(const Variable& x, const Variable& y, double p, double eps) {
  return norm(x - y + eps, -1, {.p = p});
}

}  // namespace

Variable mse(const Variable& x, const Target& target, Reduction reduction, Where at) {
  const InOp op("mse", at);
  require_same_shape("mse", x, *target);
  return reduced(elementwise([](auto a, auto b) { return square(a - b); }, x, *target, at), reduction, "mse");
}

Variable l1(const Variable& x, const Target& target, Reduction reduction, Where at) {
  const InOp op("l1", at);
  require_same_shape("l1", x, *target);
  return reduced(elementwise([](auto a, auto b) { return abs(a - b); }, x, *target, at), reduction, "l1");
}

Variable huber(const Variable& x, const Target& target, const HuberOptions& options, Where at) {
  const InOp op("huber", at);
  if (!(options.delta > 0)) fail<ArgumentError>("huber: delta is {}; it must be above 0", options.delta);
  require_same_shape("huber", x, *target);
  const auto f = [](auto a, auto b, auto delta) {
    const auto d = a - b;
    const auto inside = where(abs(d) <= delta, d, 0);  // whose square does not overflow
    return where(abs(d) <= delta, 0.5 * square(inside), delta * (abs(d) - 0.5 * delta));
  };
  return reduced(elementwise(f, x, *target, options.delta, at), options.reduction, "huber");
}

Variable bce_with_logits(const Variable& logits, const Target& target, const BceOptions& options, Where at) {
  const InOp op("bce_with_logits", at);
  require_same_shape("bce_with_logits", logits, *target);
  // Both terms by themselves: neither cancels, and 0 times an infinite one is 0.
  const auto f = [](auto x, auto t, auto weight) {
    return where(t == 0, 0, weight * t * log1p_exp(-x)) + where(t == 1, 0, (1 - t) * log1p_exp(x));
  };
  const Tensor& weight = options.positive_weight;
  if (!weight.defined())
    return reduced(elementwise(f, logits, *target, 1.0, at), options.reduction, "bce_with_logits");
  if (weight.size() > 0 && !(min(weight).item() >= 0))
    fail<ArgumentError>("bce_with_logits: a positive_weight of {}; it must be 0 or more", min(weight).item());
  const Variable losses = elementwise(f, logits, *target, Variable(weight.to(logits.dtype())), at);
  if (losses.shape() != logits.shape()) {
    fail<ShapeError>("bce_with_logits: a positive_weight of shape {} does not broadcast to the logits' {}",
                     weight.shape(), logits.shape());
  }
  return reduced(losses, options.reduction, "bce_with_logits");
}

Variable nll(const Variable& log_probs, const Indices& targets, const NllOptions& options, Where at) {
  const InOp op("nll", at);
  if (log_probs.rank() == 0 || log_probs.shape().erased(-1) != targets.shape()) {
    fail<ShapeError>(
        "nll: log-probabilities of shape {} need targets of that shape without the last axis, not {}",
        log_probs.shape(), targets.shape());
  }
  const std::int64_t classes = log_probs.dim(-1);
  std::vector<std::int32_t> ids(targets.values().begin(), targets.values().end());
  std::vector<float> counts(ids.size(), 1);
  std::int64_t counted = targets.size();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == options.ignore_index) {
      counts[i] = 0;
      ids[i] = 0;
      --counted;
    } else if (ids[i] < 0 || ids[i] >= classes) {
      fail<ShapeError>("nll: target {} at position {} is not in 0..{}", ids[i], i, classes - 1);
    }
  }
  if (counted == 0 && options.reduction == Reduction::mean)
    fail<ShapeError>("nll: the mean of no targets ({} given, none counts)", targets.size());
  if (counted == 0)
    return reduced(Variable(zeros(targets.shape(), log_probs.dtype())), options.reduction, "nll");
  const Variable all = -pick(log_probs, -1, Indices(std::move(ids), targets.shape()));
  if (counted == targets.size()) return reduced(all, options.reduction, "nll");
  const Tensor mask = Tensor::from(counts, targets.shape()).to(log_probs.dtype());
  // Chosen, not multiplied: a log-probability of minus infinity that is ignored stays out.
  Variable losses = elementwise([](auto m, auto loss) { return where(m, loss, 0); }, Variable(mask), all, at);
  if (options.reduction == Reduction::none) return losses;
  const Variable total = sum(losses);
  return options.reduction == Reduction::sum ? total : total / static_cast<double>(counted);
}

Variable soft_cross_entropy(const Variable& logits, const Target& target, Reduction reduction, Where at) {
  const InOp op("soft_cross_entropy", at);
  require_same_shape("soft_cross_entropy", logits, *target);
  if (logits.rank() == 0)
    fail<ShapeError>("soft_cross_entropy: the logits are a scalar; they need an axis of classes");
  const auto f = [](auto t, auto log_p) { return where(t == 0, 0, -t * log_p); };
  return reduced(sum(elementwise(f, *target, log_softmax(logits), at), -1), reduction, "soft_cross_entropy");
}

Variable cross_entropy(const Variable& logits, const Target& target, const CrossEntropyOptions& options,
                       Where at) {
  const InOp op("cross_entropy", at);
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
    fail<ArgumentError>("cross_entropy: label_smoothing {} is not in 0..1", options.label_smoothing);
  if (options.ignore_index != CrossEntropyOptions().ignore_index)
    fail<ArgumentError>("cross_entropy: targets that are distributions have no ignore_index");
  require_same_shape("cross_entropy", logits, *target);
  if (logits.rank() == 0)
    fail<ShapeError>("cross_entropy: the logits are a scalar; they need an axis of classes");
  Variable wanted = *target;
  if (const double e = options.label_smoothing; e > 0)
    wanted = (1 - e) * wanted + e / static_cast<double>(logits.dim(-1));
  if (const Tensor& weight = options.weight; weight.defined()) {
    if (weight.shape() != Shape{logits.dim(-1)})
      fail<ShapeError>("cross_entropy: weights of shape {} for {} classes", weight.shape(), logits.dim(-1));
    wanted = wanted * Variable(weight.to(logits.dtype()));
  }
  return soft_cross_entropy(logits, wanted, options.reduction, at);
}

Variable kl_div(const Variable& log_probs, const Target& target, const KlOptions& options, Where at) {
  const InOp op("kl_div", at);
  require_same_shape("kl_div", log_probs, *target);
  const auto of_logs = [](auto x, auto t) { return where(exp(t) == 0, 0, exp(t) * (t - x)); };
  const auto of_probs = [](auto x, auto t) { return where(t == 0, 0, xlogy(t, t) - t * x); };
  const Variable losses = options.log_target ? elementwise(of_logs, log_probs, *target, at)
                                             : elementwise(of_probs, log_probs, *target, at);
  if (options.reduction != Reduction::mean || !options.per_row || losses.rank() == 0)
    return reduced(losses, options.reduction, "kl_div");
  if (losses.dim(0) == 0) fail<ShapeError>("kl_div: the mean of no losses; the input has no rows");
  return sum(losses) / static_cast<double>(losses.dim(0));
}

Variable gaussian_nll(const Variable& x, const Target& target, const Target& variance,
                      const GaussianNllOptions& options, Where at) {
  const InOp op("gaussian_nll", at);
  require_same_shape("gaussian_nll", x, *target);
  if (!(options.eps > 0)) fail<ArgumentError>("gaussian_nll: eps is {}; it must be above 0", options.eps);
  const Tensor& variances = (*variance).value();
  if (variances.size() > 0 && min(variances).item() < 0)
    fail<NumericError>("gaussian_nll: a variance of {}; none may be negative", min(variances).item());
  const auto f = [](auto a, auto b, auto v, auto eps) {
    const auto kept = max(v, eps);
    return 0.5 * (log(kept) + square(a - b) / kept);
  };
  const Variable losses = elementwise(f, x, *target, *variance, options.eps, at);
  if (losses.shape() != x.shape())
    fail<ShapeError>("gaussian_nll: variances of shape {} do not broadcast to the input's {}",
                     variances.shape(), x.shape());
  return reduced(options.full ? losses + 0.5 * std::log(2 * std::numbers::pi) : losses, options.reduction,
                 "gaussian_nll");
}

Variable cosine_similarity(const Variable& x, const Target& y, int axis, double eps, Where at) {
  const InOp op("cosine_similarity", at);
  require_same_shape("cosine_similarity", x, *y);
  if (!(eps > 0)) fail<ArgumentError>("cosine_similarity: eps is {}; it must be above 0", eps);
  // Each by its own norm, as the product of the two may be beyond the dtype.
  const auto unit = [&](const Variable& v) {
    return v / maximum(norm(v, axis, {.keepdims = true}), std::sqrt(eps));
  };
  return sum(unit(x) * unit(*y), axis);
}

Variable cosine(const Variable& x, const Target& y, const Tensor& label, const CosineOptions& options,
                Where at) {
  const InOp op("cosine", at);
  require_finite("cosine", "margin", options.margin);
  const Variable similar = cosine_similarity(x, y, -1, 1e-8, at);
  require_labels("cosine", similar.shape(), label);
  const auto f = [](auto c, auto l, auto margin) {
    return where(l > 0, 1 - c, where(c > margin, c - margin, 0));
  };
  return reduced(elementwise(f, similar, Variable(label.to(x.dtype())), options.margin, at),
                 options.reduction, "cosine");
}

Variable margin_ranking(const Variable& x, const Target& y, const Tensor& label, const MarginOptions& options,
                        Where at) {
  const InOp op("margin_ranking", at);
  require_finite("margin_ranking", "margin", options.margin);
  require_same_shape("margin_ranking", x, *y);
  require_labels("margin_ranking", x.shape(), label);
  const auto f = [](auto a, auto b, auto l, auto margin) { return relu(margin - l * (a - b)); };
  return reduced(elementwise(f, x, *y, Variable(label.to(x.dtype())), options.margin, at), options.reduction,
                 "margin_ranking");
}

Variable triplet(const Variable& anchor, const Target& positive, const Target& negative,
                 const TripletOptions& options, Where at) {
  const InOp op("triplet", at);
  require_finite("triplet", "margin", options.margin);
  require_finite("triplet", "eps", options.eps);
  if (!(options.p > 0)) fail<ArgumentError>("triplet: p is {}; it must be above 0", options.p);
  require_same_shape("triplet", anchor, *positive);
  require_same_shape("triplet", anchor, *negative);
  const Variable near = distance(anchor, *positive, options.p, options.eps);
  Variable far = distance(anchor, *negative, options.p, options.eps);
  if (options.swap) far = minimum(far, distance(*positive, *negative, options.p, options.eps));
  return reduced(relu(near - far + options.margin), options.reduction, "triplet");
}

Variable activation_penalty(const Variable& outputs, double alpha, Where at) {
  const InOp op("activation_penalty", at);
  require_finite("activation_penalty", "alpha", alpha);
  return alpha * reduced(square(outputs), Reduction::mean, "activation_penalty");
}

Variable change_penalty(const Variable& outputs, double beta, Where at) {
  const InOp op("change_penalty", at);
  require_finite("change_penalty", "beta", beta);
  if (outputs.rank() < 1 || outputs.dim(0) < 2)
    fail<ShapeError>("change_penalty: outputs of shape {}; two steps in time or more are needed",
                     outputs.shape());
  const Variable after = slice(outputs, 0, 1, outputs.dim(0)),
                 before = slice(outputs, 0, 0, outputs.dim(0) - 1);
  return beta * mse(after, before, Reduction::mean, at);
}

}  // namespace gradus::nn
