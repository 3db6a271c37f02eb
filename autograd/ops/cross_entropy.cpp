#include "autograd/ops/cross_entropy.hpp"
#include "autograd/compact.hpp"

#include <algorithm>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/record.hpp"
#include "autograd/tape.hpp"
#include "tensor/kernels/softmax.hpp"
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

void check(const Shape& logits, const Indices& targets, const CrossEntropyOptions& options) {
  if (logits.rank() == 0 || logits.erased(-1) != targets.shape()) {
    fail<ShapeError>(
        "cross_entropy: logits of shape {} need targets of that shape without the last axis, not {}", logits,
        targets.shape());
  }
  const std::int64_t classes = logits[-1];
  for (std::int64_t i = 0; i < targets.size(); ++i) {
    const std::int32_t target = targets.data()[i];
    if (target != options.ignore_index && (target < 0 || target >= classes)) {
      fail<ShapeError>("cross_entropy: target {} at position {} is not in 0..{}", target, i, classes - 1);
    }
  }
  if (options.weight.defined() && options.weight.shape() != Shape{classes}) {
    fail<ShapeError>("cross_entropy: weights of shape {} for {} classes", options.weight.shape(), classes);
  }
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1)) {
    fail<ArgumentError>("cross_entropy: label_smoothing {} is not in 0..1", options.label_smoothing);
  }
}

[[noreturn]] void fail_no_targets(const Indices& targets) {
  fail<ShapeError>("cross_entropy: the mean of no targets ({} given, none counts)", targets.size());
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
  const InOp op("cross_entropy", where);
  const Shape shape = targets.shape();
  Tensor losses = Tensor::uninitialized(shape, logits.dtype());
  Tensor log_totals = Tensor::uninitialized(shape, logits.dtype());
  const Tensor& x = logits.value();
  const std::int64_t rows = targets.size(), classes = x.dim(-1);
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::cross_entropy(x.data<T>(), targets.data(), rows, classes, losses.mutable_data<T>(),
                           log_totals.mutable_data<T>());
  });
  const auto differentiable = [logits, targets](const Variable& g) {
    const Dtype dtype = logits.dtype();
    // p, and p - 1 at the targets, also where p rounds to 1.
    const Variable log_p = log_softmax(logits);
    const Variable at_target(one_hot_targets(targets, logits.shape(), dtype));
    const Variable off = gradus::where(at_target, expm1(log_p), exp(log_p));
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
  return record(op, std::move(losses), wrt(logits, differentiable, fused));
}

}  // namespace

Variable cross_entropy(const Variable& logits, const Indices& targets, Reduction reduction, Where where) {
  return cross_entropy(logits, targets, CrossEntropyOptions{.reduction = reduction}, where);
}

namespace {

/// Targets that are distributions over the classes.
struct Distributions {
  Tensor values;  // (..., classes), or (classes) for all rows alike
  /// (...): of each row a class, -1 for a row that does not count, and what its target is larger by. Without
  /// shares `values` is all.
  Indices classes = {};
  Tensor shares = {};

  template <class T>
  kernels::SoftTargets<T> of_kernel(const Shape& logits) const {
    kernels::SoftTargets<T> out{values.data<T>(), values.shape() == logits ? logits[-1] : 0};
    if (shares.defined()) {
      out.classes = classes.data();
      out.shares = shares.data<T>();
    }
    return out;
  }
  /// (..., classes)
  Tensor dense(const Shape& logits) const {
    if (!shares.defined()) return values;
    const Tensor at_class = one_hot_targets(classes, logits, values.dtype());
    const Tensor counts = weights_of(classes, Tensor(), values.dtype());
    return values * unsqueeze(counts, -1) + at_class * unsqueeze(shares, -1);
  }
};

/// The gradient of the logits by ops: g (sum(t) p - t), also where p rounds to 1.
Variable soft_slope(const Variable& log_p, const Variable& target, const Variable& g) {
  const Variable down = -(target * unsqueeze(g, -1));
  return -(down * expm1(log_p)) - exp(log_p) * (sum(down, -1, true) - down);
}

/// -sum(target * log_softmax(logits)) of each row, as one node; `target` has the values of `t`, and a
/// gradient where these are a Variable's.
Variable soft_losses(const InOp& op, const Variable& logits, const Variable& target, const Distributions& t) {
  const Tensor& x = logits.value();
  const Shape shape = x.shape(), of_rows = shape.erased(-1);
  const std::int64_t rows = of_rows.size();
  Tensor losses = Tensor::uninitialized(of_rows, x.dtype());
  Tensor log_totals = Tensor::uninitialized_like(losses), target_totals = Tensor::uninitialized_like(losses);
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::soft_cross_entropy<T>(x.data<T>(), t.of_kernel<T>(shape), rows, shape[-1],
                                   losses.mutable_data<T>(), log_totals.mutable_data<T>(),
                                   target_totals.mutable_data<T>());
  });
  const auto fused = [x, t, log_totals, target_totals, rows, shape](
                         const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) {
    if (wanted[1]) out[1] = -(log_softmax(x) * unsqueeze(g, -1));
    if (!wanted[0]) return;
    out[0] = Tensor::uninitialized_like(x);
    visit_dtype(x.dtype(), [&](auto tag) {
      using T = decltype(tag);
      kernels::soft_cross_entropy_backward<T>(x.data<T>(), t.of_kernel<T>(shape), log_totals.data<T>(),
                                              target_totals.data<T>(), g.data<T>(), rows, shape[-1],
                                              out[0].mutable_data<T>());
    });
  };
  const auto differentiable = [logits, target, t, shape](const Variable& g) {
    const Variable log_p = log_softmax(logits);
    const Variable wanted = target.value().defined() ? target : Variable(t.dense(shape));
    return std::vector<Variable>{soft_slope(log_p, wanted, g), -(log_p * unsqueeze(g, -1))};
  };
  return record(op, std::move(losses), jointly({logits, target}, fused, differentiable));
}

