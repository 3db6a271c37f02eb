#pragma once

// Internal: the second derivative of a fused sequence; for nn/sequence.hpp, which includes it.

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "nn/sequence.hpp"

namespace gradus::nn {

/// The gradient of a fused sequence as a node of the tape, when a sweep is recorded, and then that node's
/// gradient.
///
/// The gradient is a function of the results' gradients g and of the sequence's inputs x. For gradients v of
/// what it gives, its own gradient is, since second derivatives are symmetric, for g the tangent of the
/// results in the direction v of x, and for x the tangent of the gradient, g held fixed: a sweep of tangents
/// forward through the steps and one of them back (Pearlmutter 1994, "Fast exact multiplication by the
/// Hessian").
template <TwiceFusedCell Cell>
class FusedSequenceGradient {
  using Sequence = FusedSequence<Cell>;
  using State = typename Cell::State;
  static constexpr std::size_t parts = part_count<State>;
  static constexpr std::int64_t gates = Cell::gates;
  static constexpr std::size_t of_weight = 1 + parts;
  static constexpr std::size_t inputs = std::tuple_size_v<typename Sequence::Inputs>;

 public:
  /// The gradients of the sequence's inputs, recorded; undefined for constants.
  static std::vector<Variable> record_for(Sequence& sequence, std::span<const Variable> g) {
    FusedSequenceGradient made(sequence, g);
    std::array<bool, inputs> wanted;
    std::array<Tensor, inputs> into;
    for (std::size_t i = 0; i < inputs; ++i) wanted[i] = !sequence.inputs_[i].is_constant();
    std::vector<Tensor> gs;
    for (const Variable& one : g) gs.push_back(one.value());
    made.d_from_h_ = sequence.gradients(gs, wanted, into, &made.d_states_);
    made.d_from_x_ = into[0];

    std::vector<Variable> arguments(sequence.inputs_.begin(), sequence.inputs_.end());
    for (const Variable& one : g)
      if (one.value().defined()) arguments.push_back(one);
    std::vector<Tensor> values;
    for (std::size_t i = 0; i < inputs; ++i) {
      if (!wanted[i]) continue;
      made.given_.push_back(i);
      values.push_back(std::move(into[i]));
    }
    const std::vector<std::size_t> given = made.given_;
    const std::vector<Variable> recorded =
        record("recurrent_gradient", std::move(values), jointly(arguments, std::move(made)));
    std::vector<Variable> out(inputs);
    for (std::size_t i = 0; i < given.size(); ++i) out[given[i]] = recorded[i];
    return out;
  }

  /// v: the gradients of what `record_for` gave, undefined where nothing depends on one. `into` has those of
  /// the inputs, and then of the results' gradients that are there.
  void operator()(std::span<const Tensor> v, std::span<const bool> wanted, std::span<Tensor> into) {
    std::array<Tensor, inputs> direction;
    for (std::size_t i = 0; i < v.size(); ++i) direction[given_[i]] = v[i];
    const bool weight_moves = direction[of_weight].defined();
    fill_in(direction);
    Tensor from_x = direction[0], from_h;
    if (Cell::separate) from_h = broadcast_to(direction[inputs - 1], from_x.shape());
    Tensor to_before;  // (time * batch, width), what the direction of the weights adds to the state before a
                       // step
    if (weight_moves) {
      const Shape shape = from_x.shape();
      Tensor& product = Cell::separate ? from_h : from_x;
      product = flat(product);
      add_matmul(product, flat(before_steps(sequence_.inputs_[1].value(), sequence_.states_[0])),
                 direction[of_weight], {.transpose_b = true});
      product = product.reshape(shape);
      to_before = matmul(flat(d_from_h_), direction[of_weight]);
    }
    std::array<Tensor, parts> states;  // tangents, (time, batch, width)
    for (std::size_t i = 0; i < parts; ++i) states[i] = Tensor::uninitialized_like(sequence_.states_[i]);
    std::span<Tensor> of_inputs = into.first(inputs);
    Tensor d_from_h;
    visit_dtype(from_x.dtype(), [&](auto tag) {
      using T = decltype(tag);
      forward<T>(from_x, from_h, direction, states);
      d_from_h = backward<T>(from_x, from_h, direction, states, to_before, of_inputs);
    });
    give_results(states, into.subspan(inputs));
    const Steps& steps = sequence_.steps_;
    of_inputs[0] = steps.without_padding(of_inputs[0]);
    d_from_h = Cell::separate ? steps.without_padding(d_from_h) : of_inputs[0];
    const std::span<const bool> of_input = wanted.first(inputs);
    if (of_input[of_weight]) {
      of_inputs[of_weight] = recurrent_weight_gradient(d_from_h, sequence_.inputs_[1].value(),
                                                       sequence_.states_[0], steps.reverse);
      of_inputs[of_weight] += recurrent_weight_gradient(d_from_h_, direction[1], states[0], steps.reverse);
    }
    if (Cell::separate && of_input[inputs - 1]) of_inputs[inputs - 1] = sum(d_from_h, {0, 1});
  }

