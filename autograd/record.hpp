#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "autograd/tape_head.hpp"
#include "tensor/support/list.hpp"

/// How an op with a gradient is written:
///
///   Variable softsign(const Variable& x) {
///     const Tensor v = x.value();
///     return record("softsign", v / (1 + abs(v)), wrt(x, [x](const Variable& g) {
///       auto d = 1 + abs(x);
///       return g / (d * d);
///     }));
///   }
///
/// One `wrt` an input, with one or more closures, each of one of the forms
///
///   (const Variable& g) -> Variable                      the normal form, in differentiable ops
///   (const Variable& g, const Variable& y) -> Variable   the same, given the op's result
///   (const Tensor& g) -> Tensor                          a fused kernel, used when nothing is recorded
///   (const Tensor& g, Tensor& sum)                       adds to the input's gradient in place
///   (const Tensor& g) -> Rows                            row-sparse
///   (const Tensor& g) -> Stretched                       the same along some axes, as of a sum
///   (const Variable& g, Variable&& sum) -> Variable      adds in place, in differentiable ops; beside the
///                                                        normal form, which gives the first part of a sum
///
/// g is the gradient of the result. The closure returns its product with the local derivative; the engine
/// sums over broadcast axes, accumulates and checks the shape. Closures outlive the call: capture by value.
///
/// A closure that works element by element, as most functions' do, may be wrapped in `broadcasting`: it may
/// then get a g of a shape that broadcasts to the result's, and give such a one; the engine writes it out
/// where that is needed. So sums need not be spread over memory: backward of sum(square(x)) multiplies x by
/// one number.
///
/// Jacobians take many gradients at once, along a new first axis. A closure in differentiable ops that can,
/// as `broadcasting` ones must, is wrapped in `batching`; the others are called once for each.
///
/// `jointly` replaces the `wrt`s where one kernel gives several gradients, or an op has several results. With
/// an InOp (autograd/op.hpp) opened first, errors of the tensor ops inside name the place of the call.
namespace gradus {

template <class... Forms>
struct Wrt {
  const Variable& x;
  std::tuple<Forms...> forms;
};

/// One input of an op and how its gradient is computed; see the top of this file.
template <class... Forms>
Wrt<std::decay_t<Forms>...> wrt(const Variable& x, Forms&&... forms) {
  static_assert(sizeof...(Forms) > 0, "wrt needs at least one closure");
  static_assert(
      (detail::is_form<std::decay_t<Forms>> && ...),
      "a closure of wrt matches no form: (const Variable& g) -> Variable, (const Variable& g, const "
      "Variable& y) -> Variable, (const Tensor& g) -> Tensor, (const Tensor& g, Tensor& sum), (const "
      "Tensor& g) -> Rows, (const Tensor& g) -> Stretched, (const Variable& g, Variable&& sum) -> Variable");
  return {x, {std::forward<Forms>(forms)...}};
}

/// A closure that may be given a g, and give a result, that is yet to be broadcast; see the top of this file.
template <class F>
detail::Broadcasting<F> broadcasting(F closure) {
  return {std::move(closure)};
}

/// A closure that may be given many gradients at once; see the top of this file.
template <class F>
detail::Batching<F> batching(F closure) {
  return {std::move(closure)};
}
/// What such a closure gives `shape` for: behind the axes that g has more than `rank`, that of a single
/// gradient.
inline Shape batched(const Variable& g, int rank, Shape shape) {
  for (int i = g.rank() - rank; i-- > 0;) shape = shape.inserted(0, g.dim(i));
  return shape;
}

template <class Fused, class Differentiable>
struct Jointly {
  std::span<const Variable> inputs;
  Fused fused;
  Differentiable differentiable;
};

/// One closure for the gradients of several inputs: (const Variable& g) -> std::vector<Variable> in
/// differentiable ops, one an input, which serves derivatives of every order. Or a kernel, and such a closure
/// behind it for the second derivative, which throws without it: `fused` is (const Tensor& g, std::span<const
/// bool> wanted, std::span<Tensor> out) and sets out[i], of input i's shape, where wanted[i]. An undefined
/// entry stands for zeros. One object may have both calls, and share what they save. The inputs are looked at
/// by `record`, in the same full expression.
///
/// For an op of several results both take a span of gradients, std::span<const Tensor> or
/// std::span<const Variable>, instead of g. One is undefined where nothing depends on that result; not all
/// are.
template <class Fused, class Differentiable = std::nullptr_t>
Jointly<Fused, Differentiable> jointly(List<Variable> inputs, Fused fused,
                                       Differentiable differentiable = nullptr) {
  constexpr bool is_fused = detail::fused_of_one<Fused> || detail::fused_of_many<Fused>;
  constexpr bool is_by_ops = detail::by_ops_of_one<Fused> || detail::by_ops_of_many<Fused>;
  static_assert(
      is_fused || is_by_ops,
      "jointly needs a closure (const Variable& g, or std::span<const Variable> gs) -> "
      "std::vector<Variable>, or (const Tensor& g, or std::span<const Tensor> gs, std::span<const bool> "
      "wanted, std::span<Tensor> out)");
  return {inputs, std::move(fused), std::move(differentiable)};
}

/// True when a tape records on this thread; an op whose closures would save much can return early otherwise.
inline bool recording() noexcept {
  return detail::active_head != nullptr;
}

namespace detail {
template <class T>
constexpr bool is_wrt = false;
template <class... Forms>
constexpr bool is_wrt<Wrt<Forms...>> = true;

template <class Fused, class Differentiable>
void record_jointly(const Op& op, std::span<Tensor> values, Jointly<Fused, Differentiable>& joint,
                    std::span<Variable> results);
}  // namespace detail

/// Makes a Variable of an op's value and, when a tape is active and an input is on it, records how its
/// gradient is computed. Without inputs the result is a constant.
template <class... Wrts>
requires(detail::is_wrt<Wrts>&&...) Variable record(const Op& op, Tensor value, Wrts... wrts) {
  detail::TapeHead* tape = detail::active_head;
  if (tape == nullptr || sizeof...(Wrts) == 0) return Variable(std::move(value));
  const std::array<std::uint32_t, sizeof...(Wrts)> inputs{detail::resolve(*tape, wrts.x, op)...};
  // One piece of memory for the edges and the closures that are needed, taken before anything is recorded.
  std::size_t count = 0, bytes = 0, i = 0;
  const auto measure = [&]<class... Forms>(const Wrt<Forms...>&) {
    using Closure = detail::FormsClosure<Forms...>;
    static_assert(alignof(Closure) <= detail::arena_alignment);
    if (inputs[i++] == detail::no_node) return;
    ++count;
    bytes += detail::arena_size(sizeof(Closure));
  };
  (measure(wrts), ...);
  if (count == 0) return Variable(std::move(value));
  auto* memory = static_cast<std::byte*>(detail::arena_allocate(*tape, count * sizeof(detail::Edge) + bytes));
  auto* edge = reinterpret_cast<detail::Edge*>(memory);
  memory += count * sizeof(detail::Edge);

  if (tape->checks)
    detail::check_results(*tape, op, {&value, 1}, std::array<const Variable*, sizeof...(Wrts)>{&wrts.x...});
  Variable y = detail::push_node(*tape, op, std::move(value), edge, count);
  const detail::UnfinishedNode guard{*tape, edge, edge, count};
  i = 0;
  const auto add = [&]<class... Forms>(Wrt<Forms...>& w) {
    const std::uint32_t input = inputs[i++];
    if (input == detail::no_node) return;  // its closure and what it saved are dropped
    using Closure = detail::FormsClosure<Forms...>;
    auto* const closure = new (memory) Closure(std::move(w.forms), y);
    new (edge++) detail::Edge{input, closure};
    memory += detail::arena_size(sizeof(Closure));
  };
  (add(wrts), ...);
  return y;
}

template <class Fused, class Differentiable>
Variable record(const Op& op, Tensor value, Jointly<Fused, Differentiable> joint) {
  Variable result;
  detail::record_jointly(op, {&value, 1}, joint, {&result, 1});
  return result;
}

/// An op of several results, which are one node: a Variable for each value.
template <std::size_t n, class Fused, class Differentiable>
std::array<Variable, n> record(const Op& op, std::array<Tensor, n> values,
                               Jointly<Fused, Differentiable> joint) {
  std::array<Variable, n> results;
  detail::record_jointly(op, values, joint, results);
  return results;
}
template <class Fused, class Differentiable>
std::vector<Variable> record(const Op& op, std::vector<Tensor> values, Jointly<Fused, Differentiable> joint) {
  std::vector<Variable> results(values.size());
  detail::record_jointly(op, std::span<Tensor>(values), joint, std::span<Variable>(results));
  return results;
}

template <class Fused, class Differentiable>
void detail::record_jointly(const Op& op, std::span<Tensor> values, Jointly<Fused, Differentiable>& joint,
                            std::span<Variable> results) {
  const auto as_constants = [&] {
    for (std::size_t i = 0; i < values.size(); ++i) results[i] = Variable(std::move(values[i]));
  };
  TapeHead* tape = active_head;
  if (tape == nullptr || values.empty()) return as_constants();
  const std::size_t count = joint.inputs.size();
  using Closure = JointClosure<Fused, Differentiable>;
  static_assert(alignof(Closure) <= arena_alignment);
  auto* memory = static_cast<std::byte*>(arena_allocate(*tape, count * sizeof(Edge) + sizeof(Closure)));
  auto* const edges = reinterpret_cast<Edge*>(memory);
  memory += count * sizeof(Edge);
  bool any = false;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t input = resolve(*tape, joint.inputs[i], op);
    new (edges + i) Edge{input, nullptr};
    any |= input != no_node;
  }
  if (!any) return as_constants();

  if (tape->checks) {
    std::vector<const Variable*> operands;
    for (const Variable& x : joint.inputs) operands.push_back(&x);
    check_results(*tape, op, values, operands);
  }
  // Before the node: what the user's closures hold may throw as it is moved.
  auto* closure = new (memory) Closure(std::move(joint.fused), std::move(joint.differentiable));
  UnrecordedClosure guard{closure};
  push_nodes(*tape, op, values, edges, count, results);
  guard.closure = nullptr;
  for (std::size_t i = 0; i < count; ++i) edges[i].closure = closure;
}

}  // namespace gradus
