#include "autograd/ops/arithmetic.hpp"

#include "autograd/elementwise.hpp"
#include "autograd/elementwise/derivatives.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/record.hpp"

namespace gradus {

namespace {

using detail::fused_vjp;
using detail::local_vjp;
using detail::Reads;
using kernels::Binary;
using kernels::Ternary;
using kernels::Unary;

/// The operand as a tensor op takes it. Only what nobody records may give its buffer away: a closure keeps
/// the operand after the op has run.
[[gnu::always_inline]] inline TensorOperand plain(const VariableOperand& x) {
  if (x.is_number()) return x.number();
  if (x.dying() != nullptr && !recording()) return std::move(*x.dying());
  return x.variable.value();
}

Tensor tensor_of(const Variable& x, const Tensor&) {
  return x.value();
}
Tensor tensor_of(double x, const Tensor& like) {
  return Tensor::scalar(x, like.dtype());
}

/// The closure's product with g: in one pass when nothing is recorded, else in ops.
template <Unary op>
Variable recorded_vjp(const Variable& g, const Variable& v) {
  if (recording()) return local_vjp(op, g, v);
  return Variable(fused_vjp(op, g.value(), v.value()));
}

template <Unary op>
Variable record_unary(const char* name, const Variable& x, Where where) {
  const InOp at(name, where);
  Tensor value = apply(op, x.value());
  if constexpr (!detail::has_derivative(op)) {
    return Variable(std::move(value));
  } else if constexpr (detail::reads(op) == Reads::nothing) {
    return record(at, std::move(value),
                  wrt(x, broadcasting([](const Variable& g) { return local_vjp(op, g, g); })));
  } else if constexpr (detail::reads(op) == Reads::y) {
    return record(
        at, std::move(value),
        wrt(x, broadcasting([](const Variable& g, const Variable& y) { return recorded_vjp<op>(g, y); })));
  } else {
    return record(at, std::move(value),
                  wrt(x, broadcasting([x](const Variable& g) { return recorded_vjp<op>(g, x); })));
  }
}

/// The closure of an operand, which saves what its derivative reads: in one pass when nothing is recorded,
/// else in ops. a and b are Variables or numbers.
template <Binary op, int operand, class A, class B>
auto closure_of(const A& a, const B& b) {
  constexpr Reads reads = detail::reads(op, operand);
  if constexpr (reads == Reads::nothing || reads == Reads::flat) {
    return [](const Variable& g) { return local_vjp<operand>(op, g, g, g, g); };
  } else if constexpr (reads == Reads::a) {  // what reads one operand is one op already
    return [a](const Variable& g) { return local_vjp<operand>(op, g, a, a, a); };
  } else if constexpr (reads == Reads::b) {
    return [b](const Variable& g) { return local_vjp<operand>(op, g, b, b, b); };
  } else if constexpr (reads == Reads::by) {
    return [b](const Variable& g, const Variable& y) {
      if (recording()) return local_vjp<operand>(op, g, b, b, y);
      const Tensor& v = g.value();
      return Variable(fused_vjp<operand>(op, v, {}, tensor_of(b, v), y.value()));
    };
  } else if constexpr (reads == Reads::aby) {
    return [a, b](const Variable& g, const Variable& y) {
      if (recording()) return local_vjp<operand>(op, g, a, b, y);
      const Tensor& v = g.value();
      return Variable(fused_vjp<operand>(op, v, tensor_of(a, v), tensor_of(b, v), y.value()));
    };
  } else {
    static_assert(reads == Reads::ab);
    return [a, b](const Variable& g) {
      if (recording()) return local_vjp<operand>(op, g, a, b, a);
      const Tensor& v = g.value();
      return Variable(fused_vjp<operand>(op, v, tensor_of(a, v), tensor_of(b, v), {}));
    };
  }
}

template <Binary op, int operand, class A, class B>
auto closure(const A& a, const B& b) {
  return broadcasting(closure_of<op, operand>(a, b));
}

template <Binary op>
Variable record_binary(const char* name, const VariableOperand& a, const VariableOperand& b, Where where) {
  const InOp at(name, where);
  Tensor value = apply(op, plain(a), plain(b));
  if constexpr (!detail::has_derivative(op, 0) && !detail::has_derivative(op, 1)) {
    return Variable(std::move(value));
  } else {
    if (!recording()) return Variable(std::move(value));
    const Variable &x = a.variable, &y = b.variable;
    if (b.is_number()) return record(at, std::move(value), wrt(x, closure<op, 0>(x, b.number())));
    if (a.is_number()) return record(at, std::move(value), wrt(y, closure<op, 1>(a.number(), y)));
    // An operand that the derivative is 0 for wherever there is one gets none.
    if constexpr (!detail::has_derivative(op, 0))
      return record(at, std::move(value), wrt(y, closure<op, 1>(x, y)));
    if constexpr (!detail::has_derivative(op, 1))
      return record(at, std::move(value), wrt(x, closure<op, 0>(x, y)));
    return record(at, std::move(value), wrt(x, closure<op, 0>(x, y)), wrt(y, closure<op, 1>(x, y)));
  }
}

Variable record_where(const VariableOperand& condition, const VariableOperand& a, const VariableOperand& b,
                      Where at) {
  const InOp op("where", at);
  const Variable c =
      condition.is_number()
          ? Variable(Tensor::scalar(condition.number(), (a.is_number() ? b : a).variable.dtype()))
          : condition.variable;
  return record(op, apply(Ternary::where, plain(condition), plain(a), plain(b)),
                wrt(a.variable, broadcasting([c](const Variable& g) { return where(c, g, 0); })),
                wrt(b.variable, broadcasting([c](const Variable& g) { return where(c, 0, g); })));
}

}  // namespace

Variable operator+(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::add>("add", a, b, a.where);
}
Variable operator-(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::sub>("sub", a, b, a.where);
}
Variable operator*(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::mul>("mul", a, b, a.where);
}
Variable operator/(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::div>("div", a, b, a.where);
}
Variable operator-(const VariableOperand& x) {
  const InOp op("neg", x.where);
  return record(op, -plain(x), wrt(x.variable, broadcasting([](const Variable& g) { return -g; })));
}
Variable operator<(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::less>("less", a, b, a.where);
}
Variable operator<=(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::less_equal>("less_equal", a, b, a.where);
}
Variable operator>(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::greater>("greater", a, b, a.where);
}
Variable operator>=(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::greater_equal>("greater_equal", a, b, a.where);
}

Variable operator+(const VariableArgument& a, const ConstantOperand& b) {
  return record_binary<Binary::add>("add", a, b, a.where);
}
Variable operator+(const ConstantOperand& a, const VariableArgument& b) {
  return record_binary<Binary::add>("add", a, b, a.where);
}
Variable operator-(const VariableArgument& a, const ConstantOperand& b) {
  return record_binary<Binary::sub>("sub", a, b, a.where);
}
Variable operator-(const ConstantOperand& a, const VariableArgument& b) {
  return record_binary<Binary::sub>("sub", a, b, a.where);
}
Variable operator*(const VariableArgument& a, const ConstantOperand& b) {
  return record_binary<Binary::mul>("mul", a, b, a.where);
}
Variable operator*(const ConstantOperand& a, const VariableArgument& b) {
  return record_binary<Binary::mul>("mul", a, b, a.where);
}
Variable operator/(const VariableArgument& a, const ConstantOperand& b) {
  return record_binary<Binary::div>("div", a, b, a.where);
}
Variable operator/(const ConstantOperand& a, const VariableArgument& b) {
  return record_binary<Binary::div>("div", a, b, a.where);
}
Variable operator<(const VariableArgument& a, const ConstantOperand& b) {
  return record_binary<Binary::less>("less", a, b, a.where);
}
Variable operator<(const ConstantOperand& a, const VariableArgument& b) {
  return record_binary<Binary::less>("less", a, b, a.where);
}
Variable operator<=(const VariableArgument& a, const ConstantOperand& b) {
  return record_binary<Binary::less_equal>("less_equal", a, b, a.where);
}
Variable operator<=(const ConstantOperand& a, const VariableArgument& b) {
  return record_binary<Binary::less_equal>("less_equal", a, b, a.where);
}
Variable operator>(const VariableArgument& a, const ConstantOperand& b) {
  return record_binary<Binary::greater>("greater", a, b, a.where);
}
Variable operator>(const ConstantOperand& a, const VariableArgument& b) {
  return record_binary<Binary::greater>("greater", a, b, a.where);
}
Variable operator>=(const VariableArgument& a, const ConstantOperand& b) {
  return record_binary<Binary::greater_equal>("greater_equal", a, b, a.where);
}
Variable operator>=(const ConstantOperand& a, const VariableArgument& b) {
  return record_binary<Binary::greater_equal>("greater_equal", a, b, a.where);
}
Variable& operator+=(Variable& x, const VariableOperand& y) {
  return x = record_binary<Binary::add>("add", x, y, y.where);
}
Variable& operator+=(Variable& x, const ConstantOperand& y) {
  return x = record_binary<Binary::add>("add", x, y, y.where);
}
Variable& operator-=(Variable& x, const VariableOperand& y) {
  return x = record_binary<Binary::sub>("sub", x, y, y.where);
}
Variable& operator-=(Variable& x, const ConstantOperand& y) {
  return x = record_binary<Binary::sub>("sub", x, y, y.where);
}
Variable& operator*=(Variable& x, const VariableOperand& y) {
  return x = record_binary<Binary::mul>("mul", x, y, y.where);
}
Variable& operator*=(Variable& x, const ConstantOperand& y) {
  return x = record_binary<Binary::mul>("mul", x, y, y.where);
}
Variable& operator/=(Variable& x, const VariableOperand& y) {
  return x = record_binary<Binary::div>("div", x, y, y.where);
}
Variable& operator/=(Variable& x, const ConstantOperand& y) {
  return x = record_binary<Binary::div>("div", x, y, y.where);
}

Variable apply(Unary op, const Variable& x, Where where) {
  switch (op) {
#define GRADUS_UNARY(name, ...) \
  case Unary::name:             \
    return record_unary<Unary::name>(#name, x, where);
#include "tensor/kernels/function_rows.hpp"
  }
  return {};
}

Variable apply(Binary op, const VariableOperand& a, const VariableOperand& b, Where where) {
  switch (op) {
#define GRADUS_BINARY(name, ...) \
  case Binary::name:             \
    return record_binary<Binary::name>(#name, a, b, where);
#include "tensor/kernels/function_rows.hpp"
  }
  return {};
}

Variable apply(Ternary op, const VariableOperand& a, const VariableOperand& b, const VariableOperand& c,
               Where where) {
  if (op == Ternary::where) return record_where(a, b, c, where);
  static const std::vector<detail::FormulaPtr> formulas = [] {
    std::vector<detail::FormulaPtr> out;
    for (std::size_t i = 0; i < kernels::ternary_count; ++i) {
      const auto function = static_cast<Ternary>(i);
      out.push_back(detail::formula_of<3>([function](auto... v) { return apply(function, v...); }));
    }
    return out;
  }();
  return detail::record_formula({kernels::name_of(op), where}, formulas[static_cast<std::size_t>(op)],
                                {&a, &b, &c});
}

}  // namespace gradus
