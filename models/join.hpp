#pragma once

// Internal: states of several texts as one state of a batch, for NeuralModel.

#include <cstdint>
#include <span>
#include <vector>

#include "autograd/ops/movement.hpp"
#include "models/networks.hpp"
#include "nn/cell.hpp"

namespace gradus::models::detail {

/// The axis of the batch of a part of a recurrent state, (layers, batch, width) or (batch, width).
inline int batch_axis(const Variable& part) {
  return part.rank() - 2;
}

/// The states side by side, as those of a batch.
template <nn::RecurrentState State>
State joined(std::span<const State> states) {
  return nn::state_of<State>([&](std::size_t k) {
    std::vector<Variable> parts;
    parts.reserve(states.size());
    for (const State& state : states) parts.push_back(*State::parts(state)[k]);
    return concat(parts, batch_axis(parts.front()));
  });
}
/// Entry i of a batch.
template <nn::RecurrentState State>
State entry(const State& all, std::int64_t i) {
  return nn::state_of<State>([&](std::size_t k) {
    const Variable& part = *State::parts(all)[k];
    return slice(part, batch_axis(part), i, i + 1);
  });
}

inline Window joined(std::span<const Window> states) {
  const std::int64_t reach = states.front().tokens.dim(0);
  std::vector<std::int32_t> ids;
  for (std::int64_t t = 0; t < reach; ++t) {
    for (const Window& state : states) ids.push_back(state.tokens.values()[static_cast<std::size_t>(t)]);
  }
  return {Indices(std::move(ids), {reach, std::ssize(states)})};
}
inline Window entry(const Window& all, std::int64_t i) {
  std::vector<std::int32_t> ids;
  for (std::int64_t t = 0; t < all.tokens.dim(0); ++t)
    ids.push_back(all.tokens.values()[static_cast<std::size_t>(t * all.tokens.dim(1) + i)]);
  const std::int64_t reach = std::ssize(ids);
  return {Indices(std::move(ids), {reach, 1})};
}

}  // namespace gradus::models::detail
