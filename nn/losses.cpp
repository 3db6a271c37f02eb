#include "nn/losses.hpp"

#include <array>
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
#include "nn/loss_checks.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

void require_elements(const char* name, const Variable& losses) {
  if (losses.size() == 0) fail<ShapeError>("{}: the mean of no losses; the input has no elements", name);
}

Variable reduced(const Variable& losses, Reduction reduction, const char* name) {
  if (reduction == Reduction::none) return losses;
  if (reduction == Reduction::sum) return sum(losses);
  require_elements(name, losses);
  return mean(losses);
}

/// f of each element of x and of others, which broadcast to it, reduced.
template <class F, class... Others>
Variable of_elements(const char* name, Reduction reduction, Where at, const F& f, const Variable& x,
                     const Others&... others) {
  if (reduction == Reduction::none) return elementwise(f, x, others..., at);
  if (reduction == Reduction::mean) require_elements(name, x);
  const double factor = reduction == Reduction::mean ? 1 / static_cast<double>(x.size()) : 1;
  return gradus::detail::elementwise_sum(name, at, factor, f, x, others...);
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
  detail::require_same_shape("mse", x, *target);
  return of_elements(
      "mse", reduction, at, [](auto a, auto b) { return square(a - b); }, x, *target);
}

Variable l1(const Variable& x, const Target& target, Reduction reduction, Where at) {
  const InOp op("l1", at);
  detail::require_same_shape("l1", x, *target);
  return of_elements(
      "l1", reduction, at, [](auto a, auto b) { return abs(a - b); }, x, *target);
}

Variable huber(const Variable& x, const Target& target, const HuberOptions& options, Where at) {
  const InOp op("huber", at);
  if (!(options.delta > 0)) fail<ArgumentError>("huber: delta is {}; it must be above 0", options.delta);
  detail::require_same_shape("huber", x, *target);
  // With c = d clipped: d^2 / 2 inside and delta (|d| - delta / 2) outside, without a square that overflows.
  const auto f = [](auto a, auto b, auto least, auto most) {
    const auto d = a - b, c = clamp(d, least, most);
    return c * (d - 0.5 * c);
  };
  const auto slopes = [](auto a, auto b, auto least, auto most, auto g) {
    const auto slope = g * clamp(a - b, least, most);
    return std::array{slope, -slope};
  };
  return of_elements("huber", options.reduction, at, gradus::detail::Sloped{f, slopes}, x, *target,
                     -options.delta, options.delta);
}

Variable bce_with_logits(const Variable& logits, const Target& target, const BceOptions& options, Where at) {
  const InOp op("bce_with_logits", at);
  detail::require_same_shape("bce_with_logits", logits, *target);
  const Tensor& weight = options.positive_weight;
  if (!weight.defined()) {
    // Two terms that are not negative, so that nothing cancels; and 0 times an infinite logit is 0.
    const auto f = [](auto x, auto t) {
      const auto above = x > 0;
      const auto rate = where(above, 1 - t, -t);
      return log1p(exp(where(above, -x, x))) + where(rate == 0, 0, rate * x);
    };
    const auto slopes = [](auto x, auto t, auto g) {
      const auto above = x > 0;
      const auto e = exp(where(above, -x, x)), other = e / (1 + e);  // the smaller of the two probabilities
      return std::array{g * (where(above, 1 - t, -t) + where(above, -other, other)), g * -x};
    };
    return of_elements("bce_with_logits", options.reduction, at, gradus::detail::Sloped{f, slopes}, logits,
                       *target);
  }
  if (weight.size() > 0 && !(min(weight).item() >= 0))
    fail<ArgumentError>("bce_with_logits: a positive_weight of {}; it must be 0 or more", min(weight).item());
  if (broadcast_shapes("bce_with_logits", logits.shape(), weight.shape()) != logits.shape()) {
    fail<ShapeError>("bce_with_logits: a positive_weight of shape {} does not broadcast to the logits' {}",
                     weight.shape(), logits.shape());
  }
  // Both terms by themselves: neither cancels, and 0 times an infinite one is 0.
  const auto f = [](auto x, auto t, auto w) {
    return where(t == 0, 0, w * t * log1p_exp(-x)) + where(t == 1, 0, (1 - t) * log1p_exp(x));
  };
  return of_elements("bce_with_logits", options.reduction, at, f, logits, *target,
                     Variable(weight.to(logits.dtype())));
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
  detail::require_same_shape("soft_cross_entropy", logits, *target);
  if (logits.rank() == 0)
    fail<ShapeError>("soft_cross_entropy: the logits are a scalar; they need an axis of classes");
  return reduced(gradus::detail::soft_cross_entropies(logits, *target, at), reduction, "soft_cross_entropy");
}