/// The losses of smoothed targets: (1 - e) of each target's weight at its class, and e of the mean of all.
Variable smoothed_losses(const InOp& op, const Variable& logits, const Indices& targets,
                         const CrossEntropyOptions& options, const Tensor& weights) {
  const double e = options.label_smoothing;
  const std::int64_t classes = logits.dim(-1);
  const Tensor even = full({classes}, e / static_cast<double>(classes), logits.dtype());
  return soft_losses(op, logits, Variable(),
                     {options.weight.defined() ? even * options.weight.to(logits.dtype()) : even, targets,
                      weights * (1 - e)});
}

}  // namespace

Variable detail::soft_cross_entropies(const Variable& logits, const Variable& target, Where where) {
  const InOp op("soft_cross_entropy", where);
  return soft_losses(op, logits, target, {target.value()});
}

Variable cross_entropy(const Variable& logits, const Indices& all_targets, const CrossEntropyOptions& options,
                       Where where) {
  const InOp op("cross_entropy", where);
  check(logits.shape(), all_targets, options);
  const Indices targets = counted(all_targets, options.ignore_index);
  const Tensor weights = weights_of(targets, options.weight, logits.dtype());
  const double total = sum(weights).item();
  if (options.reduction == Reduction::mean && total == 0) {
    fail_no_targets(targets);
  }
  const bool smoothed = options.label_smoothing > 0;
  Variable losses = smoothed ? smoothed_losses(op, logits, targets, options, weights)
                             : cross_entropies(logits, targets, where);
  if (options.weight.defined() && !smoothed) losses = losses * Variable(weights);
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

namespace {

/// Which of the inputs' gradients are wanted.
struct Wanted {
  bool x, weight, bias;
  bool any() const { return x || weight || bias; }
};

/// The loss, and the gradients of the inputs where wanted.
struct Result {
  Tensor loss, x, weight, bias;
};

/// The rows whose logits are made at once: as many as fit, in chunks of about equal size.
std::int64_t chunk_rows(std::int64_t rows, std::int64_t classes, Dtype dtype, std::int64_t chunk_bytes) {
  const std::int64_t row_bytes =
      std::max<std::int64_t>(classes * static_cast<std::int64_t>(bytes_of(dtype)), 1);
  const std::int64_t fit = std::max<std::int64_t>(chunk_bytes / row_bytes, 64);
  const std::int64_t chunks = (rows + fit - 1) / fit;
  return chunks <= 1 ? rows : (rows + chunks - 1) / chunks;
}

/// The sum of g times the losses. x: (rows, width)
Result compute(const Tensor& x, const Tensor& weight, const Tensor& bias, const Indices& targets, double g,
               Wanted wanted, std::int64_t chunk) {
  const std::int64_t rows = x.dim(0);
  Result out;
  Tensor losses = Tensor::uninitialized({rows}, x.dtype());
  storage::PoolVector<Tensor> parts_of_x;
  // Once even without rows: for the checks of linear, and for gradients of 0.
  for (std::int64_t begin = 0; begin == 0 || begin < rows; begin += std::max<std::int64_t>(chunk, 1)) {
    const std::int64_t end = std::min(begin + chunk, rows);
    const Tensor inputs = slice(x, 0, begin, end);  // (chunk, width)
    Tensor logits = linear(inputs, weight, bias);   // (chunk, classes), then their gradient
    visit_dtype(x.dtype(), [&](auto tag) {
      using T = decltype(tag);
      const std::int64_t classes = logits.dim(1);
      const std::int32_t* const ids = targets.data() + begin;
      T* const to = losses.mutable_data<T>() + begin;
      if (wanted.any()) {
        kernels::cross_entropy_in_place(logits.mutable_data<T>(), ids, end - begin, classes,
                                        static_cast<T>(g), to);
      } else {
        kernels::cross_entropy<T>(logits.data<T>(), ids, end - begin, classes, to, nullptr);
      }
    });
    if (wanted.x) parts_of_x.push_back(matmul(logits, weight));
    if (wanted.weight && begin == 0) out.weight = matmul(logits, inputs, {.transpose_a = true});
    if (wanted.weight && begin > 0) add_matmul(out.weight, logits, inputs, {.transpose_a = true});
    if (wanted.bias && begin == 0) out.bias = sum(logits, {0});
    if (wanted.bias && begin > 0) add_to(out.bias, sum(logits, {0}));
  }
  if (wanted.x) out.x = parts_of_x.size() == 1 ? parts_of_x.front() : concat(parts_of_x, 0);
  out.loss = sum(losses) * g;
  return out;
}

/// Whether a gradient of x would be asked for.
bool is_wanted(const Variable& x) {
  return recording() && x.value().defined() && x.place().tape() != Place::constant;
}

}  // namespace

Variable linear_cross_entropy(const Variable& x, const Variable& weight, const Variable& bias,
                              const Indices& all_targets, const LinearCrossEntropyOptions& options,
                              Where where) {
  const InOp op("linear_cross_entropy", where);
  if (options.chunk_bytes < 1)
    fail<ArgumentError>("linear_cross_entropy: chunk_bytes of {}; at least 1", options.chunk_bytes);
  const CrossEntropyOptions end{.reduction = options.reduction, .ignore_index = options.ignore_index};
  detail::refuse_recording(weight);
  const bool fits = x.value().defined() && x.rank() > 0 && weight.value().defined() && weight.rank() == 2;
  if (!fits || options.reduction == Reduction::none)
    return cross_entropy(linear(x, weight, bias, where), all_targets, end, where);
  check(x.shape().with(-1, weight.dim(0)), all_targets, end);
  const Indices targets = counted(all_targets, options.ignore_index);
  const auto count = std::count_if(targets.values().begin(), targets.values().end(),
                                   [](std::int32_t target) { return target >= 0; });
  if (options.reduction == Reduction::mean && count == 0) fail_no_targets(targets);

  const double g = options.reduction == Reduction::mean ? 1 / static_cast<double>(count) : 1;
  const std::int64_t rows = targets.size();
  const Result made = compute(x.value().reshape({rows, x.dim(-1)}), weight.value(), bias.value(), targets, g,
                              {is_wanted(x), is_wanted(weight), is_wanted(bias)},
                              chunk_rows(rows, weight.dim(0), x.dtype(), options.chunk_bytes));
  const auto fused = [made, shape = x.shape()](const Tensor& upstream, std::span<const bool> wanted,
                                               std::span<Tensor> out) {
    const double factor = upstream.item();
    const auto scaled = [&](const Tensor& gradient) { return factor == 1 ? gradient : gradient * factor; };
    if (wanted[0]) out[0] = scaled(made.x).reshape(shape);
    if (wanted[1]) out[1] = scaled(made.weight);
    if (wanted[2]) out[2] = scaled(made.bias);
  };
  const auto differentiable = [x, weight, bias, all_targets, end](const Variable& upstream) {
    // Fresh nodes, so that the derivatives are partial even where one input depends on another.
    std::vector<Variable> fresh{identity(x), identity(weight)};
    if (bias.value().defined()) fresh.push_back(identity(bias));
    const Variable loss = cross_entropy(
        linear(fresh[0], fresh[1], bias.value().defined() ? fresh[2] : Variable()), all_targets, end);
    std::vector<Variable> out = grad(loss * upstream, fresh);
    out.resize(3);
    return out;
  };
  return record(op, made.loss, jointly({x, weight, bias}, fused, differentiable));
}

}  // namespace gradus
