#pragma once

// Internal: a cell over all steps of a sequence; for nn/recurrent.hpp.

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/tape.hpp"
#include "nn/cell.hpp"
#include "tensor/indices.hpp"
#include "tensor/kernels/elementwise.hpp"
#include "tensor/kernels/gemm.hpp"
#include "tensor/ops.hpp"
#include "tensor/ops/compact.hpp"

namespace gradus::nn {

/// Which steps of which sequences are taken, and in what order. The sequences of a batch stand longest first,
/// so those that take a step are the first ones. The others keep their state.
struct Steps {
  std::int64_t count = 0, batch = 0;
  bool reverse = false;  // from the last time to the first
  // Where lengths differ:
  storage::PoolVector<std::int64_t> rows = {};  // of each time, the number of sequences that are longer
  Tensor padding = {};                          // (time, batch, 1): 1 where a sequence has ended, else 0

  std::int64_t time(std::int64_t step) const { return reverse ? count - 1 - step : step; }
  std::int64_t rows_at(std::int64_t time) const {
    return rows.empty() ? batch : rows[static_cast<std::size_t>(time)];
  }
  /// A sequence, (time, batch, ...), with zeros past the ends.
  Tensor without_padding(const Tensor& x) const { return rows.empty() ? x : masked_fill(x, padding, 0); }
  Variable without_padding(const Variable& x) const { return rows.empty() ? x : masked_fill(x, padding, 0); }
};

/// What a layer reads: a sequence, (time, batch, in); or the rows of a table, (count, in), that ids, (time,
/// batch), name. With a table its rows are multiplied by the weights, and the products are gathered: exact,
/// and less work where there are fewer rows than ids.
struct SequenceInput {
  Variable x;
  Indices ids = {};
  bool is_table = false;

  std::int64_t steps() const { return is_table ? ids.dim(0) : x.dim(0); }
  std::int64_t batch() const { return is_table ? ids.dim(1) : x.dim(1); }
  /// The input's part of the pre-activations, (time, batch, gates * width).
  Variable project(const Variable& weight, const Variable& bias, Where where) const {
    const Variable product = linear(x, weight, bias, where);
    return is_table ? gather_rows(product, ids, where) : product;
  }
};

/// The weights of one layer in one direction, on whatever tape they are. Biases may have no value.
struct SequenceWeights {
  const Variable &weight_ih, &weight_hh, &bias_ih, &bias_hh;
};

/// The bias of the input's part of the pre-activations; has no value where the layer has none.
template <class Cell>
Variable input_bias(const SequenceWeights& w) {
  return Cell::separate || !w.bias_ih.value().defined() ? w.bias_ih : w.bias_ih + w.bias_hh;
}

/// h after every step, (time, batch, width), with zeros past a sequence's end; and the state after the last
/// step, (batch, width) each.
template <class Cell>
using SequenceResult = std::pair<Variable, typename Cell::State>;

/// The gradient of weight_hh, as one product over all steps but the first, and one for that. d_from_h: (time,
/// batch, gates * width), the gradient of the products; h0: (batch, width), before the first step; h: (time,
/// batch, width).
Tensor recurrent_weight_gradient(const Tensor& d_from_h, const Tensor& h0, const Tensor& h, bool reverse);

/// to += h W^T for the steps of a layer, each gate's part of the (gates * width, width) W by itself; then
/// done(begin, end) for units that are ready, on the thread that made them. W is packed once for many steps,
/// and read where it stands for one alone, also where it is compact.
template <class T, std::size_t gates>
class RecurrentProduct {
 public:
  RecurrentProduct(const Tensor& weight_hh, std::int64_t steps)
      : width_(weight_hh.dim(1)), packs_(steps > 1) {
    if (is_compact(weight_hh.dtype()) && !packs_) {
      compact_ = &gradus::detail::compact_matrix(weight_hh);
      return;
    }
    const Tensor whole = weight_hh.to(computing_dtype(weight_hh.dtype()));
    weight_ = whole.data<T>();
    for (std::size_t g = 0; packs_ && g < gates; ++g) {
      packed_[g] = {weight_ + static_cast<std::int64_t>(g) * width_ * width_, width_, true, width_, width_};
    }
  }
  void operator()(std::int64_t batch, const T* h, T* to,
                  FunctionRef<void(std::int64_t, std::int64_t)> done) const {
    constexpr auto count = static_cast<std::int64_t>(gates);
    if (packs_) return kernels::gemm_packed<T>(batch, h, width_, packed_, to, count * width_, T{1}, done);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (compact_ != nullptr) {
        gradus::detail::multiply_compact(*compact_, h, batch, nullptr, true, to);
        return done(0, width_);
      }
    }
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
                                   .beta = T{1},
                                   .precision = matmul_precision()});
    done(0, width_);
  }

 private:
  const T* weight_ = nullptr;  // of one step alone, whose W lives on
  const gradus::detail::CompactMatrix* compact_ = nullptr;
  std::int64_t width_;
  bool packs_;
  std::array<kernels::PackedMatrix<T>, gates> packed_;
};

