#include "nn/ctc.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/op.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/transforms.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::nn {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// log(exp(a) + exp(b)); NaN where one of them is.
double log_add(double a, double b) {
  const double high = std::max(a, b);
  return high == -infinity ? a + b : high + std::log1p(std::exp(-std::abs(a - b)));
}

/// The targets with blanks around each label, which are the states that a sequence goes through.
struct Targets {
  std::int32_t blank = 0;
  std::int64_t time = 0, batch = 0, classes = 0, width = 1;  // width: states of the longest target
  std::vector<std::int32_t> labels = {};                     // (batch, width), blanks behind the end
  std::vector<std::int64_t> steps = {}, states = {};         // (batch): of each sequence; states are odd

  std::int32_t label(std::int64_t b, std::int64_t s) const {
    return labels[static_cast<std::size_t>(b * width + s)];
  }
  /// Whether state s may follow s - 2: the blank between two different labels may be left out.
  bool skips(std::int64_t b, std::int64_t s) const {
    return s >= 2 && label(b, s) != blank && label(b, s) != label(b, s - 2);
  }
  std::int64_t steps_of(std::int64_t b) const { return steps[static_cast<std::size_t>(b)]; }
  std::int64_t states_of(std::int64_t b) const { return states[static_cast<std::size_t>(b)]; }
};

void check_lengths(const char* what, const Indices& lengths, std::int64_t batch, std::int64_t most) {
  const auto fits = [&](std::int32_t length) { return length >= 0 && length <= most; };
  if (lengths.shape() == Shape{batch} && std::ranges::all_of(lengths.values(), fits)) return;
  const auto wrong = std::ranges::find_if_not(lengths.values(), fits);
  if (lengths.shape() == Shape{batch})
    fail<ShapeError>("ctc: one of the {} is {}; they must be from 0 to {}", what, *wrong, most);
  fail<ShapeError>("ctc: {} of shape {}; there must be one for each of the {} sequences", what,
                   lengths.shape(), batch);
}

Targets targets_of(const Shape& log_probs, const Indices& targets, const Indices& input_lengths,
                   const Indices& target_lengths, std::int32_t blank) {
  if (log_probs.rank() != 3)
    fail<ShapeError>("ctc: log-probabilities of shape {}; they must be (time, batch, classes)", log_probs);
  Targets out{.blank = blank, .time = log_probs[0], .batch = log_probs[1], .classes = log_probs[2]};
  if (blank < 0 || blank >= out.classes)
    fail<ArgumentError>("ctc: the blank is {}; it must be one of the {} classes", blank, out.classes);
  check_lengths("input_lengths", input_lengths, out.batch, out.time);
  const bool padded = targets.rank() == 2;
  const std::int64_t most = padded ? targets.dim(1) : targets.size();
  check_lengths("target_lengths", target_lengths, out.batch, most);
  std::int64_t total = 0;
  for (const std::int32_t length : target_lengths.values()) {
    out.width = std::max(out.width, 2 * std::int64_t{length} + 1);
    total += length;
  }
  if (padded ? targets.dim(0) != out.batch : targets.rank() != 1 || total != targets.size()) {
    fail<ShapeError>(
        "ctc: targets of shape {}; they must be (batch, longest), here of {} sequences, or all one behind "
        "the other, here {} labels",
        targets.shape(), out.batch, total);
  }
  out.labels.assign(static_cast<std::size_t>(out.batch * out.width), blank);
  std::int64_t first = 0;  // of a target among all
  for (std::int64_t b = 0; b < out.batch; ++b) {
    const std::int64_t length = target_lengths.data()[b];
    if (padded) first = b * targets.dim(1);
    for (std::int64_t i = 0; i < length; ++i) {
      const std::int32_t label = targets.data()[first + i];
      if (label < 0 || label >= out.classes || label == blank) {
        fail<ShapeError>("ctc: label {} of target {} is {}; it must be in 0..{} and not the blank, {}", i, b,
                         label, out.classes - 1, blank);
      }
      out.labels[static_cast<std::size_t>(b * out.width + 2 * i + 1)] = label;
    }
    first += length;
    out.steps.push_back(input_lengths.data()[b]);
    out.states.push_back(2 * length + 1);
  }
  return out;
}

/// The sums of the algorithm over one sequence, all states of a step at a time. forward(t, s): the
/// log-probability of all ways to be in state s at step t, what stands there included.
template <class T>
class Paths {
 public:
  Paths(const Targets& targets, std::int64_t sequence, const T* log_probs)
      : targets_(targets),
        b_(sequence),
        steps_(targets.steps_of(sequence)),
        states_(targets.states_of(sequence)),
        log_probs_(log_probs + sequence * targets.classes),
        labels_(targets.labels.data() + sequence * targets.width) {}

