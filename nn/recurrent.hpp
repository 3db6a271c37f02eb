#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "autograd/module_path.hpp"
#include "nn/cell.hpp"
#include "nn/dropout.hpp"
#include "nn/embedding.hpp"
#include "nn/sequence.hpp"

/// The recurrent layer over any cell. nn/lstm.hpp, nn/gru.hpp and nn/rnn.hpp are it over three.
namespace gradus::nn {

struct LstmCell;

struct RecurrentOptions {
  /// Each layer but the first reads the h of the one below.
  int layers = 1;
  /// Dropout between layers, when a generator is given to the call; one mask for all steps where it is
  /// locked.
  double dropout = 0;
  bool locked_dropout = false;
  /// Each layer is two, of which one reads the sequence backwards; the next layer reads the h of both, side
  /// by side, forward first.
  bool bidirectional = false;
  /// DropConnect of the recurrent weights (Wan et al. 2013), as in AWD-LSTM (Merity, Keskar and Socher 2018):
  /// when a generator is given, each call drops elements of every weight_hh, the same ones in all its steps.
  double weight_dropout = 0;
  /// Which share of the units keeps its value of the step before; see zoneout in nn/dropout.hpp. In plain
  /// ops.
  Zoneout zoneout = {};
  /// Of an LSTM: h is made this wide by a matrix weight_hr; 0 for none. PyTorch's proj_size. In plain
  /// ops.
  std::int64_t projection = 0;
  /// The state before the first step is trained: parameters h_0 and c_0, (layers * directions, 1, width), of
  /// zeros at first.
  bool learned_start = false;
  /// Whether there are bias_ih and bias_hh.
  bool bias = true;
};

/// The weights of one layer in one direction, named and laid out as PyTorch's.
struct RecurrentWeights {
  Parameter weight_ih;  // (gates * width, in)
  Parameter weight_hh;  // (gates * width, width), or (gates * width, projection)
  Parameter bias_ih;    // (gates * width), or without a value
  Parameter bias_hh;    // (gates * width), or without a value
  Parameter weight_hr;  // (projection, width), or without a value

  /// Uniform within 1/sqrt(width), as PyTorch's.
  RecurrentWeights(Rng& rng, std::int64_t gates, std::int64_t in, std::int64_t width, bool bias = true,
                   std::int64_t projection = 0);
};

template <class Cell>
struct RecurrentPart : RecurrentWeights {
  Cell cell;

  RecurrentPart(Rng& rng, std::int64_t in, std::int64_t width, const Cell& prototype, bool bias = true,
                std::int64_t projection = 0)
      : RecurrentWeights(rng, Cell::gates, in, width, bias && Cell::biased, projection), cell(prototype) {
    if constexpr (requires { cell.initialize(rng, width); }) cell.initialize(rng, width);
  }
};

/// The base of a layer, `struct Lstm : Recurrent<Lstm, LstmCell>`. Weights have PyTorch's names:
/// weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_hr_l0, with "_reverse" behind those of the
/// backward direction.
///
/// A generator given to a call turns dropout, weight_dropout and zoneout on. They draw from it in the order
/// of the layers and steps, so its state (nn/dropout.hpp) is all that a resumed run needs.
template <class Layer, class Cell>
struct Recurrent {
  using State = typename Cell::State;
  using Result = std::pair<Variable, State>;  // h, and the state after the last step
  /// Layer by layer, forward before backward.
  std::vector<RecurrentPart<Cell>> layers;
  RecurrentOptions options;
  /// With learned_start: h_0, c_0, (layers * directions, 1, width) each.
  std::array<Parameter, part_count<State>> starts;

  /// Throws ArgumentError for widths or a number of layers below 1, for rates outside of [0, 1), and for a
  /// projection of another cell than an LSTM's or that is not narrower than the layer.
  Recurrent(Rng& rng, std::int64_t in, std::int64_t width, RecurrentOptions chosen = {},
            const Cell& cell = {});

  std::int64_t input_width() const { return layers.front().weight_ih.dim(1); }
  /// Of one direction's h.
  std::int64_t width() const { return layers.front().weight_hh.dim(1); }
  /// Of the other parts of the state: wider than h where that is projected.
  std::int64_t cell_width() const { return layers.front().weight_hh.dim(0) / Cell::gates; }
  int directions() const { return options.bidirectional ? 2 : 1; }

  /// A state of zeros: (layers * directions, batch, width) for each part. With learned_start the parameters
  /// themselves, (layers * directions, 1, width), which a call spreads over the batch.
  State start(std::int64_t batch) const;