/// The steps in plain ops. from_x: (time, batch, gates * width); the state's parts: (batch, width).
template <class Cell>
SequenceResult<Cell> steps_by_ops(const Cell& cell, const Steps& steps, const Variable& from_x,
                                  typename Cell::State state, const Variable& weight_hh,
                                  const Variable& bias_hh) {
  using State = typename Cell::State;
  const std::vector<Variable> xs = unstack(from_x);
  std::vector<Variable> out(xs.size());
  for (std::int64_t step = 0; step < steps.count; ++step) {
    const std::int64_t t = steps.time(step), rows = steps.rows_at(t);
    const bool all = rows == steps.batch;
    State before = state;
    Variable x = xs[static_cast<std::size_t>(t)];
    if (!all) {
      x = slice(x, 0, 0, rows);
      for (Variable* part : State::parts(before)) *part = slice(*part, 0, 0, rows);
    }
    State after = cell.step(x, linear(before.h, weight_hh, Cell::separate ? bias_hh : Variable()), before);
    const auto now = State::parts(after), whole = State::parts(state);
    for (std::size_t i = 0; i < now.size(); ++i)
      *whole[i] = all ? *now[i] : concat({*now[i], slice(*whole[i], 0, rows, steps.batch)}, 0);
    out[static_cast<std::size_t>(t)] = state.h;
  }
  return {steps.without_padding(stack(out)), std::move(state)};
}

/// What makes the input's part of the pre-activations again; these are constants.
struct Again {
  SequenceInput input;
  Variable weight, bias;

  Tensor from_x() const { return input.project(weight, bias, Where::here()).value(); }
};

template <TwiceFusedCell Cell>
class FusedSequenceGradient;

/// The steps as one node of the tape: computes them when made, and then is the node's gradient.
template <FusedCell Cell>
class FusedSequence {
  using State = typename Cell::State;
  static constexpr std::size_t parts = part_count<State>;
  static constexpr std::int64_t gates = Cell::gates;

 public:
  /// The input's part of the pre-activations, the state's parts, weight_hh, and bias_hh for a cell that has
  /// it apart. The first one needs no value.
  using Inputs = std::array<Variable, 1 + parts + (Cell::separate ? 2 : 1)>;
  /// h after every step and the state's parts after the last.
  using Results = std::array<Tensor, 1 + parts>;

  /// from_x: the value of the first input, whose memory becomes the gates'; `again` computes it again.
  FusedSequence(const Cell& cell, const Steps& steps, Tensor from_x, const Inputs& inputs, const Again& again)
      : cell_(cell), steps_(steps), inputs_(inputs), again_(again), gates_(std::move(from_x)) {
    const Shape shape{steps.count, steps.batch, weight_hh().dim(1)};
    const Dtype dtype = computing_dtype(weight_hh().dtype());
    for (std::size_t i = 0; i < parts; ++i)
      states_[i] = Cell::in_place && i == 0 ? std::move(gates_) : Tensor::uninitialized(shape, dtype);
    if (Cell::separate) from_h_ = Tensor::uninitialized_like(gates_);
    if (Cell::kept > 0 && cell.keeps())
      kept_ = Tensor::uninitialized(shape.with(2, Cell::kept * shape[2]), dtype);
    visit_dtype(dtype, [&](auto tag) { forward<decltype(tag)>(); });
  }

  Results results() const {
    Results out{steps_.without_padding(states_[0])};
    for (std::size_t i = 0; i < parts; ++i) out[1 + i] = states_[i][steps_.time(steps_.count - 1)];
    return out;
  }

  /// g: the gradients of the results, undefined where nothing depends on one.
  void operator()(std::span<const Tensor> g, std::span<const bool> wanted, std::span<Tensor> into) {
    gradients(g, wanted, into, nullptr);
  }
  /// The same, recorded.
  std::vector<Variable> operator()(std::span<const Variable> g) {
    if constexpr (TwiceFusedCell<Cell>) {
      return FusedSequenceGradient<Cell>::record_for(*this, g);
    } else {
      return gradients_by_ops(g, fresh_inputs());
    }
  }

 private:
  template <TwiceFusedCell>
  friend class FusedSequenceGradient;

