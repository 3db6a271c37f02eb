#pragma once

// Internal: how the closures of an op's author lie on the tape, and how the sweep calls them.

#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/variable.hpp"
#include "tensor/rows.hpp"

namespace gradus {

/// A gradient before it is stretched to the shape of the input, to which it broadcasts.
struct Stretched {
  Tensor values;
};

namespace detail {

struct Closure;

/// A closure that works element by element; what `broadcasting` makes (autograd/record.hpp).
template <class F>
struct Broadcasting : F {};
template <class F>
constexpr bool is_broadcasting = false;
template <class F>
constexpr bool is_broadcasting<Broadcasting<F>> = true;

/// A closure that takes a batch of gradients; what `batching` makes.
template <class F>
struct Batching : F {};
template <class F>
constexpr bool is_batching = is_broadcasting<F>;
template <class F>
constexpr bool is_batching<Batching<F>> = true;

/// Which form serves a sweep that records nothing.
enum class Form : std::uint8_t { variable, tensor, add, rows, stretched, joint };

/// The forms that one closure on the tape offers, null where it does not. One table a type: a closure is
/// called through it without a virtual base or std::function.
struct ClosureTable {
  Form first = Form::variable;
  bool broadcasts = false;  // the first form may be given a g that is yet to be stretched
  Variable (*variable)(Closure*, const Variable& g) = nullptr;
  Variable (*batch)(Closure*, const Variable& g) = nullptr;  // `variable`, if it takes a batch of gradients
  Tensor (*tensor)(Closure*, const Tensor& g) = nullptr;
  void (*add)(Closure*, const Tensor& g, Tensor& sum) = nullptr;
  Rows (*rows)(Closure*, const Tensor& g) = nullptr;
  Stretched (*stretched)(Closure*, const Tensor& g) = nullptr;
  Variable (*add_variable)(Closure*, const Variable& g, Variable&& sum) = nullptr;
  // Of `jointly`; gs has the gradient of each result, undefined where nothing depends on it.
  void (*joint)(Closure*, std::span<const Tensor> gs, std::span<const bool> wanted,
                std::span<Tensor> out) = nullptr;
  std::vector<Variable> (*joint_variable)(Closure*, std::span<const Variable> gs) = nullptr;
  void (*destroy)(Closure*) noexcept = nullptr;
};
struct Closure {
  const ClosureTable* table;
};

// The forms, told apart by what a closure takes and gives. Exact types: a Variable&& would bind to const&.
template <class F, class Result, class... Args>
constexpr bool gives = [] {
  if constexpr (std::is_invocable_v<F&, Args...>) {
    return std::is_same_v<std::invoke_result_t<F&, Args...>, Result>;
  } else {
    return false;
  }
}();
template <class F>
constexpr bool takes_variable = std::is_invocable_r_v<Variable, F&, const Variable&>;
template <class F>
constexpr bool takes_result = std::is_invocable_r_v<Variable, F&, const Variable&, const Variable&>;
template <class F>
constexpr bool returns_rows = gives<F, Rows, const Tensor&>;
template <class F>
constexpr bool returns_stretched = gives<F, Stretched, const Tensor&>;
template <class F>
constexpr bool takes_tensor =
    !returns_rows<F> && !returns_stretched<F> && std::is_invocable_r_v<Tensor, F&, const Tensor&>;
template <class F>
constexpr bool adds = gives<F, void, const Tensor&, Tensor&>;
template <class F>
constexpr bool adds_variable =
    !takes_result<F> && std::is_invocable_r_v<Variable, F&, const Variable&, Variable&&>;
template <class F>
constexpr bool is_form = takes_variable<F> || takes_result<F> || takes_tensor<F> || adds<F> ||
                         returns_rows<F> || returns_stretched<F> || adds_variable<F>;

/// The closures of one `wrt`.
template <class... Forms>
struct FormsClosure : Closure {
  std::tuple<Forms...> forms;
  Variable result;  // set when a form asks for it

  FormsClosure(std::tuple<Forms...>&& given, const Variable& y)
      : Closure{&instance}, forms(std::move(given)) {
    if constexpr ((takes_result<Forms> || ...)) result = y;
  }

  static const ClosureTable instance;

