#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/members.hpp"
#include "autograd/tape.hpp"
#include "autograd/variable.hpp"

/// Derivatives of functions, as functions:
///
///   const Variable slope = grad([](const Variable& x) { return sum(sin(x)); }, x);
///   const Variable curve = grad([](const Variable& x) { return sum(square(grad(f, x))); }, x);
///
/// f takes a Variable, or where a list of arguments is given std::span<const Variable>, or nothing: then it
/// is differentiated with respect to the listed parameters and Variables that it captured. It returns one
/// Variable, and is called once.
///
/// With a tape active the derivative is recorded on it, so transforms nest to any depth, and flows on into
/// the arguments and into whatever f captured. Without one, a tape is made for the call, and the results come
/// back as constants; parameters and Variables of other tapes that f captured are then constants too.
///
/// An argument enters f as a fresh node, so a derivative is partial whatever the arguments depend on. An
/// argument that f does not use has the derivative 0. The shapes of x are written (X...), those of y = f(x)
/// (Y...). All throw ShapeError, naming both shapes, for a seed or tangent of another shape than its
/// argument's or result's, DtypeError for another dtype, and TapeError for an op on the way whose gradient
/// must itself be differentiated and is not written in differentiable ops.
namespace gradus {

/// How a jacobian is computed: a product with the transposed jacobian for each element of y, or a product
/// with it for each element of x; by_shape takes what is fewer.
enum class JacobianBy { shape, rows, columns };
struct JacobianOptions {
  JacobianBy by = JacobianBy::shape;
};

namespace detail {
template <class F>
concept NotVariable = !std::derived_from<std::remove_cvref_t<F>, Variable>;

/// f, lent for the length of a call.
class LentFunction {
 public:
  /// As a function of arguments of type X.
  template <class X, class F>
  static LentFunction of(F& f) {
    const Call call = [](void* g, [[maybe_unused]] Arguments xs) -> Variable {
      F& function = *reinterpret_cast<F*>(g);
      if constexpr (std::is_invocable_v<F&>) {
        return function();
      } else if constexpr (is_one<X>) {
        static_assert(std::is_invocable_r_v<Variable, F&, const Variable&>,
                      "f takes a const Variable& (or nothing) and returns a Variable");
        return function(xs[0]);
      } else {
        static_assert(std::is_invocable_r_v<Variable, F&, Arguments>,
                      "f takes a std::span<const Variable> (or nothing) and returns a Variable");
        return function(xs);
      }
    };
    // reinterpret_cast, since f may be a plain function.
    if constexpr (std::is_function_v<F>) {
      return {reinterpret_cast<void*>(&f), call, std::is_invocable_v<F&>};
    } else {
      return {const_cast<void*>(static_cast<const void*>(std::addressof(f))), call, std::is_invocable_v<F&>};
    }
  }
  Variable operator()(Arguments xs) const { return call_(f_, xs); }
  /// True for an f without arguments, which uses the Variables themselves.
  bool captures() const { return captures_; }

