#include "nn/adaptive_softmax.hpp"

#include <cmath>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

/// (..., in) to (rows, in)
Variable rows_of(const Variable& x) {
  return reshape(x, {x.size() / x.dim(-1), x.dim(-1)});
}

std::vector<std::int64_t> checked(std::vector<std::int64_t> cutoffs, std::int64_t classes) {
  std::int64_t before = 0;
  for (const std::int64_t cutoff : cutoffs) {
    if (cutoff <= before || cutoff >= classes) {
      fail<ArgumentError>(
          "AdaptiveSoftmax: a cutoff of {} behind {}; they must rise from 1 on and stay below the {} classes",
          cutoff, before, classes);
    }
    before = cutoff;
  }
  if (cutoffs.empty()) fail<ArgumentError>("AdaptiveSoftmax: no cutoffs; one at least is needed");
  cutoffs.push_back(classes);
  return cutoffs;
}

}  // namespace

AdaptiveSoftmax::AdaptiveSoftmax(Rng& rng, std::int64_t in, std::int64_t classes,
                                 std::vector<std::int64_t> cuts, AdaptiveSoftmaxOptions chosen)
    : head(rng, in, checked(cuts, classes).front() + static_cast<std::int64_t>(cuts.size()),
           {.bias = chosen.head_bias}),
      cutoffs(checked(std::move(cuts), classes)),
      options(chosen) {
  if (!(options.div_value > 0))
    fail<ArgumentError>("AdaptiveSoftmax: div_value is {}; it must be above 0", options.div_value);
  for (std::size_t i = 0; i + 1 < cutoffs.size(); ++i) {
    const double exact = static_cast<double>(in) / std::pow(options.div_value, static_cast<double>(i + 1));
    if (!(exact >= 1 && exact < 0x1p31)) {
      fail<ArgumentError>(
          "AdaptiveSoftmax: cluster {} reads {} inputs through a width of {:.3g}: div_value {} is too {}", i,
          in, exact, options.div_value, exact < 1 ? "large" : "small");
    }
    const auto width = static_cast<std::int64_t>(exact);
    Linear narrow(rng, in, width, {.bias = false});
    tail.push_back({std::move(narrow), Linear(rng, width, cutoffs[i + 1] - cutoffs[i], {.bias = false})});
  }
}

void AdaptiveSoftmax::check(const Variable& x) const {
  if (x.rank() < 1 || x.dim(-1) != head.weight.dim(1))
    fail<ShapeError>("the input has shape {}; its last axis must be {}", x.shape(), head.weight.dim(1));
}

auto AdaptiveSoftmax::operator()(const Variable& x, const Indices& targets, Where where) const -> Result {
  const InModule here(*this);
  const InOp op("adaptive_softmax", where);
  check(x);
  if (x.shape().erased(-1) != targets.shape())
    fail<ShapeError>("an input of shape {} needs targets of that shape without the last axis, not {}",
                     x.shape(), targets.shape());
  if (targets.size() == 0) fail<ShapeError>("the mean of no targets");
  const auto shortlist = static_cast<std::int32_t>(cutoffs.front());
  std::vector<std::int32_t> in_head(targets.values().begin(), targets.values().end());
  std::vector<std::vector<std::int32_t>> rows(tail.size()), in_cluster(tail.size());
  for (std::size_t row = 0; row < in_head.size(); ++row) {
    const std::int32_t target = in_head[row];
    if (target < 0 || target >= cutoffs.back())
      fail<ShapeError>("target {} at position {} is not in 0..{}", target, row, cutoffs.back() - 1);
    if (target < shortlist) continue;
    std::size_t cluster = 0;
    while (target >= cutoffs[cluster + 1]) ++cluster;
    rows[cluster].push_back(static_cast<std::int32_t>(row));
    in_cluster[cluster].push_back(target - static_cast<std::int32_t>(cutoffs[cluster]));
    in_head[row] = shortlist + static_cast<std::int32_t>(cluster);
  }
  const Variable flat = rows_of(x);
  Variable output = -cross_entropy(head(flat, where), Indices(std::move(in_head)), Reduction::none, where);
  for (std::size_t i = 0; i < tail.size(); ++i) {
    if (rows[i].empty()) continue;
    const Indices of_cluster(std::move(rows[i]));
    const Variable logits = tail[i][1](tail[i][0](index_select(flat, 0, of_cluster, where), where), where);
    output =
        index_add(output, 0, of_cluster,
                  -cross_entropy(logits, Indices(std::move(in_cluster[i])), Reduction::none, where), where);
  }
  return {reshape(output, targets.shape()), -mean(output)};
}

Variable AdaptiveSoftmax::all_log_probs(const Variable& rows, Where where) const {
  const std::int64_t shortlist = cutoffs.front();
  const Variable first = log_softmax(head(rows, where), -1, where);
  std::vector<Variable> parts{slice(first, 1, 0, shortlist)};
  for (std::size_t i = 0; i < tail.size(); ++i) {
    const std::int64_t at = shortlist + static_cast<std::int64_t>(i);
    parts.push_back(log_softmax(tail[i][1](tail[i][0](rows, where), where), -1, where) +
                    slice(first, 1, at, at + 1));
  }
  return concat(parts, 1, where);
}

Variable AdaptiveSoftmax::log_prob(const Variable& x, Where where) const {
  const InModule here(*this);
  const InOp op("adaptive_softmax", where);
  check(x);
  return reshape(all_log_probs(rows_of(x), where), x.shape().with(-1, cutoffs.back()));
}

Indices AdaptiveSoftmax::predict(const Tensor& x, Where where) const {
  const PauseRecording pause;
  const InModule here(*this);
  const InOp op("adaptive_softmax", where);
  check(Variable(x));
  const Tensor rows = rows_of(Variable(x)).value();
  const Indices first = argmax(head(Variable(rows), where).value(), -1);
  std::vector<std::int32_t> out(first.values().begin(), first.values().end()), in_tail;
  for (std::size_t row = 0; row < out.size(); ++row) {
    if (out[row] >= cutoffs.front()) in_tail.push_back(static_cast<std::int32_t>(row));
  }
  if (!in_tail.empty()) {
    const Tensor log_probs = all_log_probs(Variable(gather_rows(rows, Indices(in_tail))), where).value();
    const Indices best = argmax(log_probs, -1);
    for (std::size_t i = 0; i < in_tail.size(); ++i)
      out[static_cast<std::size_t>(in_tail[i])] = best.values()[i];
  }
  return Indices(std::move(out), x.shape().erased(-1));
}

}  // namespace gradus::nn
