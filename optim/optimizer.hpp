#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/freeze.hpp"
#include "autograd/gradients.hpp"
#include "autograd/members.hpp"
#include "optim/rule.hpp"
#include "tensor/safetensors.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::optim {

/// What a step does beside its rule.
struct StepOptions {
  /// The largest norm of all gradients taken as one vector. Where it is exceeded, the step is that of
  /// gradients which `optim::clip_norm` has scaled, to the bit; the gradients themselves stay as they are.
  /// Infinity: no clipping.
  double clip_norm = std::numeric_limits<double>::infinity();
  /// The norm of all gradients, where those that are given are but a part and other processes have the rest.
  /// No step is made where it is not finite: a gradient of another process is not, which makes none either.
  std::optional<double> norm = {};
};

/// Rules by name, for what is done with each of them.
template <class... Rules>
struct RuleList {
  template <class Rule>
  static constexpr bool contains = (std::same_as<Rule, Rules> || ...);
};

namespace detail {

/// What an optimizer keeps of a parameter from step to step.
struct State {
  std::array<Tensor, most_state> arrays;
  std::int64_t t = 0;  // the steps so far
  Shape shape;         // the parameter's, and its dtype, once there was a step
  Dtype dtype = Dtype::f32;
  double memory = 0;                  // what the rule keeps beside the arrays
  std::size_t groups_seen = 0;        // how many groups of options have been looked at for it
  std::vector<std::uint32_t> groups;  // those that it belongs to
};

/// A parameter with its gradient, for the length of a step.
struct Work {
  Parameter* parameter = nullptr;  // null: the model does not list it
  State* state = nullptr;
};

/// True for the library's rules, which are compiled for each instruction set.
template <class Rule>
inline constexpr bool is_vectorized = false;
/// Applies one of them. Defined in rules.cpp.
template <class Rule, class T>
void step_vectors(const Rule& rule, const Run<T>& run, int state);
/// Applies a rule to each element; `state` is the number of values that it keeps of one. Everything is
/// inlined (flatten), so that also at -O2 the rule's constants are converted once and not for each element.
template <class Rule, class T>
[[gnu::flatten]] void apply(const Rule& given, const Run<T>& all, int state) {
  if constexpr (is_vectorized<Rule>) {
    step_vectors(given, all, state);
  } else {
    with_state<Rule>(state, [&](auto indices) {
      const Rule rule = given;  // copies, which no store can change
      const Run<T> run = all;
      for (std::int64_t i = 0; i < run.size; ++i) {
        update_at<Number<Scalar<T>>>(
            rule, run, i, [](const T* x) { return *x; }, [](T value, T* to) { *to = value; }, indices);
      }
    });
  }
}

template <class T>
Run<T> part(const Run<T>& all, std::int64_t begin, std::int64_t gradient_begin, std::int64_t size) {
  Run<T> out = all;
  out.size = size;
  out.parameter += begin;
  out.gradient += gradient_begin;
  for (T*& values : out.state)
    if (values != nullptr) values += begin;
  return out;
}

/// Calls visit(run) on the library's threads for parts of the parameter, or of the rows of a sparse gradient.
/// cost: the work of an element.
template <class T, class Visit>
void for_each_run(const Gradient& gradient, const Run<T>& all, std::int64_t cost, const Visit& visit) {
  constexpr std::int64_t align = 64 / sizeof(T);  // no two threads write to one cache line
  if (!gradient.is_sparse()) {
    parallel::for_range(
        all.size, cost,
        [&](std::int64_t begin, std::int64_t end) { visit(part(all, begin, begin, end - begin)); }, align);
    return;
  }
  const std::int64_t rows = gradient.rows.ids.size();
  const std::int64_t width = rows == 0 ? 0 : gradient.rows.values.size() / rows;
  const std::int32_t* const ids = gradient.rows.ids.data();
  parallel::for_each(rows, cost * width,
                     [&](std::int64_t i) { visit(part(all, ids[i] * width, i * width, width)); });
}

/// True when the gradient can be the parameter's: its shape and dtype, and a sparse one's rows.
bool fits(const Parameter& parameter, const Gradient& gradient);
/// Whether a parameter is what it was at the steps before; of one that had none it is noted.
bool unchanged(State& state, const Parameter& parameter);
/// Makes those of the first `count` arrays of an elementwise rule that there are not yet.
void make_arrays(State& state, int count, const Tensor& like);
/// The same for a whole rule.
void make_arrays(State& state, const StateArrays& arrays);
/// Throws NumericError for NaN or infinity.
void check_finite(const std::string& path, const Gradient& gradient);
[[noreturn]] void fail_norm(double norm);
/// What the gradients are multiplied by to have a norm of at most `limit`: 1 or less. Throws as clip_norm.
double clip_scale(double norm, double limit);

/// The whole gradient, clipped.
Tensor scaled(const Gradient& gradient, double scale);

[[noreturn]] void fail_unfit(const std::string& path, const Parameter& parameter, const Gradient& gradient);
[[noreturn]] void fail_changed(const std::string& path, const Parameter& parameter, const State& state);
[[noreturn]] void fail_unlisted(const Gradient& gradient);
[[noreturn]] void fail_listed_twice(const std::vector<std::string>& paths);
[[noreturn]] void fail_state(int state);

/// A parameter's state as tensors: "hidden.weight.exp_avg", and the steps as "hidden.weight.step".
void put_state(const State& state, const StateArrays& arrays, const char* memory_name,
               const std::string& path, Safetensors& out);
/// Reads it, and counts the tensors that it took. A parameter of which there is none has made no step.
State take_state(const Safetensors& from, const StateArrays& arrays, const char* memory_name,
                 const std::string& path, const Parameter& parameter, const std::string& name,
                 std::size_t& taken);
/// Throws DataError, naming a tensor of no parameter of these paths.
[[noreturn]] void fail_left_over(const Safetensors& from, const std::vector<std::string>& paths,
                                 const std::string& name);

}  // namespace detail