  /// Returns the gradient of from_h, which may be that of from_x. d_states: if not null, takes the gradients
  /// of the state after each step, (time, batch, width) each.
  Tensor gradients(std::span<const Tensor> g, std::span<const bool> wanted, std::span<Tensor> into,
                   std::array<Tensor, parts>* d_states) {
    Tensor d_from_h;
    visit_dtype(weight_hh().dtype(), [&](auto tag) { backward<decltype(tag)>(g, into, d_from_h, d_states); });
    into[0] = steps_.without_padding(into[0]);
    d_from_h = Cell::separate ? steps_.without_padding(d_from_h) : into[0];
    if (wanted[1 + parts]) {
      into[1 + parts] = recurrent_weight_gradient(d_from_h, inputs_[1].value(), states_[0], steps_.reverse);
    }
    if (Cell::separate && wanted[2 + parts]) into[2 + parts] = sum(d_from_h, {0, 1});
    return d_from_h;
  }

  /// The inputs as nodes of their own, so that derivatives are partial even where one depends on another.
  std::vector<Variable> fresh_inputs() const {
    std::vector<Variable> fresh{identity(Variable(again_.from_x(), inputs_[0].place()))};
    for (std::size_t i = 1; i < inputs_.size(); ++i) fresh.push_back(identity(inputs_[i]));
    return fresh;
  }
  /// In differentiable ops: computes the steps again in them, from such inputs, and differentiates that.
  std::vector<Variable> gradients_by_ops(std::span<const Variable> g,
                                         const std::vector<Variable>& fresh) const {
    const auto start = state_of<State>([&](std::size_t i) { return fresh[1 + i]; });
    auto [out, last] = steps_by_ops(cell_, steps_, fresh[0], start, fresh[1 + parts], fresh.back());
    Variable total(Tensor::scalar(0, out.dtype()));
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (g[i].value().defined()) total = total + sum((i == 0 ? out : *State::parts(last)[i - 1]) * g[i]);
    }
    return grad(total, fresh);
  }

  const Tensor& weight_hh() const { return inputs_[1 + parts].value(); }

  /// A step's rows of a sequence, or null where there is none; T is const for reading.
  template <class T, class Sequence>
  T* rows_of(Sequence& sequence, std::int64_t t) const {
    if (!sequence.defined()) return nullptr;
    const std::int64_t offset = t * (sequence.size() / steps_.count);
    if constexpr (std::is_const_v<T>) {
      return sequence.template data<std::remove_const_t<T>>() + offset;
    } else {
      return sequence.template mutable_data<T>() + offset;
    }
  }
  template <class T>
  FusedStep<T, parts> at(std::int64_t step) {
    const std::int64_t t = steps_.time(step);
    FusedStep<T, parts> out{rows_of<T>(gates_, t), rows_of<T>(from_h_, t), rows_of<T>(kept_, t), {}, {}};
    for (std::size_t i = 0; i < parts; ++i) {
      out.before[i] = step == 0 ? inputs_[1 + i].value().template data<std::remove_const_t<T>>()
                                : rows_of<const T>(states_[i], steps_.time(step - 1));
      out.after[i] = rows_of<T>(states_[i], t);
    }
    if (Cell::in_place) out.gates = out.after[0];
    return out;
  }

  template <class T>
  void forward() {
    const std::int64_t width = weight_hh().dim(1);
    const RecurrentProduct<T, gates> add_product(weight_hh(), steps_.count);
    if constexpr (Cell::separate) {
      const T* const bias = inputs_.back().value().template data<T>();
      T* const to = from_h_.mutable_data<T>();
      for (std::int64_t row = 0; row < steps_.count * steps_.batch; ++row)
        std::copy_n(bias, gates * width, to + row * gates * width);
    }
    for (std::int64_t step = 0; step < steps_.count; ++step) {
      const FusedStep<T, parts> here = at<T>(step);
      const std::int64_t rows = steps_.rows_at(steps_.time(step));
      const auto units = [&](std::int64_t begin, std::int64_t end) {
        cell_.template forward<T>({rows, width, begin, end}, here);
      };
      if (rows > 0) add_product(rows, here.before[0], Cell::separate ? here.from_h : here.gates, units);
      for (std::size_t i = 0; i < parts; ++i)
        std::copy_n(here.before[i] + rows * width, (steps_.batch - rows) * width,
                    here.after[i] + rows * width);
    }
  }

  /// Sets the gradients of from_x, of the state before, and for a cell that has from_h apart of that.
  template <class T>
  void backward(std::span<const Tensor> g, std::span<Tensor> into, Tensor& d_from_h,
                std::array<Tensor, parts>* d_states) {
    const std::int64_t batch = steps_.batch, width = weight_hh().dim(1), all_gates = gates * width;
    into[0] = Tensor::uninitialized({steps_.count, batch, all_gates}, weight_hh().dtype());
    if (Cell::separate) d_from_h = Tensor::uninitialized_like(into[0]);
    std::array<T*, parts> d_state;
    for (std::size_t i = 0; i < parts; ++i) {
      into[1 + i] = g[1 + i].defined() ? g[1 + i] : zeros({batch, width}, weight_hh().dtype());
      d_state[i] = into[1 + i].mutable_data<T>();
    }
    std::array<T*, parts> kept_d_state{};
    for (std::size_t i = 0; i < parts && d_states != nullptr; ++i) {
      (*d_states)[i] = zeros({steps_.count, batch, width}, weight_hh().dtype());
      kept_d_state[i] = (*d_states)[i].template mutable_data<T>();
    }
    T* const dh = d_state[0];
    T* const d_gates = into[0].mutable_data<T>();
    T* const d_product = Cell::separate ? d_from_h.mutable_data<T>() : d_gates;
    constexpr T keeps = Cell::reads_h ? T{1} : T{0};
    const std::array recurrent{
        kernels::PackedMatrix<T>(weight_hh().template data<T>(), width, false, all_gates, width)};
    for (std::int64_t step = steps_.count; step-- > 0;) {
      const std::int64_t t = steps_.time(step), rows = steps_.rows_at(t), offset = t * batch * all_gates;
      const FusedGradient<T, parts> here{at<const T>(step), d_state, d_gates + offset, d_product + offset};
      const auto units = [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t b = 0; b < rows && g[0].defined(); ++b) {
          const std::int64_t first = b * width + begin;
          kernels::add_scaled<T>(T{1}, g[0].data<T>() + t * batch * width + first, dh + first, end - begin);
        }
        for (std::size_t i = 0; i < parts && d_states != nullptr; ++i) {
          for (std::int64_t first = begin; first < rows * width; first += width)
            std::copy_n(d_state[i] + first, end - begin, kept_d_state[i] + t * batch * width + first);
        }
        cell_.template backward<T>({rows, width, begin, end}, here);
      };
      const std::int64_t later = step + 1 < steps_.count ? steps_.time(step + 1) : 0;
      if (step + 1 == steps_.count || steps_.rows_at(later) == 0) {
        units(0, width);
      } else {
        kernels::gemm_packed<T>(steps_.rows_at(later), d_product + later * batch * all_gates, all_gates,
                                recurrent, dh, width, keeps, units);
      }
    }
    const std::int64_t first = steps_.time(0);
    kernels::gemm_packed<T>(steps_.rows_at(first), d_product + first * batch * all_gates, all_gates,
                            recurrent.front(), dh, width, keeps);
  }

  Cell cell_;
  Steps steps_;
  Inputs inputs_;
  Again again_;
  // (time, batch, ...); see FusedStep. What is not needed is undefined.
  Tensor gates_, from_h_, kept_;
  std::array<Tensor, parts> states_;
};

