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
  const RecurrentProduct<T, 4> add_product(weight_hh, steps);
  for (std::int64_t t = 0; t < steps; ++t) {
    T* const now = gates + t * 4 * cell;
    const T* const before = t == 0 ? h0.data<T>() : h + (t - 1) * cell;
    const auto gate = [&](std::int64_t begin, std::int64_t end) {
      kernels::lstm_forward<T>({batch, width, begin, end}, now, c + t * cell, c + (t + 1) * cell,
                               tanh_c + t * cell, h + t * cell);
    };
    add_product(batch, before, now, gate);
  }
  std::copy_n(c + steps * cell, cell, h + steps * cell);
  return out;
}

/// Goes back in time; d_gates: (time, batch, 4 * width). Leaves the gradients of h0 and c0.
template <class T>
Tensor backward(const Tensor& g, const Tensor& weight_hh, const Saved& saved, Tensor& dh, Tensor& dc) {
  const std::int64_t steps = saved.gates.dim(0), batch = saved.gates.dim(1), width = g.dim(2);
  const std::int64_t cell = batch * width;
  Tensor d_gates = Tensor::uninitialized_like(saved.gates);
  dh = zeros({batch, width}, g.dtype());
  dc = Tensor::uninitialized({batch, width}, g.dtype());
  T* const to = d_gates.mutable_data<T>();
  T* const dh_now = dh.mutable_data<T>();
  T* const dc_now = dc.mutable_data<T>();
  const T* const from = g.data<T>();
  std::copy_n(from + steps * cell, cell, dc_now);
  const std::array recurrent{kernels::PackedMatrix<T>(weight_hh.data<T>(), width, false, 4 * width, width)};
  for (std::int64_t t = steps; t-- > 0;) {
    const auto gate = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t at = b * width + begin;
        kernels::add_scaled<T>(T{1}, from + t * cell + at, dh_now + at, end - begin);
      }
      kernels::lstm_backward<T>({batch, width, begin, end}, saved.gates.data<T>() + t * 4 * cell,
                                saved.c.data<T>() + t * cell, saved.tanh_c.data<T>() + t * cell, dh_now,
                                dc_now, to + t * 4 * cell);
    };
    if (t + 1 == steps) {
      gate(0, width);
    } else {
      kernels::gemm_packed<T>(batch, to + (t + 1) * 4 * cell, 4 * width, recurrent, dh_now, width, T{0},
                              gate);
    }
  }
  kernels::gemm_packed<T>(batch, to, 4 * width, recurrent.front(), dh_now, width, T{0});
  return d_gates;
}

Variable steps_by_ops(const Variable& from_x, const Variable& h0, const Variable& c0,
                      const Variable& weight_hh) {
  const std::int64_t width = h0.dim(1);
  Variable h = h0, c = c0;
  std::vector<Variable> out;
  for (std::int64_t t = 0; t < from_x.dim(0); ++t) {
    const Variable gates = select(from_x, t) + matmul(h, weight_hh, {.transpose_b = true});
    const auto gate = [&](int i) { return slice(gates, 1, i * width, (i + 1) * width); };
    c = sigmoid(gate(1)) * c + sigmoid(gate(0)) * tanh(gate(2));
    h = sigmoid(gate(3)) * tanh(c);
    out.push_back(h);
  }
  out.push_back(c);
  return stack(out);
}

