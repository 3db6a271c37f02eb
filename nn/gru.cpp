#include "nn/gru.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "nn/sequence.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

/// What the forward pass leaves for the backward.
struct Saved {
  Tensor gates;   // (time, batch, 3 * width): activations r, z, n
  Tensor from_h;  // (time, batch, 3 * width): the products of h before each step, with their bias
};

template <class T>
Tensor forward(const Tensor& h0, const Tensor& weight_hh, const Tensor& bias_hh, Saved& saved) {
  const std::int64_t steps = saved.gates.dim(0), batch = saved.gates.dim(1), width = h0.dim(1);
  const std::int64_t cell = batch * width;
  Tensor out = Tensor::uninitialized({steps, batch, width}, h0.dtype());
  T* const h = out.mutable_data<T>();
  T* const gates = saved.gates.mutable_data<T>();
  T* const from_h = saved.from_h.mutable_data<T>();
  const RecurrentProduct<T, 3> add_product(weight_hh, steps);
  for (std::int64_t row = 0; row < steps * batch; ++row)
    std::copy_n(bias_hh.data<T>(), 3 * width, from_h + row * 3 * width);
  for (std::int64_t t = 0; t < steps; ++t) {
    const T* const before = t == 0 ? h0.data<T>() : h + (t - 1) * cell;
    const auto gate = [&](std::int64_t begin, std::int64_t end) {
      kernels::gru_forward<T>({batch, width, begin, end}, gates + t * 3 * cell, from_h + t * 3 * cell, before,
                              h + t * cell);
    };
    add_product(batch, before, from_h + t * 3 * cell, gate);
  }
  return out;
}

/// The gradients of the two parts of the pre-activations, (time, batch, 3 * width) each, and dh, that of h0.
template <class T>
std::pair<Tensor, Tensor> backward(const Tensor& g, const Tensor& h0, const Tensor& h,
                                   const Tensor& weight_hh, const Saved& saved, Tensor& dh) {
  const std::int64_t steps = g.dim(0), batch = g.dim(1), width = g.dim(2), cell = batch * width;
  Tensor d_gates = Tensor::uninitialized_like(saved.gates),
         d_from_h = Tensor::uninitialized_like(saved.gates);
  dh = zeros({batch, width}, g.dtype());
  T* const dh_now = dh.mutable_data<T>();
  T* const to_gates = d_gates.mutable_data<T>();
  T* const to_h = d_from_h.mutable_data<T>();
  const std::array recurrent{kernels::PackedMatrix<T>(weight_hh.data<T>(), width, false, 3 * width, width)};
  for (std::int64_t t = steps; t-- > 0;) {
    const auto gate = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t at = b * width + begin;
        kernels::add_scaled<T>(T{1}, g.data<T>() + t * cell + at, dh_now + at, end - begin);
      }
      kernels::gru_backward<T>({batch, width, begin, end}, saved.gates.data<T>() + t * 3 * cell,
                               saved.from_h.data<T>() + t * 3 * cell,
                               t == 0 ? h0.data<T>() : h.data<T>() + (t - 1) * cell, dh_now,
                               to_gates + t * 3 * cell, to_h + t * 3 * cell);
    };
    if (t + 1 == steps) {
      gate(0, width);
    } else {
      kernels::gemm_packed<T>(batch, to_h + (t + 1) * 3 * cell, 3 * width, recurrent, dh_now, width, T{1},
                              gate);
    }
  }
  kernels::gemm_packed<T>(batch, to_h, 3 * width, recurrent.front(), dh_now, width, T{1});
  return {std::move(d_gates), std::move(d_from_h)};
}

Variable steps_by_ops(const Variable& from_x, const Variable& h0, const Variable& weight_hh,
                      const Variable& bias_hh) {
  const std::int64_t width = h0.dim(1);
  Variable h = h0;
  std::vector<Variable> out;
  for (std::int64_t t = 0; t < from_x.dim(0); ++t) {
    const Variable x = select(from_x, t), from_h = linear(h, weight_hh, bias_hh);
    const auto gate = [&](const Variable& from, int i) { return slice(from, 1, i * width, (i + 1) * width); };
    const Variable r = sigmoid(gate(x, 0) + gate(from_h, 0));
    const Variable z = sigmoid(gate(x, 1) + gate(from_h, 1));
    const Variable n = tanh(gate(x, 2) + r * gate(from_h, 2));
    h = (1 - z) * n + z * h;
    out.push_back(h);
  }
  return stack(out);
}

