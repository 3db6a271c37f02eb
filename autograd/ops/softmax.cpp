#include "autograd/ops/softmax.hpp"

#include <algorithm>
#include <vector>

#include "autograd/located.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// 1 at each target that counts, else 0: (..., classes)
Tensor one_hot_targets(const Indices& targets, const Shape& shape, Dtype dtype) {
  Tensor out = zeros(shape, dtype);
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* to = out.mutable_data<T>();
    for (const std::int32_t target : targets.values()) {
      if (target >= 0) to[target] = 1;
      to += shape[-1];
    }
  });
  return out;
}

void check(const Variable& logits, const Indices& targets, const CrossEntropyOptions& options, Where where) {
  if (logits.rank() == 0 || logits.shape().erased(-1) != targets.shape()) {
    fail<ShapeError>(
        "cross_entropy at {}: logits of shape {} need targets of that shape without the last axis, not {}",
        where.text(), logits.shape(), targets.shape());
  }
  const std::int64_t classes = logits.dim(-1);
  for (std::int64_t i = 0; i < targets.size(); ++i) {
    const std::int32_t target = targets.data()[i];
    if (target != options.ignore_index && (target < 0 || target >= classes)) {
      fail<ShapeError>("cross_entropy at {}: target {} at position {} is not in 0..{}", where.text(), target,
                       i, classes - 1);
    }
  }
  if (options.weight.defined() && options.weight.shape() != Shape{classes}) {
    fail<ShapeError>("cross_entropy at {}: weights of shape {} for {} classes", where.text(),
                     options.weight.shape(), classes);
  }
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1)) {
    fail<ArgumentError>("cross_entropy at {}: label_smoothing {} is not in 0..1", where.text(),
                        options.label_smoothing);
  }
}

/// The targets with -1, which the kernels pass over, for those to ignore.
Indices counted(const Indices& targets, std::int32_t ignore) {
  const auto values = targets.values();
  if (ignore == -1 || std::find(values.begin(), values.end(), ignore) == values.end()) return targets;
  std::vector<std::int32_t> out(values.begin(), values.end());
  std::replace(out.begin(), out.end(), ignore, -1);
  return Indices(std::move(out), targets.shape());
}

/// How much each target counts in the mean: its class's weight, 0 where it is ignored. (targets)
Tensor weights_of(const Indices& targets, const Tensor& weight, Dtype dtype) {
  Tensor out = Tensor::uninitialized(targets.shape(), dtype);
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* const to = out.mutable_data<T>();
    for (std::int64_t i = 0; i < targets.size(); ++i) {
      const std::int32_t target = targets.data()[i];
      to[i] = target < 0 ? T{0} : weight.defined() ? static_cast<T>(weight.at(target)) : T{1};
    }
  });
  return out;
}

/// The loss of each target, as one node: (targets)
Variable cross_entropies(const Variable& logits, const Indices& targets, Where where) {
  const Shape shape = targets.shape();
  Tensor losses = Tensor::uninitialized(shape, logits.dtype());
  Tensor log_totals = Tensor::uninitialized(shape, logits.dtype());
  const Tensor x = logits.value();
  const std::int64_t rows = targets.size(), classes = x.dim(-1);
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::cross_entropy(x.data<T>(), targets.data(), rows, classes, losses.mutable_data<T>(),
                           log_totals.mutable_data<T>());
  });
  const auto differentiable = [logits, targets](const Variable& g) {
    const Dtype dtype = logits.dtype();
    const Variable off = softmax(logits) - Variable(one_hot_targets(targets, logits.shape(), dtype));
    const Variable counts(weights_of(targets, Tensor(), dtype));
    return off * reshape(g * counts, g.shape().inserted(g.rank(), 1));
  };
  const auto fused = [x, targets, log_totals, rows, classes](const Tensor& g) {
    Tensor dx = Tensor::uninitialized_like(x);
    visit_dtype(x.dtype(), [&](auto tag) {
      using T = decltype(tag);
      kernels::cross_entropy_backward(x.data<T>(), targets.data(), log_totals.data<T>(), g.data<T>(), rows,
                                      classes, dx.mutable_data<T>());
    });
    return dx;
  };
  return record({"cross_entropy", where}, std::move(losses), wrt(logits, differentiable, fused));
}

}  // namespace

Variable log_softmax(const Variable& x, int axis, Where where) {
  if (x.rank() == 0) return reshape(log_softmax(reshape(x, {1}, where), axis, where), Shape{}, where);
  const Tensor value = located(where, [&] { return log_softmax(x.value(), axis); });
  return record(
      {"log_softmax", where}, value,
      wrt(
          x, [axis](const Variable& g, const Variable& y) { return g - exp(y) * sum(g, axis, true); },
          [value, axis](const Tensor& g) { return log_softmax_backward(g, value, axis); }));
}

Variable softmax(const Variable& x, int axis, Where where) {
  if (x.rank() == 0) return reshape(softmax(reshape(x, {1}, where), axis, where), Shape{}, where);
  const Tensor value = located(where, [&] { return softmax(x.value(), axis); });
  return record(
      {"softmax", where}, value,
      wrt(
          x, [axis](const Variable& g, const Variable& y) { return y * (g - sum(g * y, axis, true)); },
          [value, axis](const Tensor& g) { return softmax_backward(g, value, axis); }));
}

Variable cross_entropy(const Variable& logits, const Indices& targets, Reduction reduction, Where where) {
  return cross_entropy(logits, targets, CrossEntropyOptions{.reduction = reduction}, where);
}

namespace {

/// -mean over the classes of weight * log p, for each target that counts: (targets)
Variable smoothing_losses(const Variable& logits, const Indices& targets, const Tensor& weight, Where where) {
  Variable log_p = log_softmax(logits, -1, where);
  if (weight.defined()) log_p = log_p * Variable(weight.to(logits.dtype()));
  return -mean(log_p, -1, false, where) * Variable(weights_of(targets, Tensor(), logits.dtype()));
}

}  // namespace

Variable cross_entropy(const Variable& logits, const Indices& all_targets, const CrossEntropyOptions& options,
                       Where where) {
  check(logits, all_targets, options, where);
  const Indices targets = counted(all_targets, options.ignore_index);
  const Tensor weights = weights_of(targets, options.weight, logits.dtype());
  const double total = sum(weights).item();
  if (options.reduction == Reduction::mean && total == 0) {
    fail<ShapeError>("cross_entropy at {}: the mean of no targets ({} given, none counts)", where.text(),
                     targets.size());
  }
  Variable losses = cross_entropies(logits, targets, where);
  if (options.weight.defined()) losses = losses * Variable(weights);
  if (const double e = options.label_smoothing; e > 0) {
    losses = (1 - e) * losses + e * smoothing_losses(logits, targets, options.weight, where);
  }
  switch (options.reduction) {
    case Reduction::none:
      return losses;
    case Reduction::sum:
      return sum(losses, {}, false, where);
    case Reduction::mean:
      if (total == static_cast<double>(targets.size())) return mean(losses, {}, false, where);
      return sum(losses, {}, false, where) / VariableOperand(total, where);
  }
  return losses;
}

}  // namespace gradus
