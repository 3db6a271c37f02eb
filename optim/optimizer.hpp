#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

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
[[noreturn]] void fail_listed_twice(const std::string& first, const std::string& second);
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

  /// One step. Parameters without a gradient stay as they are (`unreached` names them). Throws, before
  /// anything changes: TapeError when the gradients hold a parameter that the model does not list (forgotten
  /// in `members`, or a copy's) or lists twice, ShapeError for a gradient of another shape or dtype,
  /// NumericError for one that holds NaN or infinity.
  template <class M>
  void step(M& model, const Gradients& gradients) {
    const std::span<const Gradient> entries = gradients.entries();
    listed_.assign(entries.size(), false);
    for_each_parameter(model, [&](const std::string& path, Parameter& parameter) {
      const Gradient* gradient = gradients.find(parameter.place());
      if (gradient == nullptr) return;
      const auto i = static_cast<std::size_t>(gradient - entries.data());
      if (listed_[i]) detail::fail_listed_twice(path_of(model, parameter), path);
      listed_[i] = true;
      detail::check_gradient(path, parameter, *gradient);
    });
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!listed_[i] && entries[i].of.tape() == Place::parameter) detail::fail_unlisted(entries[i]);
    }
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

  /// The first path at which the model lists the parameter.
  template <class M>
  static std::string path_of(M& model, const Parameter& parameter) {
    std::string out;
    for_each_parameter(model, [&](const std::string& path, Parameter& p) {
      if (out.empty() && p.place() == parameter.place()) out = path;
    });
    return out;
  }

  Options options_;
  std::unordered_map<std::uint32_t, typename Rule::State> states_;  // by parameter id
  std::vector<bool> listed_;  // of a step's gradients: those that the model lists
};

}  // namespace gradus::optim
