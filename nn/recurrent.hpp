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

struct RecurrentOptions {
  /// Each layer but the first reads the h of the one below.
  int layers = 1;
  /// Dropout between layers, when a generator is given to the call.
  double dropout = 0;
  /// Each layer is two, of which one reads the sequence backwards; the next layer reads the h of both, side
  /// by side, forward first.
  bool bidirectional = false;
};

/// The weights of one layer in one direction, named and laid out as PyTorch's.
struct RecurrentWeights {
  Parameter weight_ih;  // (gates * width, in)
  Parameter weight_hh;  // (gates * width, width)
  Parameter bias_ih;    // (gates * width)
  Parameter bias_hh;    // (gates * width)

  /// Uniform within 1/sqrt(width), as PyTorch's.
  RecurrentWeights(Rng& rng, std::int64_t gates, std::int64_t in, std::int64_t width);
};

template <class Cell>
struct RecurrentPart : RecurrentWeights {
  Cell cell;

  RecurrentPart(Rng& rng, std::int64_t in, std::int64_t width, const Cell& prototype)
      : RecurrentWeights(rng, Cell::gates, in, width), cell(prototype) {
    if constexpr (requires { cell.initialize(rng, width); }) cell.initialize(rng, width);
  }
};

/// The base of a layer, `struct Lstm : Recurrent<Lstm, LstmCell>`. Weights have PyTorch's names:
/// weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, with "_reverse" behind those of the backward
/// direction.
template <class Layer, class Cell>
struct Recurrent {
  using State = typename Cell::State;
  using Result = std::pair<Variable, State>;  // h, and the state after the last step
  /// Layer by layer, forward before backward.
  std::vector<RecurrentPart<Cell>> layers;
  RecurrentOptions options;

  /// Throws ArgumentError for widths or a number of layers below 1, or a dropout outside of [0, 1).
  Recurrent(Rng& rng, std::int64_t in, std::int64_t width, RecurrentOptions chosen = {},
            const Cell& cell = {});

  std::int64_t input_width() const { return layers.front().weight_ih.dim(1); }
  /// Of one direction's h.
  std::int64_t width() const { return layers.front().weight_hh.dim(1); }
  int directions() const { return options.bidirectional ? 2 : 1; }

  /// A state of zeros: (layers * directions, batch, width) for each part.
  State start(std::int64_t batch) const;

  /// x: (time, batch, in), to the last layer's h of every step, (time, batch, directions * width), and the
  /// state after the last. With a generator, dropout is applied between layers. Throws ShapeError and
  /// DtypeError.
  ///
  /// lengths, (batch), for sequences of several lengths, from 0 to time: the steps past a sequence's end
  /// change nothing. Its state stays as it is, h is 0 in the result, no gradient flows there, and the
  /// backward direction begins at its own last step. So it equals PyTorch's packed sequences.
  Result operator()(const Variable& x, const State& state, Rng* rng = nullptr, const Indices& lengths = {},
                    Where where = Where::here()) const;
  /// The same of the embeddings of ids, (time, batch). Where there are fewer embeddings than ids, as with
  /// characters, the first layer's product with the input is computed once an embedding and not once an id.
  /// What ids stand past a sequence's end does not matter, but they must be in range.
  Result operator()(const Embedding& embedding, const Indices& ids, const State& state, Rng* rng = nullptr,
                    const Indices& lengths = {}, Where where = Where::here()) const;
  /// A single step, x: (batch, in), to the last layer's h, (batch, width). Throws ArgumentError for a layer
  /// of both directions, whose backward one begins at the end.
  Result step(const Variable& x, const State& state, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit);

 private:
  Result run(SequenceInput input, State state, Rng* rng, const Indices& lengths, Where where) const;
};

/// True when projecting every embedding is less work than projecting those of all ids.
bool projects_table(const Embedding& embedding, const Indices& ids);

namespace detail {

void check_options(const std::string& name, std::int64_t in, std::int64_t width,
                   const RecurrentOptions& options);
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
  detail::check_options(gradus::detail::type_name<Layer>(), in, width, chosen);
  for (int i = 0; i < options.layers * directions(); ++i)
    layers.emplace_back(rng, i < directions() ? in : directions() * width, width, cell);
}

template <class Layer, class Cell>
auto Recurrent<Layer, Cell>::start(std::int64_t batch) const -> State {
  const Tensor zero =
      zeros({static_cast<std::int64_t>(layers.size()), batch, width()}, layers.front().weight_hh.dtype());
  return state_of<State>([&](std::size_t) { return Variable(zero); });
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
  for (Variable* part : State::parts(state)) {
    detail::check_state(*part, {static_cast<std::int64_t>(layers.size()), steps.batch, width()},
                        layers.front().weight_hh.dtype(), steps.count);
    *part = order.sorted(*part);
  }
  input = order.sorted(input);
  std::array<storage::PoolVector<Variable>, part_count<State>> last;
  for (std::size_t i = 0; i < layers.size();) {
    if (i > 0) input = {dropout(input.x, options.dropout, rng)};
    std::array<Variable, 2> out;
    for (int direction = 0; direction < directions(); ++direction, ++i) {
      const RecurrentPart<Cell>& w = layers[i];
      const auto before = state_of<State>(
          [&](std::size_t k) { return select(*State::parts(state)[k], static_cast<std::int64_t>(i)); });
      steps.reverse = direction == 1;
      auto [h, after] = over_sequence(w.cell, steps, input, before,
                                      {w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh}, where);
      out[static_cast<std::size_t>(direction)] = std::move(h);
      for (std::size_t k = 0; k < last.size(); ++k) last[k].push_back(*State::parts(after)[k]);
    }
    input = {options.bidirectional ? concat(out, 2, where) : out[0]};
  }
  return {order.unsorted(input.x),
          state_of<State>([&](std::size_t k) { return order.unsorted(stack(last[k])); })};
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
    if constexpr (Module<decltype(part.cell)>) std::remove_const_t<Cell>::members(part.cell, named);
  }
}

}  // namespace gradus::nn
