#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "autograd/elementwise/symbol.hpp"
#include "autograd/record.hpp"
#include "autograd/variable.hpp"
#include "tensor/ops/elementwise.hpp"

/// A function of numbers becomes an op on tensors, with its derivatives:
///
///   auto swish = [](auto x) { return x / (1 + exp(-x)); };
///   Variable y = elementwise(swish, x);
///
/// The function is called once, on symbols, and leaves a short program that the library's SIMD kernels run
/// block by block, in the first-level cache; its gradient is another such program, of any order. Up to six
/// operands broadcast as in NumPy, or as a list in braces up to twelve; numbers mix in, and beside Variables
/// constant Tensors. On Tensors alone the result is a Tensor. In the function the ops have the names they
/// have on Variables, comparisons give 1 or 0, and where(condition, a, b), max(a, b) and min(a, b) choose; it
/// may call other such functions, and loops whose length is known are unrolled.
///
/// A function of several results, at most six, returns a std::array of them, and so does the call; one pass
/// computes all, and one all gradients:
///
///   auto polar = [](auto x, auto y) { return std::array{sqrt(x * x + y * y), atan2(y, x)}; };
///   auto [radius, angle] = elementwise(polar, x, y);
///
/// A function that captures nothing is traced once in a program's life, one that captures values at each
/// call; so capture what may change, as a global or static that it reads is read once. Throws ShapeError for
/// shapes that do not broadcast, DtypeError for different dtypes, naming the place of the call.
namespace gradus {

namespace detail {

class Formula;
using FormulaPtr = std::shared_ptr<const Formula>;

/// The graph that a function is traced into.
class Tracing {
 public:
  explicit Tracing(int inputs);
  ~Tracing();
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

  Symbol input(int position);
  FormulaPtr finish(const Symbol& result);
  FormulaPtr finish_all(std::span<const Symbol> results);
  /// With the derivatives given, times g, which is the last input.
  FormulaPtr finish(const Symbol& result, std::span<const Symbol> slopes);

 private:
  std::int32_t id_of(const Symbol& x);
  int inputs_;
  std::unique_ptr<Graph> graph_;
  TraceScope scope_;
};

template <std::size_t>
using SymbolAt = Symbol;

// What a call of the user's has at most.
inline constexpr std::size_t most_given = 12;

/// The number of results of a function that returns an array of them; 0 for one that returns a number, or
/// takes other operands, of which `trace` says so.
template <class Result>
constexpr std::size_t array_size = 0;
template <std::size_t n>
constexpr std::size_t array_size<std::array<Symbol, n>> = n;
template <class F, std::size_t... i>
constexpr std::size_t result_count(std::index_sequence<i...>) {
  if constexpr (requires(const F& f, SymbolAt<i>... xs) { f(xs...); }) {
    return array_size<
        std::remove_cvref_t<decltype(std::declval<const F&>()(std::declval<SymbolAt<i>&>()...))>>;
  } else {
    return 0;
  }
}

template <class F, std::size_t... i>
FormulaPtr trace(const F& f, std::index_sequence<i...>) {
  static_assert(
      requires(SymbolAt<i>... xs) { f(xs...); },
      "elementwise(f, x, ...): f takes one number for each operand: [](auto x, ...) { ... }");
  if constexpr (requires { f.slopes; }) {
    Tracing tracing(sizeof...(i) + 1);
    const Symbol y = f(tracing.input(static_cast<int>(i))...);
    return tracing.finish(
        y, f.slopes(tracing.input(static_cast<int>(i))..., tracing.input(static_cast<int>(sizeof...(i)))));
  } else if constexpr (result_count<F>(std::index_sequence<i...>()) > 0) {
    Tracing tracing(sizeof...(i));
    const auto results = f(tracing.input(static_cast<int>(i))...);
    return tracing.finish_all(results);
  } else {
    Tracing tracing(sizeof...(i));
    return tracing.finish(f(tracing.input(static_cast<int>(i))...));
  }
}

template <int n, class F>
FormulaPtr formula_of(const F& f) {
  if constexpr (std::is_empty_v<F>) {
    static const FormulaPtr once = trace(f, std::make_index_sequence<n>());
    return once;
  } else {
    return trace(f, std::make_index_sequence<n>());
  }
}

/// A function with its first derivatives given, where those that follow from it would take more work.
/// slopes(x, ..., g) is an array of g times the derivative with respect to each of the first operands; the
/// others have none. Higher derivatives follow from it.
template <class F, class Slopes>
struct Sloped {
  [[no_unique_address]] F f;
  [[no_unique_address]] Slopes slopes;

