#pragma once

// Internal: not part of the public interface.

#include <optional>
#include <span>
#include <vector>

#include "autograd/elementwise/program.hpp"
#include "tensor/tensor.hpp"

namespace gradus::detail {

/// Which expressions the outputs depend on, not looking behind those given.
std::vector<bool> needed(const Graph& graph, std::span<const ExprId> given, std::span<const ExprId> outputs);

/// Some expressions of a graph as functions of others, over tensors. What needs no computing is not computed:
/// an output that is an input shares its storage, equal outputs share theirs.
class Evaluation {
 public:
  /// The outputs as functions of `given`; no_expr in `given`: an input that is not there, in `outputs`: zero.
  Evaluation(const Graph& graph, std::span<const ExprId> given, std::span<const ExprId> outputs);

  /// inputs[i] is the value of given[i] and broadcasts to `shape`; undefined where nothing reads it.
  /// Pointers, as a call should copy no Tensor: small ones are worth a few hundred nanoseconds in all.
  void run(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
           std::span<Tensor> outputs) const;

  /// True when an output depends on given[i].
  bool reads(std::size_t i) const { return reads_[i]; }
  /// Null when nothing is computed.
  const Program* program() const { return program_ ? &*program_ : nullptr; }

 private:
  struct Source {
    enum class Kind { computed, given, constant };
    Kind kind = Kind::constant;
    std::size_t index = 0;
    double number = 0;
  };
  Source source(const Graph& graph, std::span<const ExprId> given, ExprId output);

  std::vector<Source> sources_;
  std::vector<ExprId> computed_;
  std::vector<bool> reads_;
  std::optional<Program> program_;
};

}  // namespace gradus::detail