  /// x: (time, batch, in), to the last layer's h of every step, (time, batch, directions * width), and the
  /// state after the last. A generator turns dropout, weight_dropout and zoneout on. Throws ShapeError and
  /// DtypeError.
  ///
  /// lengths, (batch), for sequences of several lengths, from 0 to time: the steps past a sequence's end
  /// change nothing. Its state stays as it is, h is 0 in the result, no gradient flows there, and the
  /// backward direction begins at its own last step. So it equals PyTorch's packed sequences.
  Result operator()(const Variable& x, const State& state, Rng* rng = nullptr, const Indices& lengths = {},
                    Where where = Where::here()) const;
  /// The same of the embeddings of ids, (time, batch). Where there are fewer embeddings than ids, as with
  /// characters, and none is padding, the first layer's product with the input is computed once an embedding
  /// and not once an id. What ids stand past a sequence's end does not matter, but they must be in range.
  Result operator()(const Embedding& embedding, const Indices& ids, const State& state, Rng* rng = nullptr,
                    const Indices& lengths = {}, Where where = Where::here()) const;
  /// The same for sequences of which a mask, (time, batch), says which steps are taken: those where it is not
  /// 0. The others change nothing, wherever they stand, as if the sequence were without them; h is 0 there.
  Result masked(const Variable& x, const Tensor& mask, const State& state, Rng* rng = nullptr,
                Where where = Where::here()) const;
  /// A single step, x: (batch, in), to the last layer's h, (batch, width). Throws ArgumentError for a layer
  /// of both directions, whose backward one begins at the end. Without dropout, as in evaluation.
  Result step(const Variable& x, const State& state, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit);

 private:
  Result run(SequenceInput input, State state, Rng* rng, const Indices& lengths, Where where) const;
  SequenceResult<Cell> run_layer(const RecurrentPart<Cell>& part, const Steps& steps,
                                 const SequenceInput& input, const State& before, Rng* rng,
                                 Where where) const;
};

/// Sets the forget gates' biases, so that an LSTM remembers at first: their rows of bias_ih become the value,
/// commonly 1, and those of bias_hh 0, in all layers (Gers, Schmidhuber and Cummins 2000; Jozefowicz, Zaremba
/// and Sutskever 2015). Throws ArgumentError for a layer without biases.
template <class Layer>
void set_forget_bias(Layer& layer, double value = 1);

/// True when projecting every embedding is less work than projecting those of all ids.
bool projects_table(const Embedding& embedding, const Indices& ids);

namespace detail {

void check_options(const std::string& name, std::int64_t in, std::int64_t width,
                   const RecurrentOptions& options, bool has_projection);
/// Sets the rows of gate number `gate` of a layer's biases to the value and to 0.
void set_gate_bias(Parameter& bias, Parameter& other, int gate, int gates, double value);

/// A cell whose state is changed after each step: h projected, and some units kept as they were. In plain
/// ops.
template <class Cell>
struct ChangedCell : RecurrentCell {
  using State = typename Cell::State;
  static constexpr int gates = Cell::gates;
  static constexpr bool separate = Cell::separate;
  const Cell& cell;
  const Variable& projection;  // (projection, width), or without a value
  const Zoneout& rates;
  Rng* rng;

  ChangedCell(const Cell& of, const Variable& weight_hr, const Zoneout& zoneout_rates, Rng* generator)
      : cell(of), projection(weight_hr), rates(zoneout_rates), rng(generator) {}

  State step(const Variable& from_x, const Variable& from_h, const State& before) const {
    State after = cell.step(from_x, from_h, before);
    if (projection.value().defined()) after.h = linear(after.h, projection, Variable());
    const auto old = State::parts(before);
    const auto now = State::parts(after);
    for (std::size_t i = 0; i < now.size(); ++i)
      *now[i] = zoneout(*old[i], *now[i], i == 0 ? rates.h : rates.c, rng);
    return after;
  }
};

/// The steps that a mask takes, moved to the front of their sequences.
struct MaskedSteps {
  /// Throws ShapeError unless the mask is (steps, batch).
  MaskedSteps(const Tensor& mask, std::int64_t steps, std::int64_t batch);

  Indices lengths;  // (batch)
  // (time * batch), of entries of (time, batch); empty where they stood so already:
  Indices to_front, and_back;

  static Variable moved(const Variable& x, const Indices& to);
};
/// Throws ShapeError unless x is (time, batch, in) with time > 0.
void check_sequence(const Variable& x, std::int64_t in);
/// The same for ids, (time, batch), and their embeddings.
void check_tokens(const Embedding& embedding, const Indices& ids, std::int64_t in);
/// Throws ShapeError or DtypeError unless a part of a state has the shape, and the dtype of the weights.
/// `steps` is the input's time, for which its batch may have been taken.
void check_state(const Variable& part, const Shape& wanted, Dtype dtype, std::int64_t steps);

/// The order in which `Steps` wants the sequences of a batch, longest first.
struct SortedLengths {
  /// Without lengths, all sequences have all steps. Throws ShapeError unless there is one from 0 to `count`
  /// for each sequence.
  SortedLengths(const Indices& lengths, std::int64_t count, std::int64_t batch);

