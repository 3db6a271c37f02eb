#pragma once

#include <array>
#include <utility>
#include <vector>

#include "nn/linear.hpp"
#include "tensor/indices.hpp"

namespace gradus::nn {

struct AdaptiveSoftmaxOptions {
  /// Cluster i reads x through a matrix of width in / div_value^(i + 1), rounded down.
  double div_value = 4;
  bool head_bias = false;
};

/// The adaptive softmax of large vocabularies whose classes are sorted by falling frequency (Grave et al.
/// 2017): PyTorch's AdaptiveLogSoftmaxWithLoss, with its names, head.weight, tail.0.0.weight, tail.0.1.weight
/// and so on. The head tells the first cutoffs[0] classes and the clusters apart, cluster i the classes from
/// cutoffs[i] to cutoffs[i + 1], and it is computed for the targets that are in it alone. x: (..., in).
struct AdaptiveSoftmax {
  Linear head;                              // in to cutoffs[0] + clusters
  std::vector<std::array<Linear, 2>> tail;  // in to width, width to the cluster's classes
  std::vector<std::int64_t> cutoffs;        // and the number of classes behind them
  AdaptiveSoftmaxOptions options;

  /// Throws ArgumentError unless cutoffs rise from 1 on and stay below the number of classes, for a div_value
  /// that is not above 0, and where it leaves a cluster no width.
  AdaptiveSoftmax(Rng& rng, std::int64_t in, std::int64_t classes, std::vector<std::int64_t> cuts,
                  AdaptiveSoftmaxOptions chosen = {});

  struct Result {
    Variable output;  // the shape of targets: their log-probabilities
    Variable loss;    // minus the mean of these
  };
  /// targets: the shape of x without the last axis. Throws ShapeError for shapes that do not fit, a target
  /// out of range and the mean of no targets.
  Result operator()(const Variable& x, const Indices& targets, Where where = Where::here()) const;
  /// The log-probabilities of all classes: (..., classes).
  Variable log_prob(const Variable& x, Where where = Where::here()) const;
  /// The most probable class of each row, (...): clusters are computed for those rows alone of which the head
  /// finds one the most probable.
  Indices predict(const Tensor& x, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) {
    visit("head", self.head);
    visit("tail", self.tail);
  }

 private:
  void check(const Variable& x) const;
  Variable all_log_probs(const Variable& rows, Where where) const;
};

}  // namespace gradus::nn
