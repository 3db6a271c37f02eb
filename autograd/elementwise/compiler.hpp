#pragma once

// Internal: not part of the public interface.

#include <span>
#include <vector>

#include "autograd/elementwise/program.hpp"

namespace gradus::detail {

/// Makes the instructions of a Program.
class Compiler {
 public:
  Compiler(const Graph& graph, std::span<const ExprId> given, std::span<const ExprId> outputs);
  void compile(Program& program);

 private:
  /// What is known of an expression.
  struct Fact {
    Slot slot;
    bool has_slot = false;  // given, or computed already
    bool is_output = false;
    bool reachable = false;    // an output needs it
    bool fused = false;        // computed within what uses it
    ExprId product = no_expr;  // computed within this
    std::int32_t uses = 0;
  };
  Fact& fact(ExprId id) { return facts_[static_cast<std::size_t>(id)]; }

  void fuse();
  bool is_product(ExprId id) const;
  ExprId product_to_fuse(const Expr& e);
  Instruction instruction(ExprId id);
  Slot operand(ExprId id);
  void done_with(ExprId id);
  Slot new_row();

  const Graph& graph_;
  std::span<const ExprId> outputs_;
  std::vector<Fact> facts_;
  std::vector<double> constants_;
  std::vector<std::uint16_t> free_rows_;
  int rows_ = 0;
};

}  // namespace gradus::detail
