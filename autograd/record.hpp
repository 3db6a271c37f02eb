#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/variable.hpp"
#include "tensor/rows.hpp"

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
///   (const Variable& g, Variable&& sum) -> Variable      adds in place, in differentiable ops; beside the
///                                                        normal form, which gives the first part of a sum
///
/// g is the gradient of the result. The closure returns the local derivative's product with g; the engine
/// sums over broadcast axes, accumulates and checks the shape. Closures outlive the call: capture by value.
namespace gradus {

/// An op's name and the place it was called from.
struct Op {
  const char* name;
  Where where;
  Op(const char* op_name, Where called_at = Where::here()) : name(op_name), where(called_at) {}
};

namespace detail {

struct TapeStorage;
struct Closure;

/// Which form serves a sweep that records nothing.
enum class Form : std::uint8_t { variable, tensor, add, rows, joint };

/// The forms a closure offers; null where it does not.
struct ClosureTable {
  Form first = Form::variable;
  Variable (*variable)(Closure*, const Variable& g) = nullptr;
  Tensor (*tensor)(Closure*, const Tensor& g) = nullptr;
  void (*add)(Closure*, const Tensor& g, Tensor& sum) = nullptr;
  Rows (*rows)(Closure*, const Tensor& g) = nullptr;
  Variable (*add_variable)(Closure*, const Variable& g, Variable&& sum) = nullptr;
  void (*joint)(Closure*, const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) = nullptr;
  std::vector<Variable> (*joint_variable)(Closure*, const Variable& g) = nullptr;
  void (*destroy)(Closure*) noexcept = nullptr;
};
struct Closure {
  const ClosureTable* table;
};

template <class F>
constexpr bool takes_variable = std::is_invocable_r_v<Variable, F&, const Variable&>;
template <class F>
constexpr bool takes_result = std::is_invocable_r_v<Variable, F&, const Variable&, const Variable&>;
template <class F>
constexpr bool returns_rows = [] {
  if constexpr (std::is_invocable_v<F&, const Tensor&>) {
    return std::is_same_v<std::invoke_result_t<F&, const Tensor&>, Rows>;
  } else {
    return false;
  }
}();
template <class F>
constexpr bool takes_tensor = !returns_rows<F> && std::is_invocable_r_v<Tensor, F&, const Tensor&>;
template <class F>
constexpr bool adds = [] {
  if constexpr (std::is_invocable_v<F&, const Tensor&, Tensor&>) {
    return std::is_void_v<std::invoke_result_t<F&, const Tensor&, Tensor&>>;
  } else {
    return false;
  }
}();
template <class F>
constexpr bool adds_variable =
    !takes_result<F> && std::is_invocable_r_v<Variable, F&, const Variable&, Variable&&>;
template <class F>
constexpr bool is_form =
    takes_variable<F> || takes_result<F> || takes_tensor<F> || adds<F> || returns_rows<F> || adds_variable<F>;

/// The forms of one wrt, in the tape's arena.
template <class... Forms>
struct FormsClosure : Closure {
  std::tuple<Forms...> forms;
  Variable result;  // set when a form asks for it

  static constexpr bool wants_result = (takes_result<Forms> || ...);

  FormsClosure(std::tuple<Forms...>&& given, const Variable& y)
      : Closure{&instance}, forms(std::move(given)) {
    if constexpr (wants_result) result = y;
  }

  /// Calls `use` with the first form for which `Match` holds.
  template <template <class> class Match, class Use>
  static auto with_form(Closure* self, Use&& use) {
    constexpr std::array matches{Match<Forms>::value...};
    constexpr std::size_t found = [&] {
      std::size_t i = 0;
      while (!matches[i]) ++i;
      return i;
    }();
    return use(std::get<found>(static_cast<FormsClosure*>(self)->forms));
  }
  template <class F>
  struct IsVariable : std::bool_constant<takes_variable<F> || takes_result<F>> {};
  template <class F>
  struct IsTensor : std::bool_constant<takes_tensor<F>> {};
  template <class F>
  struct IsAdd : std::bool_constant<adds<F>> {};
  template <class F>
  struct IsRows : std::bool_constant<returns_rows<F>> {};
  template <class F>
  struct IsAddVariable : std::bool_constant<adds_variable<F>> {};

