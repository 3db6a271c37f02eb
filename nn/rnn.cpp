#include "nn/rnn.hpp"

#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "nn/sequence.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

kernels::Unary kernel_of(Activation f) {
  return f == Activation::tanh ? kernels::Unary::tanh : kernels::Unary::relu;
}

/// `out` holds the inputs' part of the pre-activations and becomes h of every step.
template <class T>
void forward(Activation f, const Tensor& h0, const Tensor& weight_hh, Tensor& out) {
  const std::int64_t steps = out.dim(0), batch = out.dim(1), width = out.dim(2), cell = batch * width;
  T* const h = out.mutable_data<T>();
  const RecurrentProduct<T, 1> add_product(weight_hh, steps);
  for (std::int64_t t = 0; t < steps; ++t) {
    T* const now = h + t * cell;
    const auto activate = [&](std::int64_t begin, std::int64_t end) {
      kernels::rnn_forward<T>({batch, width, begin, end}, kernel_of(f), now);
    };
    add_product(batch, t == 0 ? h0.data<T>() : now - cell, now, activate);
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
  const std::array recurrent{kernels::PackedMatrix<T>(weight_hh.data<T>(), width, false, width, width)};
  for (std::int64_t t = steps; t-- > 0;) {
    const auto differentiate = [&](std::int64_t begin, std::int64_t end) {
      kernels::rnn_backward<T>({batch, width, begin, end}, kernel_of(f), out.data<T>() + t * cell,
                               g.data<T>() + t * cell, dh_now, to + t * cell);
    };
    if (t + 1 == steps) {
      differentiate(0, width);
    } else {
      kernels::gemm_packed<T>(batch, to + (t + 1) * cell, width, recurrent, dh_now, width, T{0},
                              differentiate);
    }
  }
  kernels::gemm_packed<T>(batch, to, width, recurrent.front(), dh_now, width, T{0});
  return d_pre;
}

Variable steps_by_ops(Activation f, const Variable& from_x, const Variable& h0, const Variable& weight_hh) {
  Variable h = h0;
  std::vector<Variable> out;
  for (std::int64_t t = 0; t < from_x.dim(0); ++t) {
    const Variable pre = select(from_x, t) + matmul(h, weight_hh, {.transpose_b = true});
    h = f == Activation::tanh ? tanh(pre) : relu(pre);
    out.push_back(h);
  }
  return stack(out);
}

/// All steps as one node of the tape.
Variable steps_of(Activation f, Projection projection, const Variable& h, const Variable& weight_hh,
                  Where where) {
  Tensor out = std::move(projection.value);
  visit_dtype(h.dtype(), [&](auto tag) { forward<decltype(tag)>(f, h.value(), weight_hh.value(), out); });
  const auto fused = [f, out, h0 = h.value(), weight_hh = weight_hh.value()](
                         const Tensor& g, std::span<const bool> wanted, std::span<Tensor> into) {
    into[0] = visit_dtype(g.dtype(),
                          [&](auto tag) { return backward<decltype(tag)>(f, g, weight_hh, out, into[1]); });
    if (wanted[2]) into[2] = recurrent_weight_gradient(into[0], h0, out);
  };
  const auto by_ops = [f](std::span<const Variable> in) { return steps_by_ops(f, in[0], in[1], in[2]); };
  const std::array<Variable, 3> inputs{projection.variable, h, weight_hh};
  return record({"rnn", where}, out, jointly(inputs, fused, differentiated(by_ops, projection, inputs)));
}

}  // namespace

Variable rnn_sequence(Activation f, const Variable& x, const Variable& h, const Variable& weight_ih,
                      const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh,
                      Where where) {
  return steps_of(f, project(x, weight_ih, bias_ih + bias_hh, where), h, weight_hh, where);
}

Variable rnn_sequence(Activation f, const Variable& table, const Indices& ids, const Variable& h,
                      const Variable& weight_ih, const Variable& weight_hh, const Variable& bias_ih,
                      const Variable& bias_hh, Where where) {
  return steps_of(f, project(table, ids, weight_ih, bias_ih + bias_hh, where), h, weight_hh, where);
}

Variable rnn_sequence_by_ops(Activation f, const Variable& x, const Variable& h0, const Variable& weight_ih,
                             const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  return steps_by_ops(f, linear(x, weight_ih, bias_ih + bias_hh), h0, weight_hh);
}

Rnn::State Rnn::start(std::int64_t batch) const {
  return {Variable(
      zeros({static_cast<std::int64_t>(layers.size()), batch, width()}, layers.front().weight_hh.dtype()))};
}

std::pair<Variable, Rnn::State> Rnn::operator()(const Variable& x, const State& state, Rng* rng,
                                                Where where) const {
  const InModule here(*this);
  check_sequence("Rnn", x, input_width(), state.h, static_cast<std::int64_t>(layers.size()), width(), where);
  return run(
      [&](const RecurrentWeights& w, const Variable& h) {
        return rnn_sequence(activation, x, h, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, where);
      },
      state, rng, where);
}

std::pair<Variable, Rnn::State> Rnn::operator()(const Embedding& embedding, const Indices& ids,
                                                const State& state, Rng* rng, Where where) const {
  if (!projects_table(embedding, ids)) return (*this)(embedding(ids, where), state, rng, where);
  const InModule here(*this);
  check_tokens("Rnn", embedding, ids, input_width(), state.h, static_cast<std::int64_t>(layers.size()),
               width(), where);
  return run(
      [&](const RecurrentWeights& w, const Variable& h) {
        return rnn_sequence(activation, embedding.weight, ids, h, w.weight_ih, w.weight_hh, w.bias_ih,
                            w.bias_hh, where);
      },
      state, rng, where);
}

std::pair<Variable, Rnn::State> Rnn::run(
    FunctionRef<Variable(const RecurrentWeights&, const Variable&)> first, const State& state, Rng* rng,
    Where where) const {
  auto [sequence, last] = run_stack(layers, state.h, options.dropout, rng, first,
                                    [&](const RecurrentWeights& w, const Variable& x, const Variable& h) {
                                      return rnn_sequence(activation, x, h, w.weight_ih, w.weight_hh,
                                                          w.bias_ih, w.bias_hh, where);
                                    });
  return {std::move(sequence), {std::move(last)}};
}

}  // namespace gradus::nn