  Steps steps;
  Indices order, back;  // which sequence comes where, and where each came; empty where they stood so already

  /// (.., batch, width) in this order, and back in the caller's.
  Variable sorted(const Variable& x) const { return moved(x, order); }
  Variable unsorted(const Variable& x) const { return moved(x, back); }
  /// And with zeros past the ends.
  SequenceInput sorted(const SequenceInput& input) const;

 private:
  static Variable moved(const Variable& x, const Indices& to) {
    return to.size() == 0 ? x : index_select(x, 1, to);
  }
};

}  // namespace detail

template <class Layer, class Cell>
Recurrent<Layer, Cell>::Recurrent(Rng& rng, std::int64_t in, std::int64_t width, RecurrentOptions chosen,
                                  const Cell& cell)
    : options(chosen) {
  detail::check_options(gradus::detail::type_name<Layer>(), in, width, chosen,
                        std::is_same_v<Cell, LstmCell>);
  if (part_count<State> == 1 && chosen.zoneout.c != 0) {
    fail<ArgumentError>("{}: zoneout.c is for an LSTM's c; the state of this layer is h alone",
                        gradus::detail::type_name<Layer>());
  }
  const std::int64_t handed_on = chosen.projection > 0 ? chosen.projection : width;
  for (int i = 0; i < options.layers * directions(); ++i)
    layers.emplace_back(rng, i < directions() ? in : directions() * handed_on, width, cell, chosen.bias,
                        chosen.projection);
  for (std::size_t i = 0; chosen.learned_start && i < starts.size(); ++i)
    starts[i] = Parameter(zeros({static_cast<std::int64_t>(layers.size()), 1, i == 0 ? handed_on : width}));
}

template <class Layer, class Cell>
auto Recurrent<Layer, Cell>::start(std::int64_t batch) const -> State {
  const Shape shape{static_cast<std::int64_t>(layers.size()), batch, width()};
  const Tensor zero = zeros(shape, computing_dtype(layers.front().weight_hh.dtype()));
  return state_of<State>([&](std::size_t i) {
    if (options.learned_start) return Variable(starts[i]);
    return Variable(i == 0 || cell_width() == width() ? zero
                                                      : zeros(shape.with(2, cell_width()), zero.dtype()));
  });
}

template <class Layer, class Cell>
auto Recurrent<Layer, Cell>::operator()(const Variable& x, const State& state, Rng* rng,
                                        const Indices& lengths, Where where) const -> Result {
  const InModule here(static_cast<const Layer&>(*this));
  const InOp call("recurrent", where);
  detail::check_sequence(x, input_width());
  return run({x}, state, rng, lengths, where);
}

template <class Layer, class Cell>
auto Recurrent<Layer, Cell>::operator()(const Embedding& embedding, const Indices& ids, const State& state,
                                        Rng* rng, const Indices& lengths, Where where) const -> Result {
  if (!projects_table(embedding, ids)) return (*this)(embedding(ids, where), state, rng, lengths, where);
  const InModule here(static_cast<const Layer&>(*this));
  const InOp call("recurrent", where);
  detail::check_tokens(embedding, ids, input_width());
  return run({embedding.weight, ids, true}, state, rng, lengths, where);
}

template <class Layer, class Cell>
auto Recurrent<Layer, Cell>::masked(const Variable& x, const Tensor& mask, const State& state, Rng* rng,
                                    Where where) const -> Result {
  const InModule here(static_cast<const Layer&>(*this));
  const InOp call("recurrent", where);
  detail::check_sequence(x, input_width());
  const detail::MaskedSteps taken(mask, x.dim(0), x.dim(1));
  auto [h, last] = run({taken.moved(x, taken.to_front)}, state, rng, taken.lengths, where);
  return {taken.moved(h, taken.and_back), std::move(last)};
}

template <class Layer, class Cell>
auto Recurrent<Layer, Cell>::step(const Variable& x, const State& state, Where where) const -> Result {
  if (options.bidirectional) {
    const InModule here(static_cast<const Layer&>(*this));
    const InOp call("recurrent", where);
    fail<ArgumentError>(
        "a layer of both directions has no single step: its backward direction begins at the end");
  }
  auto [h, next] = (*this)(unsqueeze(x, 0, where), state, nullptr, {}, where);
  return {select(h, 0, where), std::move(next)};
}

template <class Layer, class Cell>
auto Recurrent<Layer, Cell>::run(SequenceInput input, State state, Rng* rng, const Indices& lengths,
                                 Where where) const -> Result {
  const detail::SortedLengths order(lengths, input.steps(), input.batch());
  Steps steps = order.steps;
  const Shape whole{static_cast<std::int64_t>(layers.size()), steps.batch, width()};
  const auto parts = State::parts(state);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Variable& part = *parts[i];
    const Shape wanted = i == 0 ? whole : whole.with(2, cell_width());
    if (options.learned_start && part.shape() == wanted.with(1, 1)) part = broadcast_to(part, wanted, where);
    detail::check_state(part, wanted, computing_dtype(layers.front().weight_hh.dtype()), steps.count);
    part = order.sorted(part);
  }
  input = order.sorted(input);
  std::array<storage::PoolVector<Variable>, part_count<State>> last;
  for (std::size_t i = 0; i < layers.size();) {
    if (i > 0) {
      input = {options.locked_dropout ? locked_dropout(input.x, options.dropout, rng)
                                      : dropout(input.x, options.dropout, rng)};
    }
    std::array<Variable, 2> out;
    for (int direction = 0; direction < directions(); ++direction, ++i) {
      const auto before = state_of<State>(
          [&](std::size_t k) { return select(*State::parts(state)[k], static_cast<std::int64_t>(i)); });
      steps.reverse = direction == 1;
      auto [h, after] = run_layer(layers[i], steps, input, before, rng, where);
      out[static_cast<std::size_t>(direction)] = std::move(h);
      for (std::size_t k = 0; k < last.size(); ++k) last[k].push_back(*State::parts(after)[k]);
    }
    input = {options.bidirectional ? concat(out, 2, where) : out[0]};
  }
  return {order.unsorted(input.x),
          state_of<State>([&](std::size_t k) { return order.unsorted(stack(last[k])); })};
}

