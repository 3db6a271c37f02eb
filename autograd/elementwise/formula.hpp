#pragma once

// Internal: not part of the public interface.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "autograd/elementwise/program.hpp"
#include "autograd/variable.hpp"

namespace gradus::detail {

class Formula;
using FormulaPtr = std::shared_ptr<const Formula>;

/// The derivatives of a Formula with respect to some of its inputs, times g.
class Differential {
 public:
  /// At most this many intermediate values are kept from the forward pass for the backward one.
  static constexpr std::size_t most_kept = 4;

  /// Of the values whose bits are set in `used`.
  Differential(const Formula& of, std::uint32_t wanted, std::uint32_t used);

  /// The formula's values; `kept` takes what backward need not compute again.
  void forward(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
               std::span<Tensor> values, std::span<Tensor, most_kept> kept) const;
  /// out[i]: the derivative with respect to the i-th wanted input, of the shape of gs, one for each value;
  /// those of a single number serve for all elements. kept: what forward kept; if there is nothing, it is
  /// computed again. One pass gives all of them.
  void backward(std::span<const Tensor* const> gs, const Shape& shape, std::span<const Tensor* const> inputs,
                std::span<const Tensor> results, std::span<const Tensor> kept, std::span<Tensor> out) const;

  /// The sum of the value's elements, and out[i]: the derivative of that with respect to the i-th wanted
  /// input, times g, a single number. One pass gives all of them.
  double sum(const Tensor& g, std::span<const Tensor* const> inputs, const Shape& shape,
             std::span<Tensor> out) const;

  /// What backward reads.
  bool reads(std::size_t input) const { return reads_[input]; }
  bool reads_result(std::size_t k) const { return reads_results_[k]; }
  /// The derivative with respect to the i-th wanted input as a formula of the inputs and gs, which come last;
  /// null where the values do not depend on it.
  FormulaPtr gradient(std::size_t i) const;

 private:
  void choose_kept();
  std::vector<ExprId> given() const;
  const Evaluation& summing() const;

  Graph graph_;
  std::vector<ExprId> outputs_;    // the formula's values
  std::vector<ExprId> gs_;         // what the derivatives are multiplied by
  std::vector<ExprId> inputs_;     // of the formula
  std::vector<ExprId> gradients_;  // of the wanted inputs
  std::vector<ExprId> kept_;
  std::vector<bool> reads_;
  std::vector<bool> reads_results_;
  std::unique_ptr<Evaluation> forward_, forward_keeping_, backward_, backward_kept_;
  mutable std::mutex mutex_;  // of what is made when it is first needed
  mutable std::unique_ptr<Evaluation> summing_;
  mutable std::vector<FormulaPtr> formulas_;
};

/// A function of elements that was traced: what is run, and its derivatives. Immutable to its users, who may
/// share one between threads.
class Formula {
 public:
  Formula(Graph graph, std::size_t inputs, ExprId output);
  /// Of several values.
  Formula(Graph graph, std::size_t inputs, std::vector<ExprId> outputs);
  /// With given derivatives with respect to the first inputs, times the input behind the last, g.
  Formula(Graph graph, std::size_t inputs, ExprId output, std::vector<ExprId> slopes);

  /// The inputs, as bits, that the derivative of the output is not zero for everywhere.
  std::uint32_t differentiable() const { return differentiable_; }
  Tensor value(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype) const;
  void values(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
              std::span<Tensor> out) const;
  /// The sum of its elements.
  double sum(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype) const;
  /// With respect to the inputs whose bits are set, some of the differentiable ones, of the values whose bits
  /// are set; made once for each pair of sets.
  std::shared_ptr<const Differential> differential(std::uint32_t wanted, std::uint32_t used = ~0u) const;

  const Graph& graph() const { return graph_; }
  std::span<const ExprId> inputs() const { return inputs_; }
  std::span<const ExprId> outputs() const { return outputs_; }
  /// Those that were given; empty if they are to be found.
  std::span<const ExprId> slopes() const { return slopes_; }

 private:
  static std::vector<ExprId> make_inputs(Graph& graph, std::size_t count);

  Graph graph_;
  std::vector<ExprId> inputs_;
  std::vector<ExprId> outputs_;
  std::vector<ExprId> slopes_;
  std::uint32_t differentiable_;
  Evaluation evaluation_;

  struct Known {
    std::uint32_t wanted, used;
    std::shared_ptr<const Differential> differential;
    std::unique_ptr<const Known> next;
  };
  mutable std::mutex mutex_;  // of adding; a list, so that finding needs none
  mutable std::unique_ptr<const Known> owned_;
  mutable std::atomic<const Known*> known_{nullptr};
};

}  // namespace gradus::detail