Variable cross_entropy(const Variable& logits, const Target& target, const CrossEntropyOptions& options,
                       Where at) {
  const InOp op("cross_entropy", at);
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
    fail<ArgumentError>("cross_entropy: label_smoothing {} is not in 0..1", options.label_smoothing);
  if (options.ignore_index != CrossEntropyOptions().ignore_index)
    fail<ArgumentError>("cross_entropy: targets that are distributions have no ignore_index");
  detail::require_same_shape("cross_entropy", logits, *target);
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
  detail::require_same_shape("kl_div", log_probs, *target);
  const auto of_logs = [](auto x, auto t) { return where(exp(t) == 0, 0, exp(t) * (t - x)); };
  const auto of_probs = [](auto x, auto t) { return where(t == 0, 0, xlogy(t, t) - t * x); };
  const bool mean_of_rows = options.reduction == Reduction::mean && options.per_row && log_probs.rank() > 0;
  if (mean_of_rows && log_probs.dim(0) == 0)
    fail<ShapeError>("kl_div: the mean of no losses; the input has no rows");
  const auto loss = [&](const auto& f) {
    if (!mean_of_rows) return of_elements("kl_div", options.reduction, at, f, log_probs, *target);
    const double factor = 1 / static_cast<double>(log_probs.dim(0));
    return gradus::detail::elementwise_sum("kl_div", at, factor, f, log_probs, *target);
  };
  return options.log_target ? loss(of_logs) : loss(of_probs);
}

Variable gaussian_nll(const Variable& x, const Target& target, const Target& variance,
                      const GaussianNllOptions& options, Where at) {
  const InOp op("gaussian_nll", at);
  detail::require_same_shape("gaussian_nll", x, *target);
  if (!(options.eps > 0)) fail<ArgumentError>("gaussian_nll: eps is {}; it must be above 0", options.eps);
  const Tensor& variances = (*variance).value();
  if (variances.size() > 0 && min(variances).item() < 0)
    fail<NumericError>("gaussian_nll: a variance of {}; none may be negative", min(variances).item());
  const auto f = [](auto a, auto b, auto v, auto eps) {
    const auto kept = max(v, eps);
    return 0.5 * (log(kept) + square(a - b) / kept);
  };
  if (broadcast_shapes("gaussian_nll", x.shape(), variances.shape()) != x.shape())
    fail<ShapeError>("gaussian_nll: variances of shape {} do not broadcast to the input's {}",
                     variances.shape(), x.shape());
  Variable losses = of_elements("gaussian_nll", options.reduction, at, f, x, *target, *variance, options.eps);
  if (!options.full) return losses;
  const double count = options.reduction == Reduction::sum ? static_cast<double>(x.size()) : 1;
  return losses + count * 0.5 * std::log(2 * std::numbers::pi);
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
  return of_elements("cosine", options.reduction, at, f, similar, Variable(label.to(x.dtype())),
                     options.margin);
}

Variable margin_ranking(const Variable& x, const Target& y, const Tensor& label, const MarginOptions& options,
                        Where at) {
  const InOp op("margin_ranking", at);
  require_finite("margin_ranking", "margin", options.margin);
  detail::require_same_shape("margin_ranking", x, *y);
  require_labels("margin_ranking", x.shape(), label);
  const auto f = [](auto a, auto b, auto l, auto margin) { return relu(margin - l * (a - b)); };
  return of_elements("margin_ranking", options.reduction, at, f, x, *y, Variable(label.to(x.dtype())),
                     options.margin);
}

Variable triplet(const Variable& anchor, const Target& positive, const Target& negative,
                 const TripletOptions& options, Where at) {
  const InOp op("triplet", at);
  require_finite("triplet", "margin", options.margin);
  require_finite("triplet", "eps", options.eps);
  if (!(options.p > 0)) fail<ArgumentError>("triplet: p is {}; it must be above 0", options.p);
  detail::require_same_shape("triplet", anchor, *positive);
  detail::require_same_shape("triplet", anchor, *negative);
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
