#include "nn/rnn.hpp"

#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "nn/dropout.hpp"
#include "nn/sequence.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

/// `out` holds the inputs' part of the pre-activations and becomes h of every step.
template <class T>
void forward(Activation f, const Tensor& h0, const Tensor& weight_hh, Tensor& out) {
  const std::int64_t steps = out.dim(0), batch = out.dim(1), width = out.dim(2), cell = batch * width;
  const kernels::Unary op = f == Activation::tanh ? kernels::Unary::tanh : kernels::Unary::relu;
  T* const h = out.mutable_data<T>();
  const kernels::PackedMatrix<T> recurrent(weight_hh.data<T>(), width, true, width, width);
  for (std::int64_t t = 0; t < steps; ++t) {
    T* const now = h + t * cell;
    kernels::gemm_packed<T>(batch, t == 0 ? h0.data<T>() : now - cell, width, recurrent, now, width, T{1});
    kernels::unary<T>(op, now, now, cell);
  }
}

/// Goes back in time: the gradients of the pre-activations, (time, batch, width), and dh, that of h0.
template <class T>
Tensor backward(Activation f, const Tensor& g, const Tensor& weight_hh, const Tensor& out, Tensor& dh) {
  const std::int64_t steps = out.dim(0), batch = out.dim(1), width = out.dim(2), cell = batch * width;
  Tensor d_pre = Tensor::uninitialized_like(out);
  dh = zeros({batch, width}, g.dtype());
  T* const dh_now = dh.mutable_data<T>();
  T* const to = d_pre.mutable_data<T>();
  const kernels::PackedMatrix<T> recurrent(weight_hh.data<T>(), width, false, width, width);
  for (std::int64_t t = steps; t-- > 0;) {
    const T* const from = g.data<T>() + t * cell;
    const T* const h = out.data<T>() + t * cell;
    T* const now = to + t * cell;
    for (std::int64_t i = 0; i < cell; ++i) {
      const T slope = f == Activation::tanh ? 1 - h[i] * h[i] : static_cast<T>(h[i] > 0);
      now[i] = (from[i] + dh_now[i]) * slope;
    }
    kernels::gemm_packed<T>(batch, now, width, recurrent, dh_now, width, T{0});
  }
  return d_pre;
}

}  // namespace

Variable rnn_sequence(Activation f, const Variable& x, const Variable& h, const Variable& weight_ih,
                      const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                      Where where) {
  Tensor out = linear(x.value(), weight_ih.value(), bias_ih.value() + bias_hh.value());
  visit_dtype(x.dtype(), [&](auto tag) { forward<decltype(tag)>(f, h.value(), weight_hh.value(), out); });
  const auto fused = [f, out, x = x.value(), h0 = h.value(), weight_ih = weight_ih.value(),
                      weight_hh = weight_hh.value()](const Tensor& g, std::span<const bool> wanted,
                                                     std::span<Tensor> into) {
    Tensor dh;
    const Tensor d_pre =
        visit_dtype(g.dtype(), [&](auto tag) { return backward<decltype(tag)>(f, g, weight_hh, out, dh); });
    sequence_gradients(d_pre, x, h0, out, weight_ih,
                       {wanted[0], wanted[2], wanted[3], wanted[4] || wanted[5]},
                       {into[0], into[2], into[3], into[4]});
    into[1] = std::move(dh);
    into[5] = into[4];
  };
  const auto by_ops = [f](std::span<const Variable> in) {
    return rnn_sequence_by_ops(f, in[0], in[1], in[2], in[3], in[4], in[5]);
  };
  const std::array<Variable, 6> inputs{x, h, weight_ih, weight_hh, bias_ih, bias_hh};
  return record({"rnn", where}, out, jointly(inputs, fused, differentiated(by_ops, inputs)));
}

Variable rnn_sequence_by_ops(Activation f, const Variable& x, const Variable& h0, const Variable& weight_ih,
                             const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  Variable h = h0;
  std::vector<Variable> out;
  for (std::int64_t t = 0; t < x.dim(0); ++t) {
    const Variable pre = linear(select(x, t), weight_ih, bias_ih) + linear(h, weight_hh, bias_hh);
    h = f == Activation::tanh ? tanh(pre) : relu(pre);
    out.push_back(h);
  }
  return stack(out);
}

Rnn::State Rnn::start(std::int64_t batch) const {
  return {Variable(
      zeros({static_cast<std::int64_t>(layers.size()), batch, width()}, layers.front().weight_hh.dtype()))};
}

std::pair<Variable, Rnn::State> Rnn::operator()(const Variable& x, const State& state, Rng* rng,
                                                Where where) const {
  const InModule here(*this);
  check_sequence("Rnn", x, input_width(), state.h, static_cast<std::int64_t>(layers.size()), width(), where);
  Variable sequence = x;
  storage::PoolVector<Variable> last;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const RecurrentWeights& w = layers[i];
    if (i > 0) sequence = dropout(sequence, options.dropout, rng);
    sequence = rnn_sequence(activation, sequence, select(state.h, static_cast<std::int64_t>(i)), w.weight_ih,
                            w.weight_hh, w.bias_ih, w.bias_hh, where);
    last.push_back(select(sequence, x.dim(0) - 1));
  }
  return {sequence, {stack(last)}};
}

}  // namespace gradus::nn