  /// In differentiable ops: computes the steps and their gradient again in them, and differentiates that.
  std::vector<Variable> operator()(std::span<const Variable> v) const {
    const std::vector<Variable> fresh = sequence_.fresh_inputs();
    std::vector<Variable> arguments = fresh, gs;
    for (const Variable& one : g_) {
      gs.push_back(one.value().defined() ? identity(one) : Variable());
      if (one.value().defined()) arguments.push_back(gs.back());
    }
    const std::vector<Variable> gradients = sequence_.gradients_by_ops(gs, fresh);
    Variable total(Tensor::scalar(0, gradients.front().dtype()));
    for (std::size_t i = 0; i < v.size(); ++i)
      if (v[i].value().defined()) total = total + sum(gradients[given_[i]] * v[i]);
    return grad(total, arguments);
  }

 private:
  FusedSequenceGradient(const Sequence& sequence, std::span<const Variable> g)
      : sequence_(sequence), g_(g.begin(), g.end()) {}

  static Tensor flat(const Tensor& x) { return x.reshape({x.dim(0) * x.dim(1), x.dim(2)}); }

  /// Zeros where there is no direction; the weights need none.
  void fill_in(std::array<Tensor, inputs>& direction) const {
    for (std::size_t i = 0; i < inputs; ++i) {
      if (direction[i].defined() || i == of_weight) continue;
      direction[i] = i == 0 ? zeros_like(d_from_x_) : zeros_like(sequence_.inputs_[i].value());
    }
  }
  /// What stood before each step: (time, batch, width) of what stands after it.
  Tensor before_steps(const Tensor& first, const Tensor& after) const {
    const Shape one{1, after.dim(1), after.dim(2)};
    const std::int64_t count = after.dim(0);
    if (sequence_.steps_.reverse) return concat({after.rows(1, count), first.reshape(one)}, 0);
    return concat({first.reshape(one), after.rows(0, count - 1)}, 0);
  }
  template <class T>
  static const T* rows_of(const Tensor& sequence, std::int64_t t) {
    return sequence.defined() ? sequence.template data<T>() + t * (sequence.size() / sequence.dim(0))
                              : nullptr;
  }
  /// The tangents before a step.
  template <class T>
  std::array<const T*, parts> before(std::int64_t step, const std::array<Tensor, inputs>& direction,
                                     const std::array<Tensor, parts>& states) const {
    std::array<const T*, parts> out;
    for (std::size_t i = 0; i < parts; ++i) {
      out[i] = step == 0 ? direction[1 + i].template data<T>()
                         : rows_of<T>(states[i], sequence_.steps_.time(step - 1));
    }
    return out;
  }

  template <class T>
  void forward(Tensor& from_x, Tensor& from_h, const std::array<Tensor, inputs>& direction,
               std::array<Tensor, parts>& states) {
    const Steps& steps = sequence_.steps_;
    const std::int64_t batch = steps.batch, width = sequence_.weight_hh().dim(1);
    const RecurrentProduct<T, gates> add_product(sequence_.weight_hh(), steps.count);
    for (std::int64_t step = 0; step < steps.count; ++step) {
      const std::int64_t t = steps.time(step), rows = steps.rows_at(t), offset = t * batch * gates * width;
      T* const x = (Cell::separate ? from_h : from_x).template mutable_data<T>() + offset;
      FusedTangent<T, parts> here{sequence_.template at<const T>(step),
                                  rows_of<T>(from_x, t),
                                  rows_of<T>(from_h, t),
                                  before<T>(step, direction, states),
                                  {}};
      for (std::size_t i = 0; i < parts; ++i)
        here.after[i] = states[i].template mutable_data<T>() + t * batch * width;
      const auto units = [&](std::int64_t begin, std::int64_t end) {
        sequence_.cell_.template tangent<T>({rows, width, begin, end}, here);
      };
      if (rows > 0) add_product(rows, here.before[0], x, units);
      for (std::size_t i = 0; i < parts; ++i)
        std::copy_n(here.before[i] + rows * width, (batch - rows) * width, here.after[i] + rows * width);
    }
  }

