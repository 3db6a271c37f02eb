#pragma once

// Internal: what recording touches of a tape, inlined into every op. The rest is in tape_storage.hpp.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "autograd/closure.hpp"
#include "autograd/op.hpp"
#include "autograd/variable.hpp"

namespace gradus::detail {

struct TapeStorage;

inline constexpr std::uint32_t no_node = 0xFFFFFFFF;

/// From an op to one of its inputs.
struct Edge {
  std::uint32_t input;  // a node; no_node: a constant
  Closure* closure;     // gives the input's gradient; that of the first edge is null once all are destroyed
};

struct TapeHead {
  std::uint32_t serial = 0;
  bool checks = false;  // TapeOptions::check_finite
  // The free part of the arena's chunk.
  std::byte* arena_next = nullptr;
  std::byte* arena_end = nullptr;
};

/// The tape that records on this thread, or null.
extern constinit thread_local TapeHead* active_head;
TapeStorage* active_tape() noexcept;

std::uint32_t resolve_other(TapeHead& tape, const Variable& x, const Op& op);
/// The node of x on the tape, made for a parameter met first here; no_node for a constant. Throws TapeError
/// for a Variable of another tape.
inline std::uint32_t resolve(TapeHead& tape, const Variable& x, const Op& op) {
  const Place place = x.place();
  if (place.tape() == Place::constant) return no_node;
  return place.tape() == tape.serial ? place.index() : resolve_other(tape, x, op);
}

/// The arena: memory that lives until the tape is reset; everything in it is aligned to 8 bytes.
inline constexpr std::size_t arena_alignment = 8;
constexpr std::size_t arena_size(std::size_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}
void* arena_grow(TapeHead& tape, std::size_t bytes);
inline void* arena_allocate(TapeHead& tape, std::size_t bytes) {
  bytes = arena_size(bytes);
  if (bytes > static_cast<std::size_t>(tape.arena_end - tape.arena_next)) return arena_grow(tape, bytes);
  return std::exchange(tape.arena_next, tape.arena_next + bytes);
}

/// A new node of one result with its edges, which the caller fills before anything else happens.
Variable push_node(TapeHead& tape, const Op& op, Tensor value, Edge* edges, std::size_t count);
/// The same for an op of several results: a node for each, one after the other, which share the edges.
void push_nodes(TapeHead& tape, const Op& op, std::span<Tensor> values, Edge* edges, std::size_t count,
                std::span<Variable> results);
/// Throws NumericError, with the inputs' ranges in its text, when a value of the next node is not finite; for
/// a tape that checks.
void check_results(TapeHead& tape, const Op& op, std::span<const Tensor> values,
                   std::span<const Variable* const> inputs);
/// Takes back the last node, whose closures could not all be made.
void drop_node(TapeHead& tape, std::span<Edge> made) noexcept;

/// Drops the last node unless all its edges were made: what a user's closure holds may throw as it is moved.
struct UnfinishedNode {
  TapeHead& tape;
  Edge* const first;
  Edge* const& made;
  const std::size_t count;
  ~UnfinishedNode() {
    if (made != first + count) drop_node(tape, {first, made});
  }
};

}  // namespace gradus::detail
