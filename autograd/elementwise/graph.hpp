#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "tensor/kernels/elementwise.hpp"

namespace gradus::detail {

/// An expression over the elements of some inputs: a node of a Graph, by its number.
using ExprId = std::int32_t;
inline constexpr ExprId no_expr = -1;

enum class ExprKind : std::uint8_t { input, constant, unary, binary, ternary };

struct Expr {
  ExprKind kind = ExprKind::constant;
  std::uint8_t function = 0;  // a kernels::Unary, Binary or Ternary, as the kind says
  ExprId a = no_expr, b = no_expr, c = no_expr;
  double number = 0;  // a constant's value, an input's position

  kernels::Unary unary() const { return static_cast<kernels::Unary>(function); }
  kernels::Binary binary() const { return static_cast<kernels::Binary>(function); }
  kernels::Ternary ternary() const { return static_cast<kernels::Ternary>(function); }
  bool is(kernels::Unary op) const { return kind == ExprKind::unary && unary() == op; }
  bool is(kernels::Binary op) const { return kind == ExprKind::binary && binary() == op; }
  bool is(kernels::Ternary op) const { return kind == ExprKind::ternary && ternary() == op; }

  bool operator==(const Expr& other) const;
};

struct ExprHash {
  std::size_t operator()(const Expr& e) const;
};

/// A growing graph of expressions. Equal ones stand once, constants are folded (in double), and what is exact
/// for every value, NaN and infinities included, is simplified. Operands stand before what uses them.
class Graph {
 public:
  const Expr& operator[](ExprId id) const { return exprs_[static_cast<std::size_t>(id)]; }
  ExprId size() const { return static_cast<ExprId>(exprs_.size()); }

  ExprId input(int position);
  ExprId constant(double value);
  ExprId unary(kernels::Unary op, ExprId a);
  ExprId binary(kernels::Binary op, ExprId a, ExprId b);
  ExprId ternary(kernels::Ternary op, ExprId a, ExprId b, ExprId c);

  bool is_constant(ExprId id) const { return (*this)[id].kind == ExprKind::constant; }
  /// True for the constant that has these bits.
  bool is_number(ExprId id, double value) const;

 private:
  ExprId add(const Expr& e);
  ExprId simplified(kernels::Unary op, ExprId a);
  ExprId simplified(kernels::Binary op, ExprId a, ExprId b);
  ExprId power(ExprId a, double exponent);

  std::vector<Expr> exprs_;
  std::unordered_map<Expr, ExprId, ExprHash> ids_;
};

/// Appends to the graph the sum over k of the derivative of ys[k] with respect to each of `xs`, times gs[k]:
/// reverse mode over symbols. no_expr where no y depends on x. Factors are multiplied inside of the masks
/// that `where` leaves, so a branch that is not taken gives no NaN.
std::vector<ExprId> differentiate(Graph& graph, std::span<const ExprId> ys, std::span<const ExprId> gs,
                                  std::span<const ExprId> xs);

/// The positions of the inputs, as bits, that `y` depends on by more than steps and conditions.
std::uint32_t differentiable_inputs(const Graph& graph, ExprId y);

}  // namespace gradus::detail
