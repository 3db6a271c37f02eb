#include "autograd/ops/softmax.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

std::int64_t rows_of(const Tensor& x) {
  return x.dim(-1) == 0 ? 0 : x.size() / x.dim(-1);
}

Tensor log_softmax_gradient(const Tensor& g, const Tensor& y) {
  Tensor dx = Tensor::uninitialized(y.shape(), y.dtype());
  visit_dtype(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::log_softmax_backward(g.data<T>(), y.data<T>(), rows_of(y), y.dim(-1), dx.mutable_data<T>());
  });
  return dx;
}

void check_targets(const Variable& logits, const Indices& targets, Where where) {
  if (logits.rank() == 0 || logits.shape().erased(-1) != targets.shape()) {
    fail<ShapeError>(
        "cross_entropy at {}: logits of shape {} need targets of that shape without the last axis, not {}",
        where.text(), logits.shape(), targets.shape());
  }
  const std::int64_t classes = logits.dim(-1);
  for (std::int64_t i = 0; i < targets.size(); ++i) {
    const std::int32_t target = targets.data()[i];
    if (target < 0 || target >= classes) {
      fail<ShapeError>("cross_entropy at {}: target {} at position {} is not in 0..{}", where.text(), target,
                       i, classes - 1);
    }
  }
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
    const Variable off = softmax(logits) - Variable(one_hot(targets, logits.dim(-1), logits.dtype()));
    return off * reshape(g, g.shape().inserted(g.rank(), 1));
  };
  const auto fused = [x, targets, log_totals, rows, classes](const Tensor& g) {
    Tensor dx = Tensor::uninitialized(x.shape(), x.dtype());
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

Variable log_softmax(const Variable& x, Where where) {
  const Tensor value = log_softmax(x.value());
  return record({"log_softmax", where}, value,
                wrt(
                    x, [](const Variable& g, const Variable& y) { return g - exp(y) * sum(g, -1, true); },
                    [value](const Tensor& g) { return log_softmax_gradient(g, value); }));
}

Variable softmax(const Variable& x, Where where) {
  return exp(log_softmax(x, where), where);
}

Variable cross_entropy(const Variable& logits, const Indices& targets, Reduction reduction, Where where) {
  check_targets(logits, targets, where);
  if (reduction == Reduction::mean && targets.size() == 0) {
    fail<ShapeError>("cross_entropy at {}: the mean of no targets", where.text());
  }
  const Variable losses = cross_entropies(logits, targets, where);
  switch (reduction) {
    case Reduction::none:
      return losses;
    case Reduction::sum:
      return sum(losses, where);
    case Reduction::mean:
      return mean(losses, where);
  }
  return losses;
}

}  // namespace gradus
