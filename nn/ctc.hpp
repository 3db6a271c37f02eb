#pragma once

#include "autograd/ops/cross_entropy.hpp"

namespace gradus::nn {

struct CtcOptions {
  std::int32_t blank = 0;  // the class that stands for no label
  Reduction reduction = Reduction::mean;
  /// A target that its sequence is too short for has a loss of infinity, and a gradient of NaN; or both are
  /// 0.
  bool zero_infinity = false;
};

/// Connectionist temporal classification (Graves et al. 2006): minus the logarithm of the probability that a
/// sequence spells its target, with each label at one or more steps in a row and blanks anywhere between;
/// equal labels in a row need one between them. Computed in double, by the forward-backward algorithm in
/// logarithms.
///
/// log_probs: (time, batch, classes), log_softmax's results. targets: (batch, longest) with anything behind
/// the end of each, or all one behind the other, (sum of target_lengths). input_lengths and target_lengths:
/// (batch), those from 0 to time, these from 0. The mean is that of each loss divided by its target's length
/// (or by 1 if that is 0), as PyTorch's; `none` gives (batch).
///
/// The gradient is that of log_probs as they stand, minus the probability of each class at each step given
/// the target. PyTorch gives that plus exp(log_probs), which is the same behind a log_softmax.
///
/// Throws ShapeError for shapes that do not fit, for lengths and labels out of range, for a target that
/// contains the blank and for the mean of no sequences; ArgumentError for a blank that is no class.
Variable ctc(const Variable& log_probs, const Indices& targets, const Indices& input_lengths,
             const Indices& target_lengths, const CtcOptions& options = {}, Where at = Where::here());

}  // namespace gradus::nn
