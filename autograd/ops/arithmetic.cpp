#include "autograd/ops/arithmetic.hpp"

#include "autograd/ops/elementwise.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// The operand as a tensor op takes it.
TensorOperand plain(const VariableOperand& x) {
  return x.is_number() ? TensorOperand(x.number) : TensorOperand(x.variable.value());
}
/// The place of a call: that of the first operand, which both share.
Op op(const char* name, const VariableOperand& a) {
  return {name, a.where};
}

/// 1 where a wins over b, 1/2 where they are equal, else 0.
Tensor share(const VariableOperand& a, const VariableOperand& b) {
  return less(plain(b), plain(a)) + equal(plain(a), plain(b)) * 0.5;
}

}  // namespace

Variable operator+(const VariableOperand& a, const VariableOperand& b) {
  const auto same = [](const Variable& g) { return g; };
  return record(op("add", a), plain(a) + plain(b), wrt(a.variable, same), wrt(b.variable, same));
}

Variable operator-(const VariableOperand& a, const VariableOperand& b) {
  return record(op("sub", a), plain(a) - plain(b), wrt(a.variable, [](const Variable& g) { return g; }),
                wrt(b.variable, [](const Variable& g) { return -g; }));
}

Variable operator*(const VariableOperand& a, const VariableOperand& b) {
  return record(op("mul", a), plain(a) * plain(b), wrt(a.variable, [b](const Variable& g) { return g * b; }),
                wrt(b.variable, [a](const Variable& g) { return g * a; }));
}

Variable operator/(const VariableOperand& a, const VariableOperand& b) {
  return record(op("div", a), plain(a) / plain(b), wrt(a.variable, [b](const Variable& g) { return g / b; }),
                wrt(b.variable, [b](const Variable& g, const Variable& y) { return -(g * y / b); }));
}

Variable operator-(const VariableOperand& x) {
  return record(op("neg", x), -x.variable.value(), wrt(x.variable, [](const Variable& g) { return -g; }));
}

Variable maximum(const VariableOperand& a, const VariableOperand& b) {
  return record(op("maximum", a), maximum(plain(a), plain(b)),
                wrt(a.variable, [a, b](const Variable& g) { return g * Variable(share(a, b)); }),
                wrt(b.variable, [a, b](const Variable& g) { return g * Variable(share(b, a)); }));
}

Variable minimum(const VariableOperand& a, const VariableOperand& b) {
  return record(op("minimum", a), minimum(plain(a), plain(b)),
                wrt(a.variable, [a, b](const Variable& g) { return g * Variable(share(b, a)); }),
                wrt(b.variable, [a, b](const Variable& g) { return g * Variable(share(a, b)); }));
}

}  // namespace gradus
