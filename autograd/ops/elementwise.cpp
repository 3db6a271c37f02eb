#include "autograd/ops/elementwise.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

Variable abs(const Variable& x, Where where) {
  return record({"abs", where}, abs(x.value()),
                wrt(x, [x](const Variable& g) { return g * Variable(sign(x.value())); }));
}

Variable square(const Variable& x, Where where) {
  return record({"square", where}, square(x.value()), wrt(x, [x](const Variable& g) { return g * x * 2; }));
}

Variable sqrt(const Variable& x, Where where) {
  return record({"sqrt", where}, sqrt(x.value()),
                wrt(x, [](const Variable& g, const Variable& y) { return g / (2 * y); }));
}

Variable reciprocal(const Variable& x, Where where) {
  return record({"reciprocal", where}, reciprocal(x.value()),
                wrt(x, [](const Variable& g, const Variable& y) { return -(g * y * y); }));
}

Variable exp(const Variable& x, Where where) {
  return record({"exp", where}, exp(x.value()),
                wrt(x, [](const Variable& g, const Variable& y) { return g * y; }));
}

Variable log(const Variable& x, Where where) {
  return record({"log", where}, log(x.value()), wrt(x, [x](const Variable& g) { return g / x; }));
}

Variable log1p(const Variable& x, Where where) {
  return record({"log1p", where}, log1p(x.value()), wrt(x, [x](const Variable& g) { return g / (1 + x); }));
}

Variable sin(const Variable& x, Where where) {
  return record({"sin", where}, sin(x.value()), wrt(x, [x](const Variable& g) { return g * cos(x); }));
}

Variable cos(const Variable& x, Where where) {
  return record({"cos", where}, cos(x.value()), wrt(x, [x](const Variable& g) { return -(g * sin(x)); }));
}

Variable tanh(const Variable& x, Where where) {
  return record({"tanh", where}, tanh(x.value()),
                wrt(x, [](const Variable& g, const Variable& y) { return g * (1 - square(y)); }));
}

Variable sigmoid(const Variable& x, Where where) {
  return record({"sigmoid", where}, sigmoid(x.value()),
                wrt(x, [](const Variable& g, const Variable& y) { return g * y * (1 - y); }));
}

Variable relu(const Variable& x, Where where) {
  return record({"relu", where}, relu(x.value()),
                wrt(x, [x](const Variable& g) { return g * Variable(less(0, x.value())); }));
}

}  // namespace gradus