  static constexpr ClosureTable make_table() {
    ClosureTable table{};
    if constexpr ((IsVariable<Forms>::value || ...)) {
      table.variable = [](Closure* self, const Variable& g) {
        return with_form<IsVariable>(self, [&]<class F>(F& form) -> Variable {
          if constexpr (takes_result<F>) {
            return form(g, static_cast<FormsClosure*>(self)->result);
          } else {
            return form(g);
          }
        });
      };
    }
    if constexpr ((IsTensor<Forms>::value || ...)) {
      table.first = Form::tensor;
      table.tensor = [](Closure* self, const Tensor& g) {
        return with_form<IsTensor>(self, [&](auto& form) -> Tensor { return form(g); });
      };
    }
    if constexpr ((IsAdd<Forms>::value || ...)) {
      table.first = Form::add;
      table.add = [](Closure* self, const Tensor& g, Tensor& sum) {
        with_form<IsAdd>(self, [&](auto& form) { form(g, sum); });
      };
    }
    if constexpr ((IsRows<Forms>::value || ...)) {
      table.first = Form::rows;
      table.rows = [](Closure* self, const Tensor& g) {
        return with_form<IsRows>(self, [&](auto& form) -> Rows { return form(g); });
      };
    }
    if constexpr ((IsAddVariable<Forms>::value || ...)) {
      table.add_variable = [](Closure* self, const Variable& g, Variable&& sum) {
        return with_form<IsAddVariable>(self,
                                        [&](auto& form) -> Variable { return form(g, std::move(sum)); });
      };
    }
    table.destroy = [](Closure* self) noexcept { static_cast<FormsClosure*>(self)->~FormsClosure(); };
    return table;
  }
  static const ClosureTable instance;
};
template <class... Forms>
constexpr ClosureTable FormsClosure<Forms...>::instance = FormsClosure<Forms...>::make_table();

template <class Fused, class Differentiable>
struct JointClosure : Closure {
  Fused fused;
  Differentiable differentiable;

  static constexpr bool twice = !std::is_same_v<Differentiable, std::nullptr_t>;
  static constexpr bool both = std::is_invocable_r_v<std::vector<Variable>, Fused&, const Variable&>;

  JointClosure(Fused f, Differentiable d)
      : Closure{&instance}, fused(std::move(f)), differentiable(std::move(d)) {}