 private:
  using Call = Variable (*)(void*, Arguments);
  LentFunction(void* f, Call call, bool captures) : f_(f), call_(call), captures_(captures) {}
  void* f_;
  Call call_;
  bool captures_;
};

std::pair<Variable, Variables> value_and_grad(LentFunction f, Arguments xs, Where where);
std::pair<Variable, Variables> vjp(LentFunction f, Arguments xs, const Variable& seed, Where where);
std::pair<Variable, Variable> jvp(LentFunction f, Arguments xs, Arguments tangents, Where where);
Variables vjps(LentFunction f, Arguments xs, const Variable& seeds, Where where);
Variable jvps(LentFunction f, Arguments xs, Arguments tangents, Where where);
Variables hvp(LentFunction f, Arguments xs, Arguments vs, Where where);
Variables jacobian(LentFunction f, Arguments xs, JacobianOptions options, Where where);
std::vector<Variables> hessian(LentFunction f, Arguments xs, Where where);
}  // namespace detail

// x is a Variable, and the result for it one too; or x is a list (a span, a vector, an array), and so are the
// tangents, and there is a result for each.

/// y = f(x), of one element, and its gradient: (X...). Throws ShapeError when y has more elements.
template <detail::NotVariable F, detail::ArgumentList X>
auto value_and_grad(F&& f, const X& x, Where where = Where::here()) {
  auto [y, gs] = detail::value_and_grad(detail::LentFunction::of<X>(f), detail::list_of(x), where);
  return std::pair(std::move(y), detail::like<X>(std::move(gs)));
}

/// The gradient alone. (`grad(y, x)`, of a y already recorded, is in autograd/tape.hpp.)
template <detail::NotVariable F, detail::ArgumentList X>
auto grad(F&& f, const X& x, Where where = Where::here()) {
  return value_and_grad(f, x, where).second;
}

/// y = f(x) and the product of the seed, (Y...), with the jacobian: (X...).
template <detail::NotVariable F, detail::ArgumentList X>
auto vjp(F&& f, const X& x, const Variable& seed, Where where = Where::here()) {
  auto [y, gs] = detail::vjp(detail::LentFunction::of<X>(f), detail::list_of(x), seed, where);
  return std::pair(std::move(y), detail::like<X>(std::move(gs)));
}

/// y = f(x) and the product of the jacobian with the tangent, (X...): (Y...). No op needs a second rule for
/// it: the vjp is linear in its seed, and its own vjp is this product; and where all ops of f work element by
/// element, each gives its result's tangent by the same rule as an input's gradient.
template <detail::NotVariable F, detail::ArgumentList X, detail::ArgumentList T>
std::pair<Variable, Variable> jvp(F&& f, const X& x, const T& tangents, Where where = Where::here()) {
  return detail::jvp(detail::LentFunction::of<X>(f), detail::list_of(x), detail::list_of(tangents), where);
}

/// Several seeds, (k, Y...), or tangents, (k, X...), for one call of f: (k, X...), or (k, Y...).
template <detail::NotVariable F, detail::ArgumentList X>
auto vjps(F&& f, const X& x, const Variable& seeds, Where where = Where::here()) {
  return detail::like<X>(detail::vjps(detail::LentFunction::of<X>(f), detail::list_of(x), seeds, where));
}
template <detail::NotVariable F, detail::ArgumentList X, detail::ArgumentList T>
Variable jvps(F&& f, const X& x, const T& tangents, Where where = Where::here()) {
  return detail::jvps(detail::LentFunction::of<X>(f), detail::list_of(x), detail::list_of(tangents), where);
}

/// The product of f's hessian with v, (X...): (X...), without the hessian. f gives one element.
template <detail::NotVariable F, detail::ArgumentList X, detail::ArgumentList V>
auto hvp(F&& f, const X& x, const V& v, Where where = Where::here()) {
  return detail::like<X>(
      detail::hvp(detail::LentFunction::of<X>(f), detail::list_of(x), detail::list_of(v), where));
}

/// All derivatives of y with respect to x: (Y..., X...). f is recorded once; many elements
/// are swept at once, so few that what they need stays in a near cache.
template <detail::NotVariable F, detail::ArgumentList X>
auto jacobian(F&& f, const X& x, JacobianOptions options = {}, Where where = Where::here()) {
  return detail::like<X>(
      detail::jacobian(detail::LentFunction::of<X>(f), detail::list_of(x), options, where));
}

/// The second derivatives of an f of one element: (X..., X...); for several arguments block [i][j] is
/// (X_i..., X_j...). The gradient is recorded once, and many elements of x are swept at once.
template <detail::NotVariable F, detail::ArgumentList X>
auto hessian(F&& f, const X& x, Where where = Where::here()) {
  std::vector<Variables> blocks = detail::hessian(detail::LentFunction::of<X>(f), detail::list_of(x), where);
  if constexpr (detail::is_one<X>) {
    return std::move(blocks.front().front());
  } else {
    return blocks;
  }
}

/// x as a constant: no gradient flows through it. The same as detach.
inline Variable stop_gradient(const Variable& x) {
  return detach(x);
}

/// The gradient of an op of the user's own: (g, y, xs) to one Variable an input, where g is the gradient of
/// the result y, in differentiable ops if second derivatives are wanted. An undefined Variable stands for
/// zeros.
using CustomGradient =
    std::function<Variables(const Variable& g, const Variable& y, std::span<const Variable> xs)>;
/// f(xs), whose gradient is the given one instead of that of the ops in f, which are not recorded. f is
/// called at once; the gradient is kept and called by backward, after the caller may have returned, so it
/// captures by value. Throws ArgumentError when the gradient does not give one Variable an input, and
/// TapeError when f uses a parameter or a recorded Variable that is none of xs, since nothing would reach it.
Variable custom_vjp(const std::function<Variable(std::span<const Variable>)>& f, CustomGradient gradient,
                    std::span<const Variable> xs, Where where = Where::here());
/// The same for an f of several results: the gradient takes those of all, undefined where nothing depends on
/// one, and all results.
using CustomGradients = std::function<Variables(std::span<const Variable> gs, std::span<const Variable> ys,
                                                std::span<const Variable> xs)>;
Variables custom_vjp(const std::function<Variables(std::span<const Variable>)>& f, CustomGradients gradient,
                     std::span<const Variable> xs, Where where = Where::here());

/// The parameters of a module, in the order of its members, for an f that captures the module:
/// `grad([&] { return loss(model(x)); }, parameters(model))`.
template <class M>
Variables parameters(const M& module) {
  Variables out;
  for_each_parameter(module, [&](const std::string&, const Parameter& p) { out.push_back(p); });
  return out;
}

}  // namespace gradus