  /// The tangents of the gradients of from_x and of the states before, and, where it stands apart, of from_h.
  /// to_before: as above; undefined where it adds nothing.
  template <class T>
  Tensor backward(const Tensor& from_x, const Tensor& from_h, const std::array<Tensor, inputs>& direction,
                  const std::array<Tensor, parts>& states, const Tensor& to_before, std::span<Tensor> into) {
    const Steps& steps = sequence_.steps_;
    const std::int64_t batch = steps.batch, width = sequence_.weight_hh().dim(1), all_gates = gates * width;
    into[0] = Tensor::uninitialized(from_x.shape(), from_x.dtype());
    Tensor d_from_h;
    if (Cell::separate) d_from_h = Tensor::uninitialized_like(into[0]);
    std::array<T*, parts> d_state;
    for (std::size_t i = 0; i < parts; ++i) {
      into[1 + i] = zeros({batch, width}, from_x.dtype());
      d_state[i] = into[1 + i].template mutable_data<T>();
    }
    T* const d_gates = into[0].template mutable_data<T>();
    T* const d_product = Cell::separate ? d_from_h.template mutable_data<T>() : d_gates;
    constexpr T keeps = Cell::reads_h ? T{1} : T{0};
    const std::array recurrent{
        kernels::PackedMatrix<T>(sequence_.weight_hh().template data<T>(), width, false, all_gates, width)};
    const auto add_to_state = [&](std::int64_t later, std::int64_t row, std::int64_t begin,
                                  std::int64_t end) {
      if (!to_before.defined()) return;
      kernels::add_scaled<T>(T{1}, to_before.template data<T>() + (later * batch + row) * width + begin,
                             d_state[0] + row * width + begin, end - begin);
    };
    for (std::int64_t step = steps.count; step-- > 0;) {
      const std::int64_t t = steps.time(step), rows = steps.rows_at(t), offset = t * batch * all_gates;
      const std::int64_t later = step + 1 < steps.count ? steps.time(step + 1) : -1;
      const std::int64_t going_on = later < 0 ? 0 : steps.rows_at(later);  // sequences that take that step
      FusedGradientTangent<T, parts> here{sequence_.template at<const T>(step),
                                          rows_of<T>(from_x, t),
                                          rows_of<T>(from_h, t),
                                          before<T>(step, direction, states),
                                          {},
                                          {},
                                          d_state,
                                          d_gates + offset,
                                          d_product + offset};
      for (std::size_t i = 0; i < parts; ++i) {
        here.after[i] = rows_of<T>(states[i], t);
        here.d_state[i] = rows_of<T>(d_states_[i], t);
      }
      const auto units = [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = 0; row < going_on; ++row) add_to_state(later, row, begin, end);
        sequence_.cell_.template backward_tangent<T>({rows, width, begin, end}, here);
      };
      if (going_on == 0) {
        units(0, width);
      } else {
        kernels::gemm_packed<T>(going_on, d_product + later * batch * all_gates, all_gates, recurrent,
                                d_state[0], width, keeps, units);
      }
    }
    const std::int64_t first = steps.time(0), rows = steps.rows_at(first);
    kernels::gemm_packed<T>(rows, d_product + first * batch * all_gates, all_gates, recurrent.front(),
                            d_state[0], width, keeps);
    for (std::int64_t row = 0; row < rows; ++row) add_to_state(first, row, 0, width);
    return d_from_h;
  }

  /// The tangents of the results, as gradients of their gradients.
  void give_results(const std::array<Tensor, parts>& states, std::span<Tensor> into) const {
    const Steps& steps = sequence_.steps_;
    std::size_t next = 0;
    for (std::size_t i = 0; i < g_.size(); ++i) {
      if (!g_[i].value().defined()) continue;
      into[next++] = i == 0 ? steps.without_padding(states[0]) : states[i - 1][steps.time(steps.count - 1)];
    }
  }

  Sequence sequence_;
  std::vector<Variable> g_;
  std::vector<std::size_t> given_;  // which of the inputs' gradients are results
  Tensor d_from_x_, d_from_h_;      // the gradients of the pre-activations, (time, batch, gates * width)
  std::array<Tensor, parts>
      d_states_;  // (time, batch, width): those of the state after each step, with all parts
};

}  // namespace gradus::nn
