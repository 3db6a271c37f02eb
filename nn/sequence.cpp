#include "nn/sequence.hpp"

#include <utility>

#include "autograd/ops/indexing.hpp"
#include "autograd/ops/matmul.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {
/// Takes the value out of a Variable that nobody else needs.
void take_value(Projection& projection, Variable from_x) {
  const Place place = from_x.place();
  if (recording() && detail::active_head->checks) projection.variable = from_x;
  projection.value = std::move(from_x).take();
  if (!projection.variable.value().defined()) projection.variable = Variable(Tensor(), place);
}
}  // namespace

Tensor Projection::again() const {
  const Tensor product = linear(rows, weight, bias);
  return gathers ? gather_rows(product, ids) : product;
}

Projection project(const Variable& x, const Variable& weight_ih, const Variable& bias, Where where) {
  Projection out;
  out.rows = x.value();
  out.weight = weight_ih.value();
  out.bias = bias.value();
  take_value(out, linear(x, weight_ih, bias, where));
  return out;
}

Projection project(const Variable& table, const Indices& ids, const Variable& weight_ih, const Variable& bias,
                   Where where) {
  Projection out;
  out.rows = table.value();
  out.weight = weight_ih.value();
  out.bias = bias.value();
  out.ids = ids;
  out.gathers = true;
  take_value(out, gather_rows(linear(table, weight_ih, bias, where), ids, where));
  return out;
}

Tensor recurrent_weight_gradient(const Tensor& d_gates, const Tensor& h0, const Tensor& h) {
  const std::int64_t steps = d_gates.dim(0);
  const auto flat = [](const Tensor& sequence) {
    return sequence.reshape({sequence.dim(0) * sequence.dim(1), sequence.dim(2)});
  };
  // h before each step: h0, then the outputs but the last.
  Tensor out = matmul(d_gates[0], h0, {.transpose_a = true});
  if (steps > 1)
    add_matmul(out, flat(d_gates.rows(1, steps)), flat(h.rows(0, steps - 1)), {.transpose_a = true});
  return out;
}

}  // namespace gradus::nn
