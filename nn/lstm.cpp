#include "nn/lstm.hpp"

#include <algorithm>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "nn/dropout.hpp"
#include "nn/sequence.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

/// What the forward pass leaves for the backward.
struct Saved {
  Tensor gates;   // (time, batch, 4 * width): activations i, f, C~, o
  Tensor c;       // (time + 1, batch, width): c before each step, and after the last
  Tensor tanh_c;  // (time, batch, width)
};

template <class T>
Tensor forward(const Tensor& h0, const Tensor& weight_hh, Saved& saved) {
  const std::int64_t steps = saved.gates.dim(0), batch = saved.gates.dim(1), width = h0.dim(1);
  const std::int64_t cell = batch * width;
  Tensor out = Tensor::uninitialized({steps + 1, batch, width}, h0.dtype());
  T* const h = out.mutable_data<T>();
  T* const gates = saved.gates.mutable_data<T>();
  T* const c = saved.c.mutable_data<T>();
  T* const tanh_c = saved.tanh_c.mutable_data<T>();
  const kernels::PackedMatrix<T> recurrent(weight_hh.data<T>(), width, true, width, 4 * width);
  for (std::int64_t t = 0; t < steps; ++t) {
    T* const now = gates + t * 4 * cell;
    const T* const before = t == 0 ? h0.data<T>() : h + (t - 1) * cell;
    kernels::gemm_packed<T>(batch, before, width, recurrent, now, 4 * width, T{1});
    kernels::lstm_forward<T>(now, c + t * cell, c + (t + 1) * cell, tanh_c + t * cell, h + t * cell, batch,
                             width);
  }
  std::copy_n(c + steps * cell, cell, h + steps * cell);
  return out;
}

/// Goes back in time; d_gates: (time, batch, 4 * width). Leaves the gradients of h0 and c0.
template <class T>
Tensor backward(const Tensor& g, const Tensor& weight_hh, const Saved& saved, Tensor& dh, Tensor& dc) {
  const std::int64_t steps = saved.gates.dim(0), batch = saved.gates.dim(1), width = g.dim(2);
  const std::int64_t cell = batch * width;
  Tensor d_gates = Tensor::uninitialized(saved.gates.shape(), g.dtype());
  dh = zeros({batch, width}, g.dtype());
  dc = Tensor::uninitialized({batch, width}, g.dtype());
  T* const to = d_gates.mutable_data<T>();
  T* const dh_now = dh.mutable_data<T>();
  T* const dc_now = dc.mutable_data<T>();
  const T* const from = g.data<T>();
  std::copy_n(from + steps * cell, cell, dc_now);
  const kernels::PackedMatrix<T> recurrent(weight_hh.data<T>(), width, false, 4 * width, width);
  for (std::int64_t t = steps; t-- > 0;) {
    kernels::add_scaled<T>(T{1}, from + t * cell, dh_now, cell);
    T* const now = to + t * 4 * cell;
    kernels::lstm_backward<T>(saved.gates.data<T>() + t * 4 * cell, saved.c.data<T>() + t * cell,
                              saved.tanh_c.data<T>() + t * cell, dh_now, dc_now, now, batch, width);
    kernels::gemm_packed<T>(batch, now, 4 * width, recurrent, dh_now, width, T{0});
  }
  return d_gates;
}

}  // namespace

Variable lstm_sequence(const Variable& x, const Variable& h, const Variable& c, const Variable& weight_ih,
                       const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                       Where where) {
  const std::int64_t steps = x.dim(0), batch = x.dim(1), width = h.dim(1);
  Saved saved;
  saved.gates = linear(x.value(), weight_ih.value(), bias_ih.value() + bias_hh.value());
  saved.c = Tensor::uninitialized({steps + 1, batch, width}, x.dtype());
  saved.tanh_c = Tensor::uninitialized({steps, batch, width}, x.dtype());
  Tensor out = visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    std::copy_n(c.value().data<T>(), c.size(), saved.c.mutable_data<T>());
    return forward<T>(h.value(), weight_hh.value(), saved);
  });
  const auto fused = [saved, out, x = x.value(), h0 = h.value(), weight_ih = weight_ih.value(),
                      weight_hh = weight_hh.value()](const Tensor& g, std::span<const bool> wanted,
                                                     std::span<Tensor> into) {
    Tensor dh, dc;
    const Tensor d_gates = visit_dtype(
        g.dtype(), [&](auto tag) { return backward<decltype(tag)>(g, weight_hh, saved, dh, dc); });
    sequence_gradients(d_gates, x, h0, out, weight_ih,
                       {wanted[0], wanted[3], wanted[4], wanted[5] || wanted[6]},
                       {into[0], into[3], into[4], into[5]});
    into[1] = std::move(dh);
    into[2] = std::move(dc);
    into[6] = into[5];
  };
  const auto by_ops = [](std::span<const Variable> in) {
    return lstm_sequence_by_ops(in[0], in[1], in[2], in[3], in[4], in[5], in[6]);
  };
  const std::array<Variable, 7> inputs{x, h, c, weight_ih, weight_hh, bias_ih, bias_hh};
  return record({"lstm", where}, out, jointly(inputs, fused, differentiated(by_ops, inputs)));
}

Variable lstm_sequence_by_ops(const Variable& x, const Variable& h0, const Variable& c0,
                              const Variable& weight_ih, const Variable& weight_hh, const Variable& bias_ih,
                              const Variable& bias_hh) {
  const std::int64_t width = h0.dim(1);
  Variable h = h0, c = c0;
  std::vector<Variable> out;
  for (std::int64_t t = 0; t < x.dim(0); ++t) {
    const Variable gates = linear(select(x, t), weight_ih, bias_ih) + linear(h, weight_hh, bias_hh);
    const auto gate = [&](int i) { return slice(gates, 1, i * width, (i + 1) * width); };
    c = sigmoid(gate(1)) * c + sigmoid(gate(0)) * tanh(gate(2));
    h = sigmoid(gate(3)) * tanh(c);
    out.push_back(h);
  }
  out.push_back(c);
  return stack(out);
}

Lstm::State Lstm::start(std::int64_t batch) const {
  const Shape shape{static_cast<std::int64_t>(layers.size()), batch, width()};
  const Tensor zero = zeros(shape, layers.front().weight_hh.dtype());
  return {Variable(zero), Variable(zero)};
}

std::pair<Variable, Lstm::State> Lstm::operator()(const Variable& x, const State& state, Rng* rng,
                                                  Where where) const {
  const InModule here(*this);
  const auto depth = static_cast<std::int64_t>(layers.size());
  check_sequence("Lstm", x, input_width(), state.h, depth, width(), where);
  check_sequence("Lstm", x, input_width(), state.c, depth, width(), where);
  const std::int64_t steps = x.dim(0);
  Variable sequence = x;
  storage::PoolVector<Variable> last_h, last_c;
  for (std::int64_t i = 0; i < depth; ++i) {
    const RecurrentWeights& w = layers[static_cast<std::size_t>(i)];
    if (i > 0) sequence = dropout(sequence, options.dropout, rng);
    const Variable out = lstm_sequence(sequence, select(state.h, i), select(state.c, i), w.weight_ih,
                                       w.weight_hh, w.bias_ih, w.bias_hh, where);
    sequence = slice(out, 0, 0, steps);
    last_h.push_back(select(out, steps - 1));
    last_c.push_back(select(out, steps));
  }
  return {sequence, {stack(last_h), stack(last_c)}};
}

}  // namespace gradus::nn