/// A cell over a sequence in plain ops. start: (batch, width) each.
template <class Cell>
SequenceResult<Cell> over_sequence_by_ops(const Cell& cell, const Steps& steps, const SequenceInput& input,
                                          const typename Cell::State& start, const SequenceWeights& w,
                                          Where where = Where::here()) {
  const Variable from_x = input.project(w.weight_ih, input_bias<Cell>(w), where);
  return steps_by_ops(cell, steps, from_x, start, w.weight_hh, w.bias_hh);
}

/// The same, by the fused form of a cell that has one.
template <class Cell>
SequenceResult<Cell> over_sequence(const Cell& cell, const Steps& steps, const SequenceInput& input,
                                   const typename Cell::State& start, const SequenceWeights& w,
                                   Where where = Where::here()) {
  using State = typename Cell::State;
  if constexpr (FusedCell<Cell>) {
    constexpr std::size_t parts = part_count<State>;
    const Variable bias = input_bias<Cell>(w);
    const Again again{{gradus::detach(input.x), input.ids, input.is_table},
                      gradus::detach(w.weight_ih),
                      gradus::detach(bias)};
    Variable from_x = input.project(w.weight_ih, bias, where);
    const bool checked = recording() && gradus::detail::active_head->checks;  // looks at the values of inputs
    typename FusedSequence<Cell>::Inputs inputs{checked ? from_x : Variable(Tensor(), from_x.place())};
    for (std::size_t i = 0; i < parts; ++i) inputs[1 + i] = *State::parts(start)[i];
    inputs[1 + parts] = w.weight_hh;
    if (Cell::separate) {
      const bool given = w.bias_hh.value().defined();
      inputs.back() =
          given ? w.bias_hh : Variable(zeros({w.weight_hh.dim(0)}, computing_dtype(w.weight_hh.dtype())));
    }
    FusedSequence<Cell> sequence(cell, steps, std::move(from_x).take(), inputs, again);
    const auto results = sequence.results();
    const auto recorded = record({Cell::op, where}, results, jointly(inputs, std::move(sequence)));
    return {recorded[0], state_of<State>([&](std::size_t i) { return recorded[1 + i]; })};
  } else {
    return over_sequence_by_ops(cell, steps, input, start, w, where);
  }
}

}  // namespace gradus::nn

#include "nn/sequence_twice.hpp"
