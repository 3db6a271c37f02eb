#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
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
/// operands broadcast as in NumPy, numbers mix in. In the function the ops have the names they have on
/// Variables, comparisons give 1 or 0, and where(condition, a, b), max(a, b) and min(a, b) choose; it may
/// call other such functions, and loops whose length is known are unrolled.
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

 private:
  int inputs_;
  std::unique_ptr<Graph> graph_;
  TraceScope scope_;
};

template <std::size_t>
using SymbolAt = Symbol;

template <class F, std::size_t... i>
FormulaPtr trace(const F& f, std::index_sequence<i...>) {
  static_assert(
      requires(SymbolAt<i>... xs) { f(xs...); },
      "elementwise(f, x, ...): f takes one number for each operand: [](auto x, ...) { ... }");
  Tracing tracing(sizeof...(i));
  return tracing.finish(f(tracing.input(static_cast<int>(i))...));
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

/// Runs and records a traced function.
Variable record_formula(const Op& op, const FormulaPtr& formula,
                        std::initializer_list<const VariableOperand*> operands);
Tensor run_formula(const Op& op, const FormulaPtr& formula,
                   std::initializer_list<const TensorOperand*> operands);

}  // namespace detail

template <class F>
Variable elementwise(const F& f, const VariableOperand& x) {
  return detail::record_formula({"elementwise", x.where}, detail::formula_of<1>(f), {&x});
}
template <class F>
Variable elementwise(const F& f, const VariableOperand& x, const VariableOperand& y) {
  return detail::record_formula({"elementwise", x.where}, detail::formula_of<2>(f), {&x, &y});
}
template <class F>
Variable elementwise(const F& f, const VariableOperand& x, const VariableOperand& y,
                     const VariableOperand& z) {
  return detail::record_formula({"elementwise", x.where}, detail::formula_of<3>(f), {&x, &y, &z});
}
template <class F>
Variable elementwise(const F& f, const VariableOperand& x, const VariableOperand& y, const VariableOperand& z,
                     const VariableOperand& u) {
  return detail::record_formula({"elementwise", x.where}, detail::formula_of<4>(f), {&x, &y, &z, &u});
}
template <class F>
Variable elementwise(const F& f, const VariableOperand& x, const VariableOperand& y, const VariableOperand& z,
                     const VariableOperand& u, const VariableOperand& v) {
  return detail::record_formula({"elementwise", x.where}, detail::formula_of<5>(f), {&x, &y, &z, &u, &v});
}
template <class F>
Variable elementwise(const F& f, const VariableOperand& x, const VariableOperand& y, const VariableOperand& z,
                     const VariableOperand& u, const VariableOperand& v, const VariableOperand& w) {
  return detail::record_formula({"elementwise", x.where}, detail::formula_of<6>(f), {&x, &y, &z, &u, &v, &w});
}

// The same on tensors, without a gradient. Up to six operands, as above.
template <class F>
Tensor elementwise(const F& f, const TensorOperand& x, Where where = Where::here()) {
  return detail::run_formula({"elementwise", where}, detail::formula_of<1>(f), {&x});
}
template <class F>
Tensor elementwise(const F& f, const TensorOperand& x, const TensorOperand& y, Where where = Where::here()) {
  return detail::run_formula({"elementwise", where}, detail::formula_of<2>(f), {&x, &y});
}
template <class F>
Tensor elementwise(const F& f, const TensorOperand& x, const TensorOperand& y, const TensorOperand& z,
                   Where where = Where::here()) {
  return detail::run_formula({"elementwise", where}, detail::formula_of<3>(f), {&x, &y, &z});
}
template <class F>
Tensor elementwise(const F& f, const TensorOperand& x, const TensorOperand& y, const TensorOperand& z,
                   const TensorOperand& u, Where where = Where::here()) {
  return detail::run_formula({"elementwise", where}, detail::formula_of<4>(f), {&x, &y, &z, &u});
}
template <class F>
Tensor elementwise(const F& f, const TensorOperand& x, const TensorOperand& y, const TensorOperand& z,
                   const TensorOperand& u, const TensorOperand& v, Where where = Where::here()) {
  return detail::run_formula({"elementwise", where}, detail::formula_of<5>(f), {&x, &y, &z, &u, &v});
}
template <class F>
Tensor elementwise(const F& f, const TensorOperand& x, const TensorOperand& y, const TensorOperand& z,
                   const TensorOperand& u, const TensorOperand& v, const TensorOperand& w,
                   Where where = Where::here()) {
  return detail::run_formula({"elementwise", where}, detail::formula_of<6>(f), {&x, &y, &z, &u, &v, &w});
}

/// A function under a name of its own that is a formula f of others, as mish is; f captures nothing, and its
/// parameters are operands. On symbols it is f itself, so that formulas are made of formulas.
template <class F, class... Xs>
requires ElementwiseOperands<Xs...>
auto formula(const char* name, Where where, const F& f, const Xs&... xs) {
  using Result = detail::ElementwiseResult<Xs...>;
  static_assert(std::is_empty_v<F>, "the function of a formula captures nothing: pass numbers as operands");
  if constexpr (std::is_same_v<Result, Symbol>) {
    return f(Symbol(xs)...);
  } else if constexpr (std::is_same_v<Result, Tensor>) {
    return [&](const auto&... operands) {
      return detail::run_formula({name, where}, detail::formula_of<sizeof...(Xs)>(f), {&operands...});
    }(TensorOperand(xs)...);
  } else {
    return [&](const auto&... operands) {
      return detail::record_formula({name, where}, detail::formula_of<sizeof...(Xs)>(f), {&operands...});
    }(VariableOperand(xs, where)...);
  }
}

}  // namespace gradus