  static constexpr ClosureTable make_table() {
    ClosureTable table{};
    table.first = Form::joint;
    table.joint = [](Closure* self, const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) {
      static_cast<JointClosure*>(self)->fused(g, wanted, out);
    };
    if constexpr (twice) {
      table.joint_variable = [](Closure* self, const Variable& g) -> std::vector<Variable> {
        return static_cast<JointClosure*>(self)->differentiable(g);
      };
    } else if constexpr (both) {
      table.joint_variable = [](Closure* self, const Variable& g) -> std::vector<Variable> {
        return static_cast<JointClosure*>(self)->fused(g);
      };
    }
    table.destroy = [](Closure* self) noexcept { static_cast<JointClosure*>(self)->~JointClosure(); };
    return table;
  }
  static const ClosureTable instance;
};
template <class Fused, class Differentiable>
constexpr ClosureTable JointClosure<Fused, Differentiable>::instance =
    JointClosure<Fused, Differentiable>::make_table();

inline constexpr std::uint32_t no_node = 0xFFFFFFFF;

struct Edge {
  std::uint32_t input;  // no_node: nothing wanted
  Closure* closure;     // null once consumed
};

/// What recording touches of a tape, here so that it is inlined into the ops.
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

void* arena_grow(TapeHead& tape, std::size_t bytes);
/// Memory that lives until the tape is reset; everything in it is aligned to 8 bytes.
inline constexpr std::size_t arena_alignment = 8;
constexpr std::size_t arena_size(std::size_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}
inline void* arena_allocate(TapeHead& tape, std::size_t bytes) {
  bytes = arena_size(bytes);
  if (bytes > static_cast<std::size_t>(tape.arena_end - tape.arena_next)) return arena_grow(tape, bytes);
  return std::exchange(tape.arena_next, tape.arena_next + bytes);
}
/// A new node with its edges, which the caller fills before anything else happens.
Variable push_node(TapeHead& tape, const Op& op, Tensor value, Edge* edges, std::size_t count);
/// Throws NumericError, with the inputs' ranges in its text, when the value of the next node is not finite;
/// for a tape that checks.
void check_result(TapeHead& tape, const Op& op, const Tensor& value, std::span<const Variable* const> inputs);
/// Takes back the last node, whose closures could not all be made.
void drop_node(TapeHead& tape, std::span<Edge> made) noexcept;

/// Destroys a closure unless its node was recorded.
struct UnrecordedClosure {
  Closure* closure;
  ~UnrecordedClosure() {
    if (closure != nullptr) closure->table->destroy(closure);
  }
};

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

}  // namespace detail

template <class... Forms>
struct Wrt {
  const Variable& x;
  std::tuple<Forms...> forms;
};

namespace detail {
template <class T>
constexpr bool is_wrt = false;
template <class... Forms>
constexpr bool is_wrt<Wrt<Forms...>> = true;
}  // namespace detail

/// One input of an op and how its gradient is computed; see the top of this file.
template <class... Forms>
Wrt<std::decay_t<Forms>...> wrt(const Variable& x, Forms&&... forms) {
  static_assert(sizeof...(Forms) > 0, "wrt needs at least one closure");
  static_assert(
      (detail::is_form<std::decay_t<Forms>> && ...),
      "a closure of wrt matches no form: (const Variable& g) -> Variable, (const Variable& g, const "
      "Variable& y) "
      "-> Variable, (const Tensor& g) -> Tensor, (const Tensor& g, Tensor& sum), (const Tensor& g) -> Rows, "
      "(const Variable& g, Variable&& sum) -> "
      "Variable");
  return {x, {std::forward<Forms>(forms)...}};
}

template <class Fused, class Differentiable>
struct Jointly {
  std::span<const Variable> inputs;
  Fused fused;
  Differentiable differentiable;
};

/// One kernel for the gradients of several inputs. `fused` is (const Tensor& g, std::span<const bool> wanted,
/// std::span<Tensor> out): it sets out[i], of input i's shape, where wanted[i]. `differentiable`, where
/// given, is (const Variable& g) -> std::vector<Variable> in differentiable ops, one an input: it serves the
/// second derivative, which throws without it. One object may have both calls, and share what they save. The
/// inputs are looked at by `record`, in the same full expression.
template <class Fused, class Differentiable = std::nullptr_t>
Jointly<Fused, Differentiable> jointly(std::span<const Variable> inputs, Fused fused,
                                       Differentiable differentiable = nullptr) {
  static_assert(
      std::is_invocable_v<Fused&, const Tensor&, std::span<const bool>, std::span<Tensor>>,
      "jointly needs a closure (const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out)");
  return {inputs, std::move(fused), std::move(differentiable)};
}
template <class Fused, class Differentiable = std::nullptr_t>
Jointly<Fused, Differentiable> jointly(std::initializer_list<Variable> inputs, Fused fused,
                                       Differentiable differentiable = nullptr) {
  return jointly(std::span<const Variable>(inputs.begin(), inputs.size()), std::move(fused),
                 std::move(differentiable));
}

/// True when a tape records on this thread; an op whose closures would save much can return early otherwise.
inline bool recording() noexcept {
  return detail::active_head != nullptr;
}

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
    detail::check_result(*tape, op, value, std::array<const Variable*, sizeof...(Wrts)>{&wrts.x...});
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
  detail::TapeHead* tape = detail::active_head;
  if (tape == nullptr) return Variable(std::move(value));
  const std::size_t count = joint.inputs.size();
  using Closure = detail::JointClosure<Fused, Differentiable>;
  static_assert(alignof(Closure) <= detail::arena_alignment);
  auto* memory =
      static_cast<std::byte*>(detail::arena_allocate(*tape, count * sizeof(detail::Edge) + sizeof(Closure)));
  auto* const edges = reinterpret_cast<detail::Edge*>(memory);
  memory += count * sizeof(detail::Edge);
  bool any = false;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t input = detail::resolve(*tape, joint.inputs[i], op);
    new (edges + i) detail::Edge{input, nullptr};
    any |= input != detail::no_node;
  }
  if (!any) return Variable(std::move(value));

  if (tape->checks) {
    std::vector<const Variable*> operands;
    for (const Variable& x : joint.inputs) operands.push_back(&x);
    detail::check_result(*tape, op, value, operands);
  }
  // Before the node: what the user's closures hold may throw as it is moved.
  auto* closure = new (memory) Closure(std::move(joint.fused), std::move(joint.differentiable));
  detail::UnrecordedClosure guard{closure};
  Variable y = detail::push_node(*tape, op, std::move(value), edges, count);
  guard.closure = nullptr;
  for (std::size_t i = 0; i < count; ++i) edges[i].closure = closure;
  return y;
}

}  // namespace gradus
