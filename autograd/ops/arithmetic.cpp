#include "autograd/ops/arithmetic.hpp"

#include "autograd/ops/elementwise.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// The operand as a tensor op takes it. Only what nobody records may give its buffer away: a closure keeps
/// the operand after the op has run.
TensorOperand plain(const VariableOperand& x) {
  if (x.is_number()) return x.number();
  if (x.dying() != nullptr && !recording()) return std::move(*x.dying());
  return x.variable.value();
}
/// The place of a call: that of the first operand, which both share.
Op op(const char* name, const VariableOperand& a) {
  return {name, a.where};
}

/// 1 where a wins over b, 1/2 where they are equal, else 0.
Tensor share(const TensorOperand& a, const TensorOperand& b) {
  return less(b, a) + equal(a, b) * 0.5;
}

/// maximum and minimum: `wins` of two operands gives 1 where the first is the result.
template <class Wins>
Variable pick(const Op& op, Tensor value, const VariableOperand& a, const VariableOperand& b, Wins wins) {
  const auto kept = [](const VariableOperand& x) {
    return x.is_number() ? Tensor::scalar(x.number(), Dtype::f64) : x.variable.value();
  };
  if (a.is_number() || b.is_number()) {
    const Variable& x = a.is_number() ? b.variable : a.variable;
    const double number = a.is_number() ? a.number() : b.number();
    return record(op, std::move(value), wrt(x, [v = x.value(), number, wins](const Variable& g) {
                    return g * Variable(wins(v, number));
                  }));
  }
  return record(op, std::move(value),
                wrt(a.variable,
                    [x = kept(a), y = kept(b), wins](const Variable& g) { return g * Variable(wins(x, y)); }),
                wrt(b.variable, [x = kept(a), y = kept(b), wins](const Variable& g) {
                  return g * Variable(wins(y, x));
                }));
}

}  // namespace

Variable operator+(const VariableOperand& a, const VariableOperand& b) {
  Tensor value = plain(a) + plain(b);
  if (!recording()) return Variable(std::move(value));
  const auto same = [](const Variable& g) { return g; };
  return record(op("add", a), std::move(value), wrt(a.variable, same), wrt(b.variable, same));
}

Variable operator-(const VariableOperand& a, const VariableOperand& b) {
  Tensor value = plain(a) - plain(b);
  if (!recording()) return Variable(std::move(value));
  return record(op("sub", a), std::move(value), wrt(a.variable, [](const Variable& g) { return g; }),
                wrt(b.variable, [](const Variable& g) { return -g; }));
}

Variable operator*(const VariableOperand& a, const VariableOperand& b) {
  Tensor value = plain(a) * plain(b);
  if (!recording()) return Variable(std::move(value));
  if (a.is_number() || b.is_number()) {
    const double number = a.is_number() ? a.number() : b.number();
    return record(
        op("mul", a), std::move(value),
        wrt(a.is_number() ? b.variable : a.variable, [number](const Variable& g) { return g * number; }));
  }
  return record(op("mul", a), std::move(value),
                wrt(a.variable, [y = b.variable](const Variable& g) { return g * y; }),
                wrt(b.variable, [x = a.variable](const Variable& g) { return g * x; }));
}

Variable operator/(const VariableOperand& a, const VariableOperand& b) {
  Tensor value = plain(a) / plain(b);
  if (!recording()) return Variable(std::move(value));
  if (b.is_number()) {
    return record(op("div", a), std::move(value),
                  wrt(a.variable, [number = b.number()](const Variable& g) { return g / number; }));
  }
  return record(
      op("div", a), std::move(value), wrt(a.variable, [x = b.variable](const Variable& g) { return g / x; }),
      wrt(b.variable, [x = b.variable](const Variable& g, const Variable& y) { return -(g * y / x); }));
}

Variable operator-(const VariableOperand& x) {
  Tensor value = -plain(x);
  return record(op("neg", x), std::move(value), wrt(x.variable, [](const Variable& g) { return -g; }));
}

Variable maximum(const VariableOperand& a, const VariableOperand& b) {
  return pick(op("maximum", a), maximum(plain(a), plain(b)), a, b,
              [](const TensorOperand& x, const TensorOperand& y) { return share(x, y); });
}

Variable minimum(const VariableOperand& a, const VariableOperand& b) {
  return pick(op("minimum", a), minimum(plain(a), plain(b)), a, b,
              [](const TensorOperand& x, const TensorOperand& y) { return share(y, x); });
}

}  // namespace gradus