/// All steps as one node of the tape.
Variable steps_of(Projection projection, const Variable& h, const Variable& weight_hh,
                  const Variable& bias_hh, Where where) {
  Saved saved;
  saved.gates = std::move(projection.value);
  saved.from_h = Tensor::uninitialized_like(saved.gates);
  Tensor out = visit_dtype(h.dtype(), [&](auto tag) {
    return forward<decltype(tag)>(h.value(), weight_hh.value(), bias_hh.value(), saved);
  });
  const auto fused = [saved, out, h0 = h.value(), weight_hh = weight_hh.value()](
                         const Tensor& g, std::span<const bool> wanted, std::span<Tensor> into) {
    const auto [d_gates, d_from_h] = visit_dtype(
        g.dtype(), [&](auto tag) { return backward<decltype(tag)>(g, h0, out, weight_hh, saved, into[1]); });
    if (wanted[2]) into[2] = recurrent_weight_gradient(d_from_h, h0, out);
    if (wanted[3]) into[3] = sum(d_from_h, {0, 1});
    into[0] = d_gates;
  };
  const auto by_ops = [](std::span<const Variable> in) { return steps_by_ops(in[0], in[1], in[2], in[3]); };
  const std::array<Variable, 4> inputs{projection.variable, h, weight_hh, bias_hh};
  return record({"gru", where}, out, jointly(inputs, fused, differentiated(by_ops, projection, inputs)));
}

}  // namespace

Variable gru_sequence(const Variable& x, const Variable& h, const Variable& weight_ih,
                      const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                      Where where) {
  return steps_of(project(x, weight_ih, bias_ih, where), h, weight_hh, bias_hh, where);
}

Variable gru_sequence(const Variable& table, const Indices& ids, const Variable& h, const Variable& weight_ih,
                      const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                      Where where) {
  return steps_of(project(table, ids, weight_ih, bias_ih, where), h, weight_hh, bias_hh, where);
}

Variable gru_sequence_by_ops(const Variable& x, const Variable& h, const Variable& weight_ih,
                             const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  return steps_by_ops(linear(x, weight_ih, bias_ih), h, weight_hh, bias_hh);
}

Gru::State Gru::start(std::int64_t batch) const {
  return {Variable(
      zeros({static_cast<std::int64_t>(layers.size()), batch, width()}, layers.front().weight_hh.dtype()))};
}

std::pair<Variable, Gru::State> Gru::operator()(const Variable& x, const State& state, Rng* rng,
                                                Where where) const {
  const InModule here(*this);
  check_sequence("Gru", x, input_width(), state.h, static_cast<std::int64_t>(layers.size()), width(), where);
  return run(
      [&](const RecurrentWeights& w, const Variable& h) {
        return gru_sequence(x, h, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, where);
      },
      state, rng, where);
}

std::pair<Variable, Gru::State> Gru::operator()(const Embedding& embedding, const Indices& ids,
                                                const State& state, Rng* rng, Where where) const {
  if (!projects_table(embedding, ids)) return (*this)(embedding(ids, where), state, rng, where);
  const InModule here(*this);
  check_tokens("Gru", embedding, ids, input_width(), state.h, static_cast<std::int64_t>(layers.size()),
               width(), where);
  return run(
      [&](const RecurrentWeights& w, const Variable& h) {
        return gru_sequence(embedding.weight, ids, h, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, where);
      },
      state, rng, where);
}

std::pair<Variable, Gru::State> Gru::run(
    FunctionRef<Variable(const RecurrentWeights&, const Variable&)> first, const State& state, Rng* rng,
    Where where) const {
  auto [sequence, last] =
      run_stack(layers, state.h, options.dropout, rng, first,
                [&](const RecurrentWeights& w, const Variable& x, const Variable& h) {
                  return gru_sequence(x, h, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, where);
                });
  return {std::move(sequence), {std::move(last)}};
}

}  // namespace gradus::nn
