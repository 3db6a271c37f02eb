#include "autograd/ops/arithmetic.hpp"

#include "autograd/elementwise/derivatives.hpp"
#include "autograd/elementwise/pull.hpp"
#include "autograd/located.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/record.hpp"
#include "tensor/ops/elementwise.hpp"

// The derivatives stand in autograd/elementwise/derivatives.hpp.
namespace gradus {

namespace {

using detail::pull_first;
using detail::pull_second;
using kernels::Binary;

/// The operand as a tensor op takes it. Only what nobody records may give its buffer away: a closure keeps
/// the operand after the op has run.
TensorOperand plain(const VariableOperand& x) {
  if (x.is_number()) return x.number();
  if (x.dying() != nullptr && !recording()) return std::move(*x.dying());
  return x.variable.value();
}
/// The place of a call: that of the first operand.
Op op_at(const char* name, const VariableOperand& a) {
  return {name, a.where};
}

// What the derivatives of the four operations read, which is what their closures save; the others read all.
constexpr bool reads_nothing(Binary op) {
  return op == Binary::add || op == Binary::sub;
}
constexpr bool reads_other(Binary op) {
  return op == Binary::mul || op == Binary::div;
}

Tensor tensor_of(const Variable& x, const Tensor&) {
  return x.value();
}
Tensor tensor_of(double x, const Tensor& like) {
  return Tensor::scalar(x, like.dtype());
}

/// The closure of the first operand; a and b are Variables or numbers.
template <Binary op, class A, class B>
auto first_closure(const A& a, const B& b) {
  if constexpr (reads_nothing(op) || op == Binary::fmod) {
    return [](const Variable& g) { return g; };
  } else if constexpr (reads_other(op)) {
    return [b](const Variable& g) { return pull_first(op, g, b, b); };
  } else {
    return [a, b](const Variable& g) {
      if (recording()) return pull_first(op, g, a, b);
      const Tensor& v = g.value();
      return Variable(detail::pull_first_values(op, v, tensor_of(a, v), tensor_of(b, v)));
    };
  }
}

/// The closure of the second operand.
template <Binary op, class A, class B>
auto second_closure(const A& a, const B& b) {
  if constexpr (reads_nothing(op)) {
    return [](const Variable& g) { return pull_second(op, g, g, g, g); };
  } else if constexpr (op == Binary::mul) {
    return [a](const Variable& g) { return pull_second(op, g, a, a, a); };
  } else if constexpr (op == Binary::div) {
    return [b](const Variable& g, const Variable& y) {
      if (recording()) return pull_second(op, g, b, b, y);
      const Tensor& v = g.value();
      return Variable(detail::pull_second_values(op, v, {}, tensor_of(b, v), y.value()));
    };
  } else {
    return [a, b](const Variable& g, const Variable& y) {
      if (recording()) return pull_second(op, g, a, b, y);
      const Tensor& v = g.value();
      return Variable(detail::pull_second_values(op, v, tensor_of(a, v), tensor_of(b, v), y.value()));
    };
  }
}

/// The op on the operands' tensors; its errors tell the place of the call.
using TensorBinary = Tensor (*)(const TensorOperand&, const TensorOperand&);
Tensor computed(TensorBinary compute, const VariableOperand& a, const VariableOperand& b) {
  return located(a.where, [&] { return compute(plain(a), plain(b)); });
}

template <Binary op>
Variable record_binary(const char* name, const VariableOperand& a, const VariableOperand& b,
                       TensorBinary compute) {
  Tensor value = computed(compute, a, b);
  if (!recording()) return Variable(std::move(value));
  const Op at = op_at(name, a);
  const Variable &x = a.variable, &y = b.variable;
  if (b.is_number()) return record(at, std::move(value), wrt(x, first_closure<op>(x, b.number())));
  if (a.is_number()) return record(at, std::move(value), wrt(y, second_closure<op>(a.number(), y)));
  return record(at, std::move(value), wrt(x, first_closure<op>(x, y)), wrt(y, second_closure<op>(x, y)));
}

}  // namespace

Variable operator+(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::add>("add", a, b, operator+);
}
Variable operator-(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::sub>("sub", a, b, operator-);
}
Variable operator*(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::mul>("mul", a, b, operator*);
}
Variable operator/(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::div>("div", a, b, operator/);
}
Variable operator-(const VariableOperand& x) {
  return record(op_at("neg", x), located(x.where, [&] { return -plain(x); }),
                wrt(x.variable, [](const Variable& g) { return -g; }));
}

Variable maximum(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::maximum>("maximum", a, b, maximum);
}
Variable minimum(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::minimum>("minimum", a, b, minimum);
}
Variable pow(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::pow>("pow", a, b, pow);
}
Variable atan2(const VariableOperand& y, const VariableOperand& x) {
  return record_binary<Binary::atan2>("atan2", y, x, atan2);
}
Variable fmod(const VariableOperand& a, const VariableOperand& b) {
  return record_binary<Binary::fmod>("fmod", a, b, fmod);
}

Variable where(const VariableOperand& condition, const VariableOperand& a, const VariableOperand& b) {
  const Variable c =
      condition.is_number() ? Variable(Tensor::scalar(condition.number())) : condition.variable;
  return record(op_at("where", condition),
                located(condition.where, [&] { return where(plain(condition), plain(a), plain(b)); }),
                wrt(a.variable, [c](const Variable& g) { return where(c, g, 0); }),
                wrt(b.variable, [c](const Variable& g) { return where(c, 0, g); }));
}

Variable less(const VariableOperand& a, const VariableOperand& b) {
  return Variable(computed(less, a, b));
}
Variable less_equal(const VariableOperand& a, const VariableOperand& b) {
  return Variable(computed(less_equal, a, b));
}
Variable greater(const VariableOperand& a, const VariableOperand& b) {
  return less(b, a);
}
Variable greater_equal(const VariableOperand& a, const VariableOperand& b) {
  return less_equal(b, a);
}
Variable equal(const VariableOperand& a, const VariableOperand& b) {
  return Variable(computed(equal, a, b));
}
Variable not_equal(const VariableOperand& a, const VariableOperand& b) {
  return Variable(computed(not_equal, a, b));
}
Variable operator<(const VariableOperand& a, const VariableOperand& b) {
  return less(a, b);
}
Variable operator<=(const VariableOperand& a, const VariableOperand& b) {
  return less_equal(a, b);
}
Variable operator>(const VariableOperand& a, const VariableOperand& b) {
  return less(b, a);
}
Variable operator>=(const VariableOperand& a, const VariableOperand& b) {
  return less_equal(b, a);
}

}  // namespace gradus
