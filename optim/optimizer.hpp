#pragma once

#include <string>
#include <unordered_map>
#include <utility>

#include "autograd/gradients.hpp"
#include "autograd/members.hpp"

namespace gradus::optim {

/// A run of consecutive elements of a parameter with its gradient: the whole parameter, or one row of a
/// row-sparse gradient.
struct Segment {
  std::int64_t begin;  // the first element's place in the parameter and in the rule's state
  std::int64_t size;
  const void* gradient;
};

namespace detail {
/// Calls visit(segment) for the dense gradient, or for each row of a sparse one.
template <class Visit>
void for_each_segment(const Gradient& gradient, Visit&& visit) {
  const Tensor& values = gradient.is_sparse() ? gradient.rows.values : gradient.dense;
  gradus::visit_dtype(values.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if (!gradient.is_sparse()) return visit(Segment{0, values.size(), values.data<T>()});
    const std::int64_t width = values.dim(0) == 0 ? 0 : values.size() / values.dim(0);
    for (std::int64_t i = 0; i < values.dim(0); ++i) {
      visit(Segment{gradient.rows.ids.data()[i] * width, width, values.data<T>() + i * width});
    }
  });
}
void check_gradient(const std::string& path, const Parameter& parameter, const Gradient& gradient);
[[noreturn]] void fail_unlisted(const Gradient& gradient);
}  // namespace detail

/// Changes a model's parameters by a rule, from the gradients that backward returned. A Rule has
///
///   struct Options { double lr = ...; ... };
///   struct State { ... };                    // what is kept for each parameter
///   static void check(const Options&);       // throws ArgumentError
///   static void begin(const Options&, State&, const Tensor& parameter);   // once a step, first
///   template <class T>
///   static void update(const Options&, State&, T* parameter, const Segment&);
///
/// A row-sparse gradient changes only its rows, and only their part of the state.
template <class Rule>
class Optimizer {
 public:
  using Options = typename Rule::Options;

  /// Throws ArgumentError for options out of range.
  explicit Optimizer(Options options = {}) : options_(options) { Rule::check(options_); }

  const Options& options() const { return options_; }
  /// For schedules: the learning rate of the steps that follow.
  void set_lr(double lr) {
    options_.lr = lr;
    Rule::check(options_);
  }

  /// One step. Parameters without a gradient stay as they are. Throws TapeError, before anything changes,
  /// when the gradients hold a parameter that the model does not list: one forgotten in `members`, or a copy.
  template <class M>
  void step(M& model, const Gradients& gradients) {
    std::size_t listed = 0, wanted = 0;
    for (const Gradient& gradient : gradients.entries()) wanted += gradient.of.tape == Place::parameter;
    for_each_parameter(model, [&](const std::string& path, Parameter& parameter) {
      if (const Gradient* gradient = gradients.find(parameter.place())) {
        detail::check_gradient(path, parameter, *gradient);
        ++listed;
      }
    });
    if (listed < wanted) fail_first_unlisted(model, gradients);
    for_each_parameter(model, [&](const std::string&, Parameter& parameter) {
      if (const Gradient* gradient = gradients.find(parameter.place())) update(parameter, *gradient);
    });
  }

 private:
  void update(Parameter& parameter, const Gradient& gradient) {
    typename Rule::State& state = states_[parameter.id()];
    Rule::begin(options_, state, parameter.value());
    gradus::visit_dtype(parameter.dtype(), [&](auto tag) {
      using T = decltype(tag);
      T* const values = parameter.mutable_value().mutable_data<T>();
      detail::for_each_segment(gradient, [&](const Segment& segment) {
        Rule::update(options_, state, values + segment.begin, segment);
      });
    });
  }

  template <class M>
  [[noreturn]] static void fail_first_unlisted(M& model, const Gradients& gradients) {
    for (const Gradient& gradient : gradients.entries()) {
      bool found = gradient.of.tape != Place::parameter;
      for_each_parameter(model, [&](const std::string&, Parameter& p) { found |= p.place() == gradient.of; });
      if (!found) detail::fail_unlisted(gradient);
    }
    fail<TapeError>("the model lists a parameter twice in members");
  }

  Options options_;
  std::unordered_map<std::uint32_t, typename Rule::State> states_;  // by parameter id
};

}  // namespace gradus::optim