template <class Layer, class Cell>
auto Recurrent<Layer, Cell>::run_layer(const RecurrentPart<Cell>& part, const Steps& steps,
                                       const SequenceInput& input, const State& before, Rng* rng,
                                       Where where) const -> SequenceResult<Cell> {
  const Variable weight_hh = dropout(part.weight_hh, options.weight_dropout, rng);
  const SequenceWeights weights{part.weight_ih, weight_hh, part.bias_ih, part.bias_hh};
  const Zoneout& rates = options.zoneout;
  if (options.projection == 0 && rates.h == 0 && rates.c == 0)
    return over_sequence(part.cell, steps, input, before, weights, where);
  return over_sequence_by_ops(detail::ChangedCell<Cell>(part.cell, part.weight_hr, rates, rng), steps, input,
                              before, weights, where);
}

template <class Layer>
void set_forget_bias(Layer& layer, double value) {
  for (auto& part : layer.layers) {
    using Cell = std::remove_reference_t<decltype(part.cell)>;
    if constexpr (Cell::biased) {
      detail::set_gate_bias(part.bias_ih, part.bias_hh, Cell::forget_gate, Cell::gates, value);
    } else {
      detail::set_gate_bias(part.cell.norm_ih.bias, part.cell.norm_hh.bias, Cell::forget_gate, Cell::gates,
                            value);
    }
  }
}

template <class Layer, class Cell>
void Recurrent<Layer, Cell>::members(auto& self, auto&& visit) {
  const auto directions = static_cast<std::size_t>(self.directions());
  for (std::size_t i = 0; i < self.layers.size(); ++i) {
    auto& part = self.layers[i];
    const auto named = [&](std::string_view name, auto& parameter) {
      // On the stack: an optimizer's step takes nothing from the heap.
      std::array<char, 64> text;
      const int size = std::snprintf(text.data(), text.size(), "%.*s_l%zu%s", static_cast<int>(name.size()),
                                     name.data(), i / directions, i % directions == 1 ? "_reverse" : "");
      visit(std::string_view(text.data(), std::min(static_cast<std::size_t>(size), text.size() - 1)),
            parameter);
    };
    named("weight_ih", part.weight_ih);
    named("weight_hh", part.weight_hh);
    named("bias_ih", part.bias_ih);
    named("bias_hh", part.bias_hh);
    named("weight_hr", part.weight_hr);
    if constexpr (Module<decltype(part.cell)>) std::remove_const_t<Cell>::members(part.cell, named);
  }
  constexpr std::array names{"h_0", "c_0", "state_2", "state_3"};
  static_assert(part_count<State> <= names.size(), "a state of more parts needs more names here");
  for (std::size_t i = 0; i < self.starts.size(); ++i) visit(names[i], self.starts[i]);
}

}  // namespace gradus::nn
