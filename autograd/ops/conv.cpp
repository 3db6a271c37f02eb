#include "autograd/ops/conv.hpp"

#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"

namespace gradus {

namespace {

using detail::ConvLengths;

// A convolution is linear in x and in the weight; with y in the part of its result's gradient the three make
// one number, sum of y * conv(x, weight). The derivative with respect to each is an op on the other two,
// whose derivatives are the other two ops: three ops closed under differentiation.
Variable forward(const ConvLengths& c, const Variable& x, const Variable& weight, const Variable& bias,
                 Where where);
Variable to_input(const ConvLengths& c, const Variable& y, const Variable& weight, const Variable& bias,
                  Where where);
Variable to_weight(const ConvLengths& c, const Variable& x, const Variable& y, Where where);

/// g (batch, channels, ...) summed to (channels).
Variable bias_gradient(const Variable& g) {
  return g.rank() == 3 ? sum(g, {0, 2}) : sum(g, {0, 2, 3});
}

Variable forward(const ConvLengths& c, const Variable& x, const Variable& weight, const Variable& bias,
                 Where where) {
  const InOp op(c.rank == 1 ? "conv1d" : "conv2d", where);
  return record(op, detail::conv_forward(c, x.value(), weight.value(), bias.value()),
                wrt(x, [c, weight](const Variable& g) { return to_input(c, g, weight, {}, Where::here()); }),
                wrt(weight, [c, x](const Variable& g) { return to_weight(c, x, g, Where::here()); }),
                wrt(bias, bias_gradient));
}

Variable to_input(const ConvLengths& c, const Variable& y, const Variable& weight, const Variable& bias,
                  Where where) {
  const InOp op(c.rank == 1 ? "conv_transpose1d" : "conv_transpose2d", where);
  return record(op, detail::conv_to_input(c, y.value(), weight.value(), bias.value()),
                wrt(y, [c, weight](const Variable& g) { return forward(c, g, weight, {}, Where::here()); }),
                wrt(weight, [c, y](const Variable& g) { return to_weight(c, g, y, Where::here()); }),
                wrt(bias, bias_gradient));
}

Variable to_weight(const ConvLengths& c, const Variable& x, const Variable& y, Where where) {
  const InOp op(c.rank == 1 ? "conv1d_weight" : "conv2d_weight", where);
  return record(op, detail::conv_to_weight(c, x.value(), y.value()),
                wrt(x, [c, y](const Variable& g) { return to_input(c, y, g, {}, Where::here()); }),
                wrt(y, [c, x](const Variable& g) { return forward(c, x, g, {}, Where::here()); }));
}

}  // namespace

Variable conv1d(const Variable& x, const Variable& weight, const Variable& bias, Conv1dOptions options,
                Where where) {
  const InOp op("conv1d", where);
  const ConvLengths lengths = detail::conv_lengths(x.value(), weight.value(), bias.value(), options);
  return forward(lengths, x, weight, bias, where);
}

Variable conv_transpose1d(const Variable& x, const Variable& weight, const Variable& bias,
                          ConvTranspose1dOptions options, Where where) {
  const InOp op("conv_transpose1d", where);
  const ConvLengths lengths = detail::conv_lengths(x.value(), weight.value(), bias.value(), options);
  return to_input(lengths, x, weight, bias, where);
}

Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias, Conv2dOptions options,
                Where where) {
  const InOp op("conv2d", where);
  const ConvLengths lengths = detail::conv_lengths(x.value(), weight.value(), bias.value(), options);
  return forward(lengths, x, weight, bias, where);
}

Variable conv_transpose2d(const Variable& x, const Variable& weight, const Variable& bias,
                          ConvTranspose2dOptions options, Where where) {
  const InOp op("conv_transpose2d", where);
  const ConvLengths lengths = detail::conv_lengths(x.value(), weight.value(), bias.value(), options);
  return to_input(lengths, x, weight, bias, where);
}

}  // namespace gradus