  /// Writes forward, (steps, width), and gives the log-probability of the target.
  double run_forward(double* forward) const {
    if (steps_ == 0) return states_ == 1 ? 0 : -infinity;
    Row before(states_, 2), skipping(states_, 0);  // before: with the two states in front of the first
    for (std::int64_t t = 0; t < steps_; ++t) {
      double* const now = forward + t * targets_.width;
      if (t == 0) {
        std::fill_n(now, states_, -infinity);
        std::fill_n(now, std::min(states_, std::int64_t{2}), 0.0);
      } else {
        for (std::int64_t s = 0; s < states_; ++s)
          skipping[s] = targets_.skips(b_, s) ? before[s - 2] : -infinity;
        log_add(before.at(0), before.at(-1), now);
        log_add(now, skipping.at(0), now);
      }
      add_log_probs(t, now);
      std::copy_n(now, states_, before.at(0));
    }
    return states_ == 1 ? before[0] : nn::log_add(before[states_ - 1], before[states_ - 2]);
  }
  /// Adds g times the gradient of minus `total`, which run_forward gave, to dx.
  void run_backward(const double* forward, double total, double g, T* dx) const {
    // now: the log-probability of all ways to go on behind step t from each state, and then with what stands
    // at t; with the two states behind the last.
    Row now(states_, 2), skipping(states_, 0), share(states_, 0);
    for (std::int64_t t = steps_; t-- > 0;) {
      double* const from = now.at(0);
      if (t + 1 == steps_) {
        for (std::int64_t s = 0; s < states_; ++s) from[s] = s + 2 >= states_ ? 0 : -infinity;
      } else {
        for (std::int64_t s = 0; s < states_; ++s)
          skipping[s] = s + 2 < states_ && targets_.skips(b_, s + 2) ? from[s + 2] : -infinity;
        log_add(from, from + 1, from);
        log_add(from, skipping.at(0), from);
      }
      const double* const ways = forward + t * targets_.width;
      for (std::int64_t s = 0; s < states_; ++s) share[s] = ways[s] + from[s] - total;
      kernel_.unary(kernels::Unary::exp, share.at(0), share.at(0), states_);
      T* const to = dx + (t * targets_.batch + b_) * targets_.classes;
      for (std::int64_t s = 0; s < states_; ++s)
        if (ways[s] + from[s] > -infinity) to[labels_[s]] -= static_cast<T>(g * share[s]);
      add_log_probs(t, from);
    }
  }

 private:
  /// Numbers of the states, and `more` of -infinity in front of them and behind.
  class Row {
   public:
    Row(std::int64_t states, std::int64_t more)
        : values_(static_cast<std::size_t>(states + 2 * more), -infinity), first_(values_.data() + more) {}
    double& operator[](std::int64_t s) { return first_[s]; }
    double* at(std::int64_t s) { return first_ + s; }

   private:
    storage::PoolVector<double> values_;
    double* first_;
  };

  /// The kernels read a batch before they write it, so `to` may be one of the two or stand before it.
  void log_add(const double* a, const double* b, double* to) const {
    kernel_.binary(kernels::Binary::logaddexp, a, false, b, false, to, states_);
  }
  void add_log_probs(std::int64_t t, double* to) const {
    const T* const at = log_probs_ + t * targets_.batch * targets_.classes;
    for (std::int64_t s = 0; s < states_; ++s) to[s] += static_cast<double>(at[labels_[s]]);
  }

  const kernels::Kernels<double>& kernel_ = kernels::selected<double>();
  const Targets& targets_;
  std::int64_t b_, steps_, states_;
  const T* log_probs_;  // (time, batch, classes), from this sequence on
  const std::int32_t* labels_;
};

/// In place of -infinity, whose derivatives would be NaN.
constexpr double never = -1e30;

/// A constant (batch, width) of value(b, s).
template <class Value>
Variable per_state(const Targets& targets, Dtype dtype, const Value& value) {
  Tensor out = Tensor::uninitialized({targets.batch, targets.width}, dtype);
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* const to = out.mutable_data<T>();
    for (std::int64_t b = 0; b < targets.batch; ++b) {
      for (std::int64_t s = 0; s < targets.width; ++s)
        to[b * targets.width + s] = static_cast<T>(value(b, s));
    }
  });
  return Variable(out);
}