  auto operator()(const auto&... xs) const { return f(xs...); }
};
template <class F, class Slopes>
Sloped(F, Slopes) -> Sloped<F, Slopes>;

/// Runs and records a traced function.
Variable record_formula(const Op& op, const FormulaPtr& formula,
                        std::initializer_list<const VariableOperand*> operands);
/// factor times the sum of a traced function's elements.
Variable record_sum(const Op& op, const FormulaPtr& formula, double factor,
                    std::initializer_list<const VariableOperand*> operands);
/// The same for a function of several results.
void record_formulas(const Op& op, const FormulaPtr& formula,
                     std::initializer_list<const VariableOperand*> operands, std::span<Variable> results);
void run_formulas(const Op& op, const FormulaPtr& formula,
                  std::initializer_list<const TensorOperand*> operands, std::span<Tensor> results);

/// Runs f, or on Variables records it; on symbols it is f itself, so that formulas are made of formulas.
template <class F, class... Xs>
auto run(const char* name, Where where, const F& f, Xs&&... xs) {
  using Result = ElementwiseResult<Xs...>;
  static_assert(sizeof...(Xs) <= most_given, "elementwise takes at most twelve operands");
  constexpr std::size_t results = result_count<F>(std::index_sequence_for<Xs...>());
  static_assert(results <= 6, "a function given to elementwise has at most six results");
  if constexpr (std::is_same_v<Result, Symbol>) {
    return f(Symbol(xs)...);
  } else if constexpr (std::is_same_v<Result, Tensor>) {
    return [&](const auto&... operands) {
      std::array<Tensor, results == 0 ? 1 : results> out;
      run_formulas({name, where}, formula_of<sizeof...(Xs)>(f), {&operands...}, out);
      if constexpr (results == 0) {
        return std::move(out[0]);
      } else {
        return out;
      }
    }(TensorOperand(std::forward<Xs>(xs))...);
  } else if constexpr (results > 0) {
    return [&](const auto&... operands) {
      std::array<Variable, results> out;
      record_formulas({name, where}, formula_of<sizeof...(Xs)>(f), {&operands...}, out);
      return out;
    }(VariableOperand(operand<Variable>(std::forward<Xs>(xs)), where)...);
  } else {
    return [&](const auto&... operands) {
      return record_formula({name, where}, formula_of<sizeof...(Xs)>(f), {&operands...});
    }(VariableOperand(operand<Variable>(std::forward<Xs>(xs)), where)...);
  }
}

/// factor * sum(elementwise(f, x, ...)) as one node, for losses: when a tape records, the gradients are made
/// in the same pass, for an upstream gradient of 1, and backward only scales them. So the elements are never
/// written to memory, nor are their gradients.
template <class F, class... Xs>
Variable elementwise_sum(const char* name, Where where, double factor, const F& f, const Xs&... xs) {
  return [&](const auto&... operands) {
    return record_sum({name, where}, formula_of<sizeof...(Xs)>(f), factor, {&operands...});
  }(VariableOperand(operand<Variable>(xs), where)...);
}

}  // namespace detail

// Up to six operands.
template <class F, class A>
requires ElementwiseOperands<A>
auto elementwise(const F& f, A&& x, Where where = Where::here()) {
  return detail::run("elementwise", where, f, std::forward<A>(x));
}
template <class F, class A, class B>
requires ElementwiseOperands<A, B>
auto elementwise(const F& f, A&& x, B&& y, Where where = Where::here()) {
  return detail::run("elementwise", where, f, std::forward<A>(x), std::forward<B>(y));
}
template <class F, class A, class B, class C>
requires ElementwiseOperands<A, B, C>
auto elementwise(const F& f, A&& x, B&& y, C&& z, Where where = Where::here()) {
  return detail::run("elementwise", where, f, std::forward<A>(x), std::forward<B>(y), std::forward<C>(z));
}
template <class F, class A, class B, class C, class D>
requires ElementwiseOperands<A, B, C, D>
auto elementwise(const F& f, A&& x, B&& y, C&& z, D&& u, Where where = Where::here()) {
  return detail::run("elementwise", where, f, std::forward<A>(x), std::forward<B>(y), std::forward<C>(z),
                     std::forward<D>(u));
}
template <class F, class A, class B, class C, class D, class E>
requires ElementwiseOperands<A, B, C, D, E>
auto elementwise(const F& f, A&& x, B&& y, C&& z, D&& u, E&& v, Where where = Where::here()) {
  return detail::run("elementwise", where, f, std::forward<A>(x), std::forward<B>(y), std::forward<C>(z),
                     std::forward<D>(u), std::forward<E>(v));
}
template <class F, class A, class B, class C, class D, class E, class G>
requires ElementwiseOperands<A, B, C, D, E, G>
auto elementwise(const F& f, A&& x, B&& y, C&& z, D&& u, E&& v, G&& w, Where where = Where::here()) {
  return detail::run("elementwise", where, f, std::forward<A>(x), std::forward<B>(y), std::forward<C>(z),
                     std::forward<D>(u), std::forward<E>(v), std::forward<G>(w));
}

/// Up to twelve, as a list of Variables or of Tensors: elementwise(f, {x, y, ...}).
template <class F, std::size_t n>
auto elementwise(const F& f, const Variable (&xs)[n], Where where = Where::here()) {
  return [&]<std::size_t... i>(std::index_sequence<i...>) {
    return detail::run("elementwise", where, f, xs[i]...);
  }
  (std::make_index_sequence<n>());
}
template <class F, std::size_t n>
auto elementwise(const F& f, const Tensor (&xs)[n], Where where = Where::here()) {
  return [&]<std::size_t... i>(std::index_sequence<i...>) {
    return detail::run("elementwise", where, f, xs[i]...);
  }
  (std::make_index_sequence<n>());
}

/// A function under a name of its own that is a formula f of others, as mish is; f captures nothing, and its
/// parameters are operands. On symbols it is f itself, so that formulas are made of formulas.
template <class F, class... Xs>
requires ElementwiseOperands<Xs...>
auto formula(const char* name, Where where, const F& f, const Xs&... xs) {
  static_assert(std::is_empty_v<F>, "the function of a formula captures nothing: pass numbers as operands");
  return detail::run(name, where, f, xs...);
}

}  // namespace gradus
