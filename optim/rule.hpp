#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <utility>
#include <vector>

#include "tensor/shape.hpp"
#include "tensor/support/error.hpp"

namespace gradus::optim {

/// What an update rule computes with: one element of an array, or as many as a register holds. A rule is
/// written once over this type, and compiled for both. Constants are doubles, rounded to the elements' type
/// where they meet a Number: in 0.9 * m both are floats when m is one.
template <class Arithmetic>
class Number {
 public:
  using Value = typename Arithmetic::Value;
  /// What a comparison gives, for `select`.
  struct Mask {
    typename Arithmetic::Mask value;
  };

  Number(double constant) : value_(Arithmetic::constant(constant)) {}
  static Number of(const Value& value) { return Number(value, 0); }
  const Value& value() const { return value_; }

  friend Number operator-(const Number& a) { return of(-a.value_); }
  friend Number operator+(const Number& a, const Number& b) { return of(a.value_ + b.value_); }
  friend Number operator-(const Number& a, const Number& b) { return of(a.value_ - b.value_); }
  friend Number operator*(const Number& a, const Number& b) { return of(a.value_ * b.value_); }
  friend Number operator/(const Number& a, const Number& b) { return of(a.value_ / b.value_); }
  Number& operator+=(const Number& b) { return *this = *this + b; }
  Number& operator-=(const Number& b) { return *this = *this - b; }
  Number& operator*=(const Number& b) { return *this = *this * b; }
  friend Mask operator<(const Number& a, const Number& b) { return {a.value_ < b.value_}; }
  friend Mask operator>(const Number& a, const Number& b) { return {a.value_ > b.value_}; }

  /// a * b + c, rounded once where the processor has an instruction for it.
  friend Number mul_add(const Number& a, const Number& b, const Number& c) {
    return of(Arithmetic::fma(a.value_, b.value_, c.value_));
  }
  friend Number sqrt(const Number& a) { return of(Arithmetic::sqrt(a.value_)); }
  friend Number abs(const Number& a) { return of(Arithmetic::abs(a.value_)); }
  /// `yes` where the comparison holds, else `no`.
  friend Number select(const Mask& mask, const Number& yes, const Number& no) {
    return of(Arithmetic::select(mask.value, yes.value_, no.value_));
  }
  /// The larger of two; b where one of them is NaN.
  friend Number maximum(const Number& a, const Number& b) { return select(a > b, a, b); }
  /// 1, -1, or 0 for zero and NaN.
  friend Number sign(const Number& a) { return of(Arithmetic::sign(a.value_)); }

 private:
  Number(const Value& value, int) : value_(value) {}
  Value value_;
};

/// The arithmetic of single elements.
template <class T>
struct Scalar {
  using Value = T;
  using Mask = bool;
  static T constant(double x) { return static_cast<T>(x); }
  static T fma(T a, T b, T c) { return a * b + c; }
  static T sqrt(T a) { return std::sqrt(a); }
  static T abs(T a) { return std::abs(a); }
  static T sign(T a) { return static_cast<T>((a > 0) - (a < 0)); }
  static T select(bool mask, T yes, T no) { return mask ? yes : no; }
};

/// The most values that a rule may keep of an element.
inline constexpr int most_state = 4;

namespace detail {

template <class Rule, class Indices>
inline constexpr bool takes_indices = false;
template <class Rule, std::size_t... k>
inline constexpr bool takes_indices<Rule, std::index_sequence<k...>> =
    requires(const Rule& rule, Number<Scalar<float>> x, Number<Scalar<float>> (&state)[most_state]) {
  rule.update(x, x, state[k]...);
};
/// True when the rule's update takes `count` values of state.
template <class Rule, int count>
inline constexpr bool takes_state = takes_indices<Rule, std::make_index_sequence<count>>;

/// True when a rule is made of options, a step and these.
template <class R, class... Memory>
concept is_made_of = requires(const typename R::Options& options, Memory... memory) {
  R{options, std::int64_t{1}, memory...};
};

/// The only number of values that update takes; -1 when it takes several or none.
template <class Rule>
constexpr int only_state() {
  int found = -1, count = 0;
  const auto look = [&]<std::size_t... n>(std::index_sequence<n...>) {
    ((takes_state<Rule, static_cast<int>(n)> ? (found = static_cast<int>(n), ++count) : 0), ...);
  };
  look(std::make_index_sequence<most_state + 1>{});
  return count == 1 ? found : -1;
}

/// Calls f(std::index_sequence<0, ..., count - 1>); false when update does not take so many values.
template <class Rule, int n = 0, class F>
bool with_state(int count, const F& f) {
  if constexpr (takes_state<Rule, n>) {
    if (count == n) {
      f(std::make_index_sequence<n>{});
      return true;
    }
  }
  if constexpr (n < most_state) {
    return with_state<Rule, n + 1>(count, f);
  } else {
    return false;
  }
}

/// Consecutive elements of a parameter, with their gradient and their state.
template <class T>
struct Run {
  std::int64_t size;
  T* parameter;
  const T* gradient;
  T scale;               // that the gradient is multiplied by first: clipping
  T* state[most_state];  // as many as the rule asked for
};

/// Applies a rule to what `load` and `store` take and leave at i. The gradient is scaled and rounded before
/// anything else is done with it, so that a step on a scaled gradient and a scaled step on the gradient are
/// the same to the last bit.
template <class N, class Rule, class T, class Load, class Store, std::size_t... k>
void update_at(const Rule& rule, const Run<T>& run, std::int64_t i, const Load& load, const Store& store,
               std::index_sequence<k...>) {
  const auto update = [&](N p, const N& g, auto... state) {
    rule.update(p, g, state...);
    store(p.value(), run.parameter + i);
    (store(state.value(), run.state[k] + i), ...);
  };
  update(N::of(load(run.parameter + i)), N(static_cast<double>(run.scale)) * N::of(load(run.gradient + i)),
         N::of(load(run.state[k] + i))...);
}

}  // namespace detail

/// The names of what a rule keeps of an element, or only their number.
class StateNames {
 public:
  StateNames(std::initializer_list<const char*> names = {}) {
    for (const char* name : names) add(name);
  }
  /// Without names.
  StateNames(int count) : count_(count) {}