 private:
  template <std::size_t i>
  static auto& form(Closure* self) {
    return std::get<i>(static_cast<FormsClosure*>(self)->forms);
  }
  template <std::size_t i, class F>
  static constexpr void put(ClosureTable& table) {
    if constexpr (takes_variable<F>) {
      table.variable = [](Closure* self, const Variable& g) -> Variable { return form<i>(self)(g); };
    } else if constexpr (takes_result<F>) {
      table.variable = [](Closure* self, const Variable& g) -> Variable {
        return form<i>(self)(g, static_cast<FormsClosure*>(self)->result);
      };
    } else if constexpr (takes_tensor<F>) {
      table.tensor = [](Closure* self, const Tensor& g) -> Tensor { return form<i>(self)(g); };
    } else if constexpr (adds<F>) {
      table.add = [](Closure* self, const Tensor& g, Tensor& sum) { form<i>(self)(g, sum); };
    } else if constexpr (returns_rows<F>) {
      table.rows = [](Closure* self, const Tensor& g) -> Rows { return form<i>(self)(g); };
    } else if constexpr (returns_stretched<F>) {
      table.stretched = [](Closure* self, const Tensor& g) -> Stretched { return form<i>(self)(g); };
    } else {
      table.add_variable = [](Closure* self, const Variable& g, Variable&& sum) -> Variable {
        return form<i>(self)(g, std::move(sum));
      };
    }
  }
  template <std::size_t... i>
  static constexpr ClosureTable make_table(std::index_sequence<i...>) {
    ClosureTable table{};
    (put<i, Forms>(table), ...);
    if constexpr (((is_batching<Forms> && (takes_variable<Forms> || takes_result<Forms>)) || ...))
      table.batch = table.variable;
    table.broadcasts = (is_broadcasting<Forms> && ...);
    if (table.tensor != nullptr) table.first = Form::tensor;
    if (table.add != nullptr) table.first = Form::add;
    if (table.rows != nullptr) table.first = Form::rows;
    if (table.stretched != nullptr) table.first = Form::stretched;
    table.destroy = [](Closure* self) noexcept { static_cast<FormsClosure*>(self)->~FormsClosure(); };
    return table;
  }
};
template <class... Forms>
constexpr ClosureTable FormsClosure<Forms...>::instance =
    FormsClosure<Forms...>::make_table(std::index_sequence_for<Forms...>{});

// What `jointly` takes: g for an op of one result, a span of gs for any number.
template <class F>
constexpr bool fused_of_one =
    std::is_invocable_v<F&, const Tensor&, std::span<const bool>, std::span<Tensor>>;
template <class F>
constexpr bool fused_of_many =
    std::is_invocable_v<F&, std::span<const Tensor>, std::span<const bool>, std::span<Tensor>>;
template <class F>
constexpr bool by_ops_of_one = std::is_invocable_r_v<std::vector<Variable>, F&, const Variable&>;
template <class F>
constexpr bool by_ops_of_many = std::is_invocable_r_v<std::vector<Variable>, F&, std::span<const Variable>>;

/// The gradients that a closure in differentiable ops gave, as those of a fused one.
void put_values(std::vector<Variable> given, std::span<const bool> wanted, std::span<Tensor> out);
[[noreturn]] void fail_gradient_count(std::size_t given, std::size_t inputs);

/// The closure of one `jointly`, which all edges of its node share.
template <class Fused, class Differentiable>
struct JointClosure : Closure {
  Fused fused;
  Differentiable differentiable;

  JointClosure(Fused f, Differentiable d)
      : Closure{&instance}, fused(std::move(f)), differentiable(std::move(d)) {}

  static const ClosureTable instance;

 private:
  template <class F, F JointClosure::*member>
  static constexpr void put_by_ops(ClosureTable& table) {
    if constexpr (by_ops_of_many<F>) {
      table.joint_variable = [](Closure* self, std::span<const Variable> gs) -> std::vector<Variable> {
        return (static_cast<JointClosure*>(self)->*member)(gs);
      };
    } else if constexpr (by_ops_of_one<F>) {
      table.joint_variable = [](Closure* self, std::span<const Variable> gs) -> std::vector<Variable> {
        return (static_cast<JointClosure*>(self)->*member)(gs.front());
      };
    }
  }
  static constexpr ClosureTable make_table() {
    ClosureTable table{};
    table.first = Form::joint;
    table.joint = [](Closure* self, std::span<const Tensor> gs, std::span<const bool> wanted,
                     std::span<Tensor> out) {
      if constexpr (fused_of_many<Fused>) {
        static_cast<JointClosure*>(self)->fused(gs, wanted, out);
      } else if constexpr (fused_of_one<Fused>) {
        static_cast<JointClosure*>(self)->fused(gs.front(), wanted, out);
      } else {
        put_values(instance.joint_variable(self, std::vector<Variable>(gs.begin(), gs.end())), wanted, out);
      }
    };
    put_by_ops<Fused, &JointClosure::fused>(table);
    put_by_ops<Differentiable, &JointClosure::differentiable>(table);
    table.destroy = [](Closure* self) noexcept { static_cast<JointClosure*>(self)->~JointClosure(); };
    return table;
  }
};
template <class Fused, class Differentiable>
constexpr ClosureTable JointClosure<Fused, Differentiable>::instance =
    JointClosure<Fused, Differentiable>::make_table();

/// Destroys a closure unless its node was recorded.
struct UnrecordedClosure {
  Closure* closure;
  ~UnrecordedClosure() {
    if (closure != nullptr) closure->table->destroy(closure);
  }
};

}  // namespace detail
}  // namespace gradus