/// The losses, (batch), in differentiable ops: for the second derivative.
Variable losses_by_ops(const Variable& log_probs, const Targets& targets) {
  const Dtype dtype = log_probs.dtype();
  const Indices labels(targets.labels, {targets.batch, targets.width});
  const auto start = [](std::int64_t, std::int64_t s) { return s == 0 ? 0 : never; };
  const auto shifted = [&](const Variable& x, std::int64_t by) {  // x[.., s - by]
    return slice(pad(x, {{0, 0}, {by, 0}}, {.value = never}), 1, 0, targets.width);
  };
  const Variable skips =
      per_state(targets, dtype, [&](std::int64_t b, std::int64_t s) { return targets.skips(b, s) ? 1 : 0; });
  const Variable unreachable = per_state(targets, dtype, [](std::int64_t, std::int64_t) { return never; });
  // As if in the first blank before the first step, from where the first label is one state away.
  Variable ways = per_state(targets, dtype, start);
  for (std::int64_t t = 0; t < targets.time; ++t) {
    const Variable here = maximum(gather(select(log_probs, t), 1, labels), never);
    const Variable from = where(skips.value(), shifted(ways, 2), unreachable);
    const std::vector<Variable> befores{ways, shifted(ways, 1), t == 0 ? unreachable : from};
    const Variable running = per_state(
        targets, dtype, [&](std::int64_t b, std::int64_t) { return t < targets.steps_of(b) ? 1 : 0; });
    ways = where(running.value(), logsumexp(stack(befores), {0}) + here, ways);
  }
  const Variable ends = per_state(targets, dtype, [&](std::int64_t b, std::int64_t s) {
    return s + 2 >= targets.states_of(b) && s < targets.states_of(b) ? 1 : 0;
  });
  return -logsumexp(where(ends.value(), ways, unreachable), {1});
}

/// The losses of the sequences, (batch), as one node.
Variable losses_of(const Variable& log_probs, const Targets& targets, bool zero_infinity, Where at) {
  const InOp op("ctc", at);
  const Tensor& x = log_probs.value();
  Tensor losses = Tensor::uninitialized({targets.batch}, x.dtype());
  std::vector<double> totals(static_cast<std::size_t>(targets.batch));
  Tensor forward = Tensor::uninitialized({targets.batch, targets.time, targets.width}, Dtype::f64);
  double* const ways = forward.mutable_data<double>();
  const std::int64_t of_one = targets.time * targets.width;
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* const to = losses.mutable_data<T>();
    parallel::for_each(targets.batch, 20 * of_one, [&](std::int64_t b) {
      const double total = Paths<T>(targets, b, x.data<T>()).run_forward(ways + b * of_one);
      totals[static_cast<std::size_t>(b)] = total;
      to[b] = static_cast<T>(zero_infinity && total == -infinity ? 0 : -total);
    });
  });
  const auto fused = [x, targets, forward, totals, of_one, zero_infinity](const Tensor& g) {
    Tensor dx = zeros(x.shape(), x.dtype());
    visit_dtype(x.dtype(), [&](auto tag) {
      using T = decltype(tag);
      T* const to = dx.mutable_data<T>();
      const double* const kept = forward.data<double>();
      parallel::for_each(targets.batch, 20 * of_one, [&](std::int64_t b) {
        const double total = totals[static_cast<std::size_t>(b)],
                     upstream = static_cast<double>(g.data<T>()[b]);
        if (total > -infinity)
          return Paths<T>(targets, b, x.data<T>()).run_backward(kept + b * of_one, total, upstream, to);
        if (zero_infinity && total == -infinity) return;
        for (std::int64_t t = 0; t < targets.time; ++t)
          std::fill_n(to + (t * targets.batch + b) * targets.classes, targets.classes,
                      std::numeric_limits<T>::quiet_NaN());
      });
    });
    return dx;
  };
  const auto differentiable = [log_probs, targets, totals, zero_infinity](const Variable& g) {
    // A fresh node, so that the derivative is partial; impossible targets are left out.
    const Variable fresh = identity(log_probs);
    std::vector<float> possible, known;  // known: the gradient is a number
    for (const double total : totals) {
      possible.push_back(total > -infinity ? 1 : 0);
      known.push_back(total > -infinity || (zero_infinity && total == -infinity) ? 1 : 0);
    }
    const Tensor mask = Tensor::from(possible, {targets.batch}).to(g.dtype());
    const Variable found = grad(sum(where(mask, losses_by_ops(fresh, targets) * g, 0)), fresh);
    const Tensor is_known = Tensor::from(known, {1, targets.batch, 1}).to(g.dtype());
    return where(is_known, found, std::numeric_limits<double>::quiet_NaN());
  };
  return record(op, std::move(losses), wrt(log_probs, differentiable, fused));
}

}  // namespace

Variable ctc(const Variable& log_probs, const Indices& targets, const Indices& input_lengths,
             const Indices& target_lengths, const CtcOptions& options, Where at) {
  const InOp op("ctc", at);
  const Targets states = targets_of(log_probs.shape(), targets, input_lengths, target_lengths, options.blank);
  Variable losses = losses_of(log_probs, states, options.zero_infinity, at);
  if (options.reduction == Reduction::none) return losses;
  if (options.reduction == Reduction::sum) return sum(losses);
  if (states.batch == 0) fail<ShapeError>("ctc: the mean of no losses; there is no sequence");
  std::vector<double> lengths;
  for (const std::int32_t length : target_lengths.values())
    lengths.push_back(static_cast<double>(std::max(length, 1)));
  return mean(losses / Variable(Tensor::from(lengths, {states.batch}).to(losses.dtype())));
}

}  // namespace gradus::nn
