#pragma once

// Internal: not part of the public interface.

// What the fused sequence ops of the recurrent layers share; for the layers' own files.

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/tape.hpp"
#include "nn/dropout.hpp"
#include "nn/recurrent.hpp"
#include "tensor/indices.hpp"
#include "tensor/kernels/kernels.hpp"

namespace gradus::nn {

/// The gradient of weight_hh, as one product over all steps. d_gates: those of the pre-activations, (time,
/// batch, gates * width); h0: (batch, width); h: (time or more, batch, width), the outputs.
Tensor recurrent_weight_gradient(const Tensor& d_gates, const Tensor& h0, const Tensor& h);

/// The inputs' part of the pre-activations, (time, batch, gates * width), whose memory the steps take for
/// their gates.
struct Projection {
  Variable variable;  // its place on the tape; the value only when the tape checks it
  Tensor value;
  // What makes the value again, for a gradient that is itself differentiated: rows by weight and bias, and
  // with ids those rows of the product.
  Tensor rows, weight, bias;
  Indices ids;
  bool gathers = false;

  Tensor again() const;
};
/// x: (time, batch, in)
Projection project(const Variable& x, const Variable& weight_ih, const Variable& bias, Where where);
/// Of the rows of a table, (count, in), that ids, (time, batch), name: the table is projected, and the
/// products are gathered.
Projection project(const Variable& table, const Indices& ids, const Variable& weight_ih, const Variable& bias,
                   Where where);

/// to += h W^T for the steps of a layer, each gate's part of the (gates * width, width) W by itself; then
/// done(begin, end) for units that are ready, on the thread that made them. W is packed once for many steps,
/// and read where it stands for one alone.
template <class T, std::size_t gates>
class RecurrentProduct {
 public:
  RecurrentProduct(const Tensor& weight_hh, std::int64_t steps)
      : weight_(weight_hh.data<T>()), width_(weight_hh.dim(1)), packs_(steps > 1) {
    for (std::size_t g = 0; packs_ && g < gates; ++g) {
      packed_[g] = {weight_ + static_cast<std::int64_t>(g) * width_ * width_, width_, true, width_, width_};
    }
  }
  void operator()(std::int64_t batch, const T* h, T* to,
                  FunctionRef<void(std::int64_t, std::int64_t)> done) const {
    constexpr auto count = static_cast<std::int64_t>(gates);
    if (packs_) return kernels::gemm_packed<T>(batch, h, width_, packed_, to, count * width_, T{1}, done);
    kernels::gemm(kernels::Gemm<T>{.m = batch,
                                   .n = count * width_,
                                   .k = width_,
                                   .a = h,
                                   .lda = width_,
                                   .b = weight_,
                                   .ldb = width_,
                                   .b_transposed = true,
                                   .c = to,
                                   .ldc = count * width_,
                                   .beta = T{1}});
    done(0, width_);
  }

 private:
  const T* weight_;
  std::int64_t width_;
  bool packs_;
  std::array<kernels::PackedMatrix<T>, gates> packed_;
};

/// Layers on top of each other whose state is h alone, (layers, batch, width): `first` runs the first layer,
/// from its weights and its h, and `next` one that reads a sequence. Gives the last layer's sequence and all
/// layers' h after the last step.
template <class First, class Next>
std::pair<Variable, Variable> run_stack(std::span<const RecurrentWeights> layers, const Variable& h,
                                        double dropout_rate, Rng* rng, const First& first, const Next& next) {
  Variable sequence;
  storage::PoolVector<Variable> last;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Variable before = select(h, static_cast<std::int64_t>(i));
    sequence =
        i == 0 ? first(layers[i], before) : next(layers[i], dropout(sequence, dropout_rate, rng), before);
    last.push_back(select(sequence, sequence.dim(0) - 1));
  }
  return {sequence, stack(last)};
}

/// A gradient in differentiable ops for a fused op, from the same function written in plain ops: computes it
/// again and differentiates that. The first input is the projection.
template <class ByOps, std::size_t n>
auto differentiated(ByOps by_ops, Projection projection, const std::array<Variable, n>& inputs) {
  projection.value = Tensor();
  return [by_ops, projection = std::move(projection), inputs](const Variable& g) {
    // Fresh nodes, so that the derivatives are partial even where one input depends on another.
    std::vector<Variable> fresh{identity(Variable(projection.again(), projection.variable.place()))};
    for (std::size_t i = 1; i < n; ++i) fresh.push_back(identity(inputs[i]));
    return grad(sum(by_ops(fresh) * g), fresh);
  };
}

}  // namespace gradus::nn
