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

  Differential(const Formula& of, std::uint32_t wanted);

  /// The formula's value; `kept` takes what backward need not compute again.
  Tensor forward(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
                 std::span<Tensor, most_kept> kept) const;
  /// out[i]: the derivative with respect to the i-th wanted input, of g's shape. One pass gives all of them.
  void backward(const Tensor& g, std::span<const Tensor* const> inputs, const Tensor& result,
                std::span<const Tensor, most_kept> kept, std::span<Tensor> out) const;

  /// The sum of the value's elements, and out[i]: the derivative of that with respect to the i-th wanted
  /// input, times g, a single number. One pass gives all of them.
  double sum(const Tensor& g, std::span<const Tensor* const> inputs, const Shape& shape,
             std::span<Tensor> out) const;

  /// What backward reads.
  bool reads(std::size_t input) const { return reads_[input]; }
  bool reads_result() const { return reads_result_; }
  /// The derivative with respect to the i-th wanted input as a formula of the inputs and g, which comes last.
  FormulaPtr gradient(std::size_t i) const;

 private:
  void choose_kept(ExprId y, ExprId inputs_end);
  const Evaluation& summing() const;

  Graph graph_;
  ExprId output_;                  // the formula's value
  ExprId g_ = no_expr;             // what the derivatives are multiplied by
  std::vector<ExprId> inputs_;     // of the formula
  std::vector<ExprId> gradients_;  // of the wanted inputs
  std::vector<ExprId> kept_;
  std::vector<bool> reads_;
  bool reads_result_ = false;
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
  /// With given derivatives with respect to the first inputs, times the input behind the last, g.
  Formula(Graph graph, std::size_t inputs, ExprId output, std::vector<ExprId> slopes);

  /// The inputs, as bits, that the derivative of the output is not zero for everywhere.
  std::uint32_t differentiable() const { return differentiable_; }
  Tensor value(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype) const;
  /// The sum of its elements.
  double sum(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype) const;
  /// With respect to the inputs whose bits are set, some of the differentiable ones; made once for each set.
  std::shared_ptr<const Differential> differential(std::uint32_t wanted) const;

  const Graph& graph() const { return graph_; }
  std::span<const ExprId> inputs() const { return inputs_; }
  ExprId output() const { return output_; }
  /// Those that were given; empty if they are to be found.
  std::span<const ExprId> slopes() const { return slopes_; }

 private:
  static std::vector<ExprId> make_inputs(Graph& graph, std::size_t count);

  Graph graph_;
  std::vector<ExprId> inputs_;
  ExprId output_;
  std::vector<ExprId> slopes_;
  std::uint32_t differentiable_;
  Evaluation evaluation_;

  struct Known {
    std::uint32_t wanted;
    std::shared_ptr<const Differential> differential;
    std::unique_ptr<const Known> next;
  };
  mutable std::mutex mutex_;  // of adding; a list, so that finding needs none
  mutable std::unique_ptr<const Known> owned_;
  mutable std::atomic<const Known*> known_{nullptr};
};

}  // namespace gradus::detail