/// Changes a model's parameters by a rule, from the gradients that backward returned, in one pass over each
/// parameter. A row-sparse gradient changes only its rows, and only their state. Rules that keep squares of
/// gradients hold on to an infinite one: in f32 the square of a gradient above 1.8e19 is, which clip_norm
/// prevents.
///
///   optim::AdamW optimizer({.lr = 3e-4, .weight_decay = 0.1});
///   optimizer.for_parameters({"*bias", "*norm*"}, [](auto& o) { o.weight_decay = 0; });
///   for (...) { optimizer.set_lr(schedule(i)); optimizer.step(model, tape.backward(loss), {.clip_norm = 1});
///   }
template <class Rule>
requires(UpdateRule<Rule> || WholeRule<Rule>) class Optimizer {
 public:
  using Options = typename Rule::Options;
  /// Whether a gradient by rows changes those rows alone: not where the rule looks at a whole parameter.
  static constexpr bool steps_by_rows = !WholeRule<Rule>;

  /// Throws ArgumentError for options out of range.
  explicit Optimizer(Options options = {}) : options_(checked(options)) {}

  const Options& options() const { return options_; }
  /// The options of the steps that follow. Throws ArgumentError for options out of range.
  void set_options(const Options& options) { options_ = checked(options); }
  /// For schedules: the learning rate of the steps that follow.
  void set_lr(double lr) {
    Options options = options_;
    options.lr = lr;
    set_options(options);
  }

  /// Changes the options of some parameters: those whose path matches one of the patterns, in which * stands
  /// for any characters and ? for one. `change` is a function of Options&, called in every step on a copy of
  /// the optimizer's own, so a rate may be a multiple of the scheduled one: [](auto& o) { o.lr *= 0.1; }.
  /// Of several groups that a parameter belongs to, the later ones change what the earlier ones left. The
  /// next step throws ArgumentError for a pattern that no parameter of its model matches, or for options out
  /// of range.
  Optimizer& for_parameters(std::vector<std::string> patterns, std::function<void(Options&)> change) {
    if (patterns.empty() || !change)
      fail<ArgumentError>("for_parameters: give a pattern and a function of the options");
    groups_.push_back({std::move(patterns), std::move(change)});
    return *this;
  }

  /// One step; returns the Euclidean norm of all gradients taken as one vector, from before clipping.
  /// Parameters without a gradient stay as they are (`unreached` names them). Throws, before anything
  /// changes: TapeError when the gradients hold a parameter that the model does not list (forgotten in
  /// `members`, or a copy's) or lists twice, ShapeError for a gradient of another shape or dtype or a
  /// parameter that changed them since the last step, NumericError for a gradient that holds NaN or infinity
  /// or, when clipping or given the norm, one too large for a double, ArgumentError unless clip_norm > 0.
  template <class M>
  double step(M& model, const Gradients& gradients, const StepOptions& step_options = {}) {
    storage::PoolVector<detail::Work> work = match(model, gradients);
    const double before = step_options.norm ? *step_options.norm : norm(gradients);
    if (!std::isfinite(before)) {
      check_finite(model, gradients);
      if (step_options.norm) detail::fail_norm(before);
    }
    const bool clips = step_options.clip_norm != StepOptions{}.clip_norm;
    const double scale = clips ? detail::clip_scale(before, step_options.clip_norm) : 1;
    const std::span<const Gradient> entries = gradients.entries();
    if (!groups_.empty()) assign_groups(model);
    for (detail::Work& one : work) {
      if (one.parameter == nullptr) continue;
      one.state = &states_[one.parameter->id()];
      if (!detail::unchanged(*one.state, *one.parameter))
        detail::fail_changed(paths_of(model, *one.parameter).front(), *one.parameter, *one.state);
      const Options options = options_for(*one.state);
      if constexpr (WholeRule<Rule>) {
        detail::make_arrays(*one.state, Rule::state(options, one.parameter->shape()));
      } else {
        detail::make_arrays(*one.state, state_of<Rule>(options).count(), one.parameter->value());
      }
    }
    for (std::size_t i = 0; i < work.size(); ++i) {
      if (work[i].parameter != nullptr) update(work[i], entries[i], scale);
    }
    return before;
  }

  /// What the optimizer keeps of a model's parameters, by the parameter's path and the state's name, such as
  /// "hidden.weight.exp_avg", with the number of its steps as "hidden.weight.step". With `set_state` and the
  /// same options, a run goes on to the bit; the names of the state are PyTorch's.
  template <class M>
  Safetensors state(const M& model) const {
    Safetensors out;
    for_each_parameter(model, [&](const std::string& path, const Parameter& parameter) {
      const auto found = states_.find(parameter.id());
      if (found == states_.end() || found->second.t == 0) return;
      detail::put_state(found->second, arrays_of<Rule>(options_for(found->second), parameter.shape()),
                        memory_name_of<Rule>(), path, out);
    });
    return out;
  }
  /// Takes it back, converted to the parameters' dtype. Throws DataError, which calls it `name`, before
  /// anything changes: when a tensor is missing, has another shape, or is the state of no parameter.
  template <class M>
  void set_state(const M& model, const Safetensors& content,
                 const std::string& name = "the optimizer's state") {
    if (!groups_.empty()) assign_groups(model);
    std::unordered_map<std::uint32_t, detail::State> taken;
    std::vector<std::string> paths;
    std::size_t count = 0;
    for_each_parameter(model, [&](const std::string& path, const Parameter& parameter) {
      detail::State& old = states_[parameter.id()];
      detail::State state = detail::take_state(content, arrays_of<Rule>(options_for(old), parameter.shape()),
                                               memory_name_of<Rule>(), path, parameter, name, count);
      state.groups = old.groups;
      state.groups_seen = old.groups_seen;
      taken.insert_or_assign(parameter.id(), std::move(state));
      paths.push_back(path);
    });
    if (count != content.tensors.size()) detail::fail_left_over(content, paths, name);
    for (auto& [id, state] : taken) states_[id] = std::move(state);
  }

 private:
  struct Group {
    std::vector<std::string> patterns;
    std::function<void(Options&)> change;
  };

  static const Options& checked(const Options& options) {
    Rule::check(options);
    if constexpr (!WholeRule<Rule>) {
      const int arrays = state_of<Rule>(options).count();
      if (!detail::with_state<Rule>(arrays, [](auto) {})) detail::fail_state(arrays);
    }
    return options;
  }

  Options options_for(const detail::State& state) const {
    Options out = options_;
    if (state.groups.empty()) return out;
    for (const std::uint32_t group : state.groups) groups_[group].change(out);
    return checked(out);
  }

  /// Notes the groups that each parameter belongs to, once.
  template <class M>
  void assign_groups(const M& model) {
    bool new_ones = false;
    for_each_unnamed_parameter(model, [&](const Parameter& parameter) {
      const auto found = states_.find(parameter.id());
      new_ones |= found == states_.end() || found->second.groups_seen < groups_.size();
    });
    if (!new_ones) return;
    std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> groups;  // by parameter id
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      gradus::detail::for_each_matching("for_parameters", model, groups_[i].patterns,
                                        [&](const Parameter& parameter) {
                                          groups[parameter.id()].push_back(static_cast<std::uint32_t>(i));
                                        });
    }
    for_each_unnamed_parameter(model, [&](const Parameter& parameter) {
      detail::State& state = states_[parameter.id()];
      state.groups = groups[parameter.id()];
      state.groups_seen = groups_.size();
    });
  }

  /// The model's parameters, each where its gradient stands.
  template <class M>
  storage::PoolVector<detail::Work> match(M& model, const Gradients& gradients) const {
    const std::span<const Gradient> entries = gradients.entries();
    storage::PoolVector<detail::Work> work(entries.size());
    for_each_unnamed_parameter(model, [&](Parameter& parameter) {
      const Gradient* gradient = gradients.find(parameter.place());
      if (gradient == nullptr) return;
      Parameter*& listed = work[static_cast<std::size_t>(gradient - entries.data())].parameter;
      if (listed != nullptr) detail::fail_listed_twice(paths_of(model, parameter));
      listed = &parameter;
      if (!detail::fits(parameter, *gradient))
        detail::fail_unfit(paths_of(model, parameter).front(), parameter, *gradient);
    });
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (work[i].parameter == nullptr && entries[i].of.tape() == Place::parameter)
        detail::fail_unlisted(entries[i]);
    }
    return work;
  }

  /// Throws for the first parameter whose gradient is not finite.
  template <class M>
  void check_finite(M& model, const Gradients& gradients) const {
    for_each_parameter(model, [&](const std::string& path, Parameter& parameter) {
      const Gradient* gradient = gradients.find(parameter.place());
      if (gradient != nullptr) detail::check_finite(path, *gradient);
    });
  }

  static Rule make_rule(const Options& options, detail::State& state) {
    if constexpr (detail::is_made_of<Rule>) {
      return Rule{options, ++state.t};
    } else {
      return Rule{options, ++state.t, state.memory};
    }
  }

  void update(const detail::Work& work, const Gradient& gradient, double scale) {
    const Options options = options_for(*work.state);
    const Rule rule = make_rule(options, *work.state);
    if constexpr (WholeRule<Rule>) {
      const std::span<Tensor> state(work.state->arrays);
      rule.update(work.parameter->mutable_value(), detail::scaled(gradient, scale), state);
    } else {
      update_elements(rule, state_of<Rule>(options).count(), work, gradient, scale);
    }
  }
  static void update_elements(const Rule& rule, int arrays, const detail::Work& work,
                              const Gradient& gradient, double scale) {
    gradus::visit_dtype(work.parameter->dtype(), [&](auto tag) {
      using T = decltype(tag);
      detail::Run<T> all{work.parameter->size(),
                         work.parameter->mutable_value().template mutable_data<T>(),
                         gradient.values().template data<T>(),
                         static_cast<T>(scale),
                         {}};
      for (std::size_t k = 0; k < static_cast<std::size_t>(arrays); ++k)
        all.state[k] = work.state->arrays[k].template mutable_data<T>();
      detail::for_each_run(gradient, all, 1 + arrays,
                           [&](const detail::Run<T>& run) { detail::apply(rule, run, arrays); });
    });
  }

  /// Every path at which the model lists the parameter.
  template <class M>
  static std::vector<std::string> paths_of(M& model, const Parameter& parameter) {
    std::vector<std::string> out;
    for_each_parameter(model, [&](const std::string& path, Parameter& p) {
      if (p.place() == parameter.place()) out.push_back(path);
    });
    return out;
  }

  Options options_;
  std::vector<Group> groups_;
  std::unordered_map<std::uint32_t, detail::State> states_;  // by parameter id
};

}  // namespace gradus::optim
