#pragma once

// Internal: not part of the public interface.

#include <optional>
#include <span>
#include <vector>

#include "autograd/elementwise/graph.hpp"
#include "tensor/tensor.hpp"

namespace gradus::detail {

/// Where an instruction finds an operand or leaves its result.
struct Slot {
  enum class Kind : std::uint8_t { row, input, output, constant };
  Kind kind = Kind::row;
  std::uint16_t index = 0;
};

/// A function of the kernels, by the number of its operands, or the product of three, which is no function of
/// its own: the compiler makes it of two products, so that rows are read and written less.
enum class InstructionKind : std::uint8_t { unary, binary, ternary, product };

struct Instruction {
  InstructionKind kind = InstructionKind::unary;
  std::uint8_t function = 0;
  Slot result, a, b, c;
};

/// A graph made ready to run: only what the outputs need, products and sums fused to multiply-adds, rows of
/// the scratch memory given out by lifetime. An output is written where its value is computed.
class Program {
 public:
  static constexpr std::size_t most_arrays = 24;  // inputs, or outputs

  /// `given`: expressions whose values are passed in, input i being given[i]; no others may be inputs.
  /// Every output must be something computed, none of them given.
  Program(const Graph& graph, std::span<const ExprId> given, std::span<const ExprId> outputs);

  /// Runs over whole tensors. Inputs broadcast to the shape of the outputs, and have one dtype; one that is
  /// not read may be null or undefined.
  void run(std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs) const;
  /// The same, but of the first output only the sum of its elements is made, in an order that depends on
  /// their number alone; outputs[0] is not looked at.
  double run_summing(std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs,
                     const Shape& shape, Dtype dtype) const;

  std::size_t instruction_count() const { return instructions_.size(); }

 private:
  friend class Compiler;
  /// `sums`: where the sum of each block of the first output goes, which is then not written; null for none.
  template <class T>
  void run_as(std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs, const Shape& shape,
              double* sums) const;

  std::vector<Instruction> instructions_;
  std::vector<double> constants_;
  std::int64_t cost_ = 1;  // of an element, in scalar operations
  int rows_ = 0;
};

/// The work of one element, in rough scalar operations.
std::int64_t cost_of(const Expr& e);

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
  /// The same, but gives the sum of the first output's elements and leaves outputs[0] as it is.
  double run_summing(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
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
  /// run, or run_summing.
  double run_outputs(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
                     std::span<Tensor> outputs, bool summing) const;

  std::vector<Source> sources_;
  std::vector<ExprId> computed_;
  std::vector<bool> reads_;
  std::optional<Program> program_;
};

}  // namespace gradus::detail