/// All steps as one node of the tape.
Variable steps_of(Projection projection, const Variable& h, const Variable& c, const Variable& weight_hh,
                  Where where) {
  const std::int64_t steps = projection.value.dim(0), batch = projection.value.dim(1), width = h.dim(1);
  Saved saved;
  saved.gates = std::move(projection.value);
  saved.c = Tensor::uninitialized({steps + 1, batch, width}, h.dtype());
  saved.tanh_c = Tensor::uninitialized({steps, batch, width}, h.dtype());
  Tensor out = visit_dtype(h.dtype(), [&](auto tag) {
    using T = decltype(tag);
    std::copy_n(c.value().data<T>(), c.size(), saved.c.mutable_data<T>());
    return forward<T>(h.value(), weight_hh.value(), saved);
  });
  const auto fused = [saved, out, h0 = h.value(), weight_hh = weight_hh.value()](
                         const Tensor& g, std::span<const bool> wanted, std::span<Tensor> into) {
    into[0] = visit_dtype(
        g.dtype(), [&](auto tag) { return backward<decltype(tag)>(g, weight_hh, saved, into[1], into[2]); });
    if (wanted[3]) into[3] = recurrent_weight_gradient(into[0], h0, out);
  };
  const auto by_ops = [](std::span<const Variable> in) { return steps_by_ops(in[0], in[1], in[2], in[3]); };
  const std::array<Variable, 4> inputs{projection.variable, h, c, weight_hh};
  return record({"lstm", where}, out, jointly(inputs, fused, differentiated(by_ops, projection, inputs)));
}

}  // namespace

Variable lstm_sequence(const Variable& x, const Variable& h, const Variable& c, const Variable& weight_ih,
                       const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                       Where where) {
  return steps_of(project(x, weight_ih, bias_ih + bias_hh, where), h, c, weight_hh, where);
}

Variable lstm_sequence(const Variable& table, const Indices& ids, const Variable& h, const Variable& c,
                       const Variable& weight_ih, const Variable& weight_hh, const Variable& bias_ih,
                       const Variable& bias_hh, Where where) {
  return steps_of(project(table, ids, weight_ih, bias_ih + bias_hh, where), h, c, weight_hh, where);
}

Variable lstm_sequence_by_ops(const Variable& x, const Variable& h0, const Variable& c0,
                              const Variable& weight_ih, const Variable& weight_hh, const Variable& bias_ih,
                              const Variable& bias_hh) {
  return steps_by_ops(linear(x, weight_ih, bias_ih + bias_hh), h0, c0, weight_hh);
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
  return run(
      [&](const RecurrentWeights& w, const Variable& h, const Variable& c) {
        return lstm_sequence(x, h, c, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, where);
      },
      state, rng, where);
}

std::pair<Variable, Lstm::State> Lstm::operator()(const Embedding& embedding, const Indices& ids,
                                                  const State& state, Rng* rng, Where where) const {
  if (!projects_table(embedding, ids)) return (*this)(embedding(ids, where), state, rng, where);
  const InModule here(*this);
  const auto depth = static_cast<std::int64_t>(layers.size());
  check_tokens("Lstm", embedding, ids, input_width(), state.h, depth, width(), where);
  check_tokens("Lstm", embedding, ids, input_width(), state.c, depth, width(), where);
  return run(
      [&](const RecurrentWeights& w, const Variable& h, const Variable& c) {
        return lstm_sequence(embedding.weight, ids, h, c, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh,
                             where);
      },
      state, rng, where);
}

std::pair<Variable, Lstm::State> Lstm::run(
    FunctionRef<Variable(const RecurrentWeights&, const Variable&, const Variable&)> first,
    const State& state, Rng* rng, Where where) const {
  Variable sequence;
  storage::PoolVector<Variable> last_h, last_c;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const RecurrentWeights& w = layers[i];
    const auto layer = static_cast<std::int64_t>(i);
    const Variable h = select(state.h, layer), c = select(state.c, layer);
    if (i > 0) sequence = dropout(sequence, options.dropout, rng);
    const Variable out =
        i == 0 ? first(w, h, c)
               : lstm_sequence(sequence, h, c, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, where);
    const std::int64_t steps = out.dim(0) - 1;
    sequence = slice(out, 0, 0, steps);
    last_h.push_back(select(out, steps - 1));
    last_c.push_back(select(out, steps));
  }
  return {sequence, {stack(last_h), stack(last_c)}};
}

}  // namespace gradus::nn