  void add(const char* name) { names_[static_cast<std::size_t>(count_++)] = name; }
  int count() const { return count_; }
  const char* operator[](int k) const {
    constexpr std::array<const char*, most_state> unnamed{"state_0", "state_1", "state_2", "state_3"};
    const auto i = static_cast<std::size_t>(k);
    return names_[i] != nullptr ? names_[i] : unnamed[i];
  }

 private:
  std::array<const char*, most_state> names_{};
  int count_ = 0;
};

/// How an optimizer changes a parameter, each element by itself. A rule is made anew for every parameter and
/// step, by `Rule{options, t}` with t = 1 at the parameter's first step, and is used on several threads.
///
///   struct MomentumRule {
///     struct Options { double lr = 0.01, momentum = 0.9; };  // lr is a must: schedules set it
///     static void check(const Options&);  // throws ArgumentError for options out of range
///     Options options;
///     std::int64_t t;
///     // p, the parameter's element; g, its gradient; and what the optimizer keeps of it from step to step,
///     0
///     // at first: one argument for each such value, up to 4. All are Numbers.
///     void update(auto& p, auto g, auto& velocity) const {
///       velocity = options.momentum * velocity + g;
///       p -= options.lr * velocity;
///     }
///   };
///
/// A rule whose options decide how much state there is has an `update` for each number of values and a
/// function `static StateNames state(const Options&)` that says which one is used, and how the state is
/// called in files. A rule made by `Rule(options, t, memory)` keeps a double of each parameter as well, 0 at
/// first, which it may change there.
template <class R>
concept UpdateRule = requires(typename R::Options& options) {
  { options.lr } -> std::same_as<double&>;
  R::check(options);
}
&&(detail::is_made_of<R> || detail::is_made_of<R, double&>)&&(detail::only_state<R>() >= 0 ||
                                                              requires(const typename R::Options& options) {
                                                                {
                                                                  R::state(options)
                                                                  } -> std::convertible_to<StateNames>;
                                                              });

/// What the rule keeps of each element.
template <UpdateRule R>
StateNames state_of(const typename R::Options& options) {
  if constexpr (requires { R::state(options); }) {
    return R::state(options);
  } else {
    return detail::only_state<R>();
  }
}

/// What a whole rule keeps of a parameter: names and shapes, zeros at first.
struct StateArray {
  const char* name;
  Shape shape;
};
using StateArrays = std::vector<StateArray>;

/// A rule that needs a parameter as a whole, in tensor ops: a mean over its rows, its singular values.
///
///   struct NormalizedRule {  // descends by the gradient's direction
///     struct Options { double lr = 0.01; };
///     static void check(const Options&);
///     static StateArrays state(const Options&, const Shape& parameter) { return {{"sum", parameter}}; }
///     Options options;
///     std::int64_t t;
///     void update(Tensor& p, const Tensor& g, std::span<Tensor> state) const {
///       state[0] = state[0] + g;
///       p = p - options.lr / norm(state[0]).item() * state[0];
///     }
///   };
///
/// It keeps up to 4 arrays of any shape. A row-sparse gradient comes as a dense one.
template <class R>
concept WholeRule = requires(typename R::Options& options, const Shape& shape) {
  { options.lr } -> std::same_as<double&>;
  R::check(options);
  { R::state(options, shape) } -> std::same_as<StateArrays>;
  R{options, std::int64_t{1}};
};

/// The name in files of the double that a rule keeps of a parameter: its `memory_name`, or "memory"; null for
/// a rule that keeps none.
template <class R>
constexpr const char* memory_name_of() {
  if constexpr (detail::is_made_of<R>) {
    return nullptr;
  } else if constexpr (requires { R::memory_name; }) {
    return R::memory_name;
  } else {
    return "memory";
  }
}

/// What the rule keeps of a parameter of this shape.
template <class R>
StateArrays arrays_of(const typename R::Options& options, const Shape& shape) {
  if constexpr (WholeRule<R>) {
    return R::state(options, shape);
  } else {
    StateArrays out;
    const StateNames names = state_of<R>(options);
    for (int k = 0; k < names.count(); ++k) out.push_back({names[k], shape});
    return out;
  }
}

/// What an option of a rule may be.
struct Range {
  double least, below;  // from the least, which is allowed, to the bound, which is not
  const char* text;
};
inline constexpr Range not_negative{0, std::numeric_limits<double>::infinity(), "a finite number, 0 or more"};
inline constexpr Range fraction{0, 1, "at least 0 and below 1"};
/// For what is added to a root that may be 0: also in f32 it must not be 0, or 0 / 0 would give NaN.
inline constexpr Range keeps_from_zero{std::numeric_limits<float>::min(),
                                       std::numeric_limits<double>::infinity(),
                                       "a finite number of at least 1.2e-38, lest 0 be divided by 0"};

struct Option {
  const char* name;
  double value;
  Range range;
};
/// Throws ArgumentError for the first option that is out of its range.
inline void check_options(const char* optimizer, std::initializer_list<Option> options) {
  for (const Option& o : options) {
    if (!(o.value >= o.range.least && o.value < o.range.below))
      fail<ArgumentError>("{}: {} is {}; it must be {}", optimizer, o.name, o.value, o.range.text);
  }
}

}  // namespace gradus::optim
