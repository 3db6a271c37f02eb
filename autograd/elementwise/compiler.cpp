#include <utility>
#include <vector>

#include "autograd/elementwise/program.hpp"

namespace gradus::detail {

using kernels::Binary;
using kernels::Ternary;
using kernels::Unary;

std::int64_t cost_of(const Expr& e) {
  if (e.kind == ExprKind::unary) return kernels::cost(e.unary());
  if (e.kind == ExprKind::binary) return kernels::cost(e.binary());
  if (e.kind == ExprKind::ternary) return kernels::cost(e.ternary());
  return 1;
}

namespace {

InstructionKind kind_of(const Expr& e) {
  return e.kind == ExprKind::unary    ? InstructionKind::unary
         : e.kind == ExprKind::binary ? InstructionKind::binary
                                      : InstructionKind::ternary;
}

}  // namespace

/// Makes the instructions of a Program.
class Compiler {
 public:
  Compiler(const Graph& graph, std::span<const ExprId> given, std::span<const ExprId> outputs)
      : graph_(graph), facts_(static_cast<std::size_t>(graph.size())) {
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (given[i] == no_expr) continue;  // an input that is not there
      fact(given[i]).slot = {Slot::Kind::input, static_cast<std::uint16_t>(i)};
      fact(given[i]).has_slot = true;
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      Fact& out = fact(outputs[i]);
      out.slot = {Slot::Kind::output, static_cast<std::uint16_t>(i)};
      out.is_output = true;
      out.reachable = true;
    }
  }

  void compile(Program& program) {
    fuse();
    for (ExprId id = 0; id < graph_.size(); ++id) {
      Fact& known = fact(id);
      const Expr& e = graph_[id];
      if (!known.reachable || known.has_slot || known.fused || e.kind == ExprKind::constant) continue;
      Instruction step = instruction(id);
      if (!known.is_output) known.slot = new_row();
      known.has_slot = true;
      step.result = known.slot;
      program.instructions_.push_back(step);
      program.cost_ += known.product == no_expr ? cost_of(e) : 2;
    }
    program.constants_ = std::move(constants_);
    program.rows_ = rows_;
  }

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

  bool is_product(ExprId id) const { return graph_[id].is(Binary::mul) || graph_[id].is(Unary::square); }

  /// The product that may be computed within this sum or product: one that nothing else needs. A sum takes
  /// none beside another product, or x * x - y * y would lose its symmetry.
  ExprId product_to_fuse(const Expr& e) {
    if (!e.is(Binary::add) && !e.is(Binary::mul)) return no_expr;
    for (const auto& [product, other] : {std::pair(e.a, e.b), std::pair(e.b, e.a)}) {
      const Fact& known = fact(product);
      const bool free = known.uses == 1 && !known.is_output && !known.has_slot && known.product == no_expr;
      if (is_product(product) && free && (e.is(Binary::mul) || !is_product(other))) return product;
    }
    return no_expr;
  }

  /// Finds what is needed, from the outputs down, and which products are computed within what uses them.
  void fuse() {
    for (ExprId id = graph_.size() - 1; id >= 0; --id) {
      if (!fact(id).reachable || fact(id).has_slot) continue;
      const Expr& e = graph_[id];
      for (const ExprId operand : {e.a, e.b, e.c}) {
        if (operand == no_expr) continue;
        fact(operand).reachable = true;
        ++fact(operand).uses;
      }
    }
    for (ExprId id = 0; id < graph_.size(); ++id) {
      if (!fact(id).reachable || fact(id).has_slot) continue;
      const ExprId product = product_to_fuse(graph_[id]);
      if (product == no_expr) continue;
      fact(product).fused = true;
      fact(id).product = product;
    }
  }

  Slot new_row() {
    if (!free_rows_.empty()) {
      const std::uint16_t row = free_rows_.back();
      free_rows_.pop_back();
      return {Slot::Kind::row, row};
    }
    return {Slot::Kind::row, static_cast<std::uint16_t>(rows_++)};
  }

  Slot slot_of(ExprId id) {
    Fact& known = fact(id);
    if (!known.has_slot) {
      // Everything else has been computed by now.
      known.slot = {Slot::Kind::constant, static_cast<std::uint16_t>(constants_.size())};
      known.has_slot = true;
      constants_.push_back(graph_[id].number);
    }
    return known.slot;
  }

  /// One use less; a row that nothing reads any more is free, for the result of this very instruction too.
  void done_with(ExprId id) {
    Fact& known = fact(id);
    if (--known.uses == 0 && known.slot.kind == Slot::Kind::row) free_rows_.push_back(known.slot.index);
  }

  Instruction instruction(ExprId id) {
    const Expr& e = graph_[id];
    Instruction out;
    out.kind = kind_of(e);
    out.function = e.function;
    std::vector<ExprId> operands;
    if (const ExprId product = fact(id).product; product != no_expr) {
      const Expr& p = graph_[product];
      out.kind = e.is(Binary::add) ? InstructionKind::ternary : InstructionKind::product;
      out.function = static_cast<std::uint8_t>(Ternary::fma);
      const bool square = p.kind == ExprKind::unary;
      operands = {p.a, square ? p.a : p.b, product == e.a ? e.b : e.a};
      if (square) ++fact(p.a).uses;
    } else {
      for (const ExprId operand : {e.a, e.b, e.c}) {
        if (operand != no_expr) operands.push_back(operand);
      }
    }
    Slot* const slots[] = {&out.a, &out.b, &out.c};
    for (std::size_t i = 0; i < operands.size(); ++i) *slots[i] = slot_of(operands[i]);
    for (const ExprId operand : operands) done_with(operand);
    return out;
  }

  const Graph& graph_;
  std::vector<Fact> facts_;
  std::vector<double> constants_;
  std::vector<std::uint16_t> free_rows_;
  int rows_ = 0;
};

Program::Program(const Graph& graph, std::span<const ExprId> given, std::span<const ExprId> outputs) {
  if (given.size() > most_arrays || outputs.size() > most_arrays) {
    fail<ArgumentError>("elementwise: {} arrays in and {} out; at most {} of each can be handled",
                        given.size(), outputs.size(), most_arrays);
  }
  Compiler(graph, given, outputs).compile(*this);
}

}  // namespace gradus::detail
