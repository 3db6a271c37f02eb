#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <limits>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/members.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::optim {

/// What a step does beside its rule.
struct StepOptions {
  /// The largest norm of all gradients taken as one vector: longer ones are scaled as `optim::clip_norm`
  /// scales them, to the same bits, but as they are read, and stay as they are. Infinity: no clipping.
  double clip_norm = std::numeric_limits<double>::infinity();
};

/// A gradient's elements, clipped as they are read.
template <class T>
struct ScaledGradient {
  const T* elements;
  T scale;
  T operator[](std::int64_t i) const { return scale * elements[i]; }
};

/// The most arrays that a rule may keep.
inline constexpr int most_kept = 4;

/// Consecutive elements of a parameter, with their gradient and what the rule keeps of them: a part of the
/// parameter, or of a row of a row-sparse gradient.
template <class T>
struct Run {
  std::int64_t size;
  T* parameter;
  ScaledGradient<T> gradient;
  std::array<T*, most_kept> kept;  // as many as the rule asked for
};

/// How an optimizer changes a parameter, each element by itself. A rule is made anew for every parameter and
/// step, by `Rule{options, t}` with t = 1 at the parameter's first step, and is used on several threads.
///
///   struct SignRule {
///     struct Options { double lr = 0.01; };        // lr is a must: schedules set it
///     static void check(const Options&);           // throws ArgumentError for options out of range
///     static int kept(const Options&);             // how many numbers to keep of each element, 0 at first
///     Options options;
///     std::int64_t t;
///     template <class T>                           // float and double
///     void update(const Run<T>& run) const {
///       for (std::int64_t i = 0; i < run.size; ++i) run.parameter[i] -= ...;
///     }
///   };
template <class R>
concept UpdateRule = requires(typename R::Options& options, const R& rule, const Run<float>& of_floats,
                              const Run<double>& of_doubles) {
  { options.lr } -> std::same_as<double&>;
  R::check(options);
  { R::kept(options) } -> std::same_as<int>;
  R{options, std::int64_t{1}};
  rule.update(of_floats);
  rule.update(of_doubles);
};

namespace detail {

/// What an optimizer holds of a parameter.
struct Kept {
  std::array<Tensor, most_kept> arrays;  // of the parameter's shape
  std::int64_t t = 0;                    // the steps so far
};

/// A parameter with its gradient, for the length of a step.
struct Work {
  Parameter* parameter = nullptr;  // null: the model does not list it
  Kept* kept = nullptr;
};

inline const Tensor& values_of(const Gradient& gradient) {
  return gradient.is_sparse() ? gradient.rows.values : gradient.dense;
}

template <class T>
Run<T> part(const Run<T>& all, std::int64_t begin, std::int64_t gradient_begin, std::int64_t size) {
  Run<T> out{size, all.parameter + begin, {all.gradient.elements + gradient_begin, all.gradient.scale}, {}};
  for (std::size_t k = 0; k < out.kept.size(); ++k)
    if (all.kept[k] != nullptr) out.kept[k] = all.kept[k] + begin;
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
  parallel::for_range(rows, cost * width, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) visit(part(all, ids[i] * width, i * width, width));
  });
}

/// True when the gradient can be the parameter's: its shape and dtype, and a sparse one's rows.
bool fits(const Parameter& parameter, const Gradient& gradient);
/// Makes what is kept of a parameter, `count` arrays. False when it has been made for another shape or dtype.
bool prepare(Kept& kept, int count, const Parameter& parameter);
/// Throws NumericError for NaN or infinity.
void check_finite(const std::string& path, const Gradient& gradient);
/// What the gradients are multiplied by to have a norm of at most `limit`: 1 or less. Throws as clip_norm.
double clip_scale(double norm, double limit);

[[noreturn]] void fail_unfit(const std::string& path, const Parameter& parameter, const Gradient& gradient);
[[noreturn]] void fail_changed(const std::string& path, const Parameter& parameter, const Tensor& kept);
[[noreturn]] void fail_unlisted(const Gradient& gradient);
[[noreturn]] void fail_listed_twice(const std::vector<std::string>& paths);
void check_kept(int kept);

}  // namespace detail

/// Changes a model's parameters by a rule, from the gradients that backward returned, in one pass over each
/// parameter. A row-sparse gradient changes only its rows, and only their part of what the rule keeps.
template <UpdateRule Rule>
class Optimizer {
 public:
  using Options = typename Rule::Options;

  /// Throws ArgumentError for options out of range.
  explicit Optimizer(Options options = {}) : options_(options), arrays_(Rule::kept(options)) {
    Rule::check(options_);
    detail::check_kept(arrays_);
  }

  const Options& options() const { return options_; }
  /// For schedules: the learning rate of the steps that follow.
  void set_lr(double lr) {
    options_.lr = lr;
    Rule::check(options_);
  }

  /// One step; returns the Euclidean norm of all gradients taken as one vector, from before clipping.
  /// Parameters without a gradient stay as they are (`unreached` names them). Throws, before anything
  /// changes: TapeError when the gradients hold a parameter that the model does not list (forgotten in
  /// `members`, or a copy's) or lists twice, ShapeError for a gradient of another shape or dtype or a
  /// parameter that changed them since the last step, NumericError for a gradient that holds NaN or infinity
  /// or, when clipping, a norm too large for a double, ArgumentError unless clip_norm > 0.
  template <class M>
  double step(M& model, const Gradients& gradients, const StepOptions& step_options = {}) {
    storage::PoolVector<detail::Work> work = match(model, gradients);
    const double before = norm(gradients);
    if (!std::isfinite(before)) check_finite(model, gradients);
    const bool clips = step_options.clip_norm != StepOptions{}.clip_norm;
    const double scale = clips ? detail::clip_scale(before, step_options.clip_norm) : 1;
    const std::span<const Gradient> entries = gradients.entries();
    for (detail::Work& one : work) {
      if (one.parameter == nullptr) continue;
      one.kept = &kept_[one.parameter->id()];
      if (!detail::prepare(*one.kept, arrays_, *one.parameter))
        detail::fail_changed(paths_of(model, *one.parameter).front(), *one.parameter, one.kept->arrays[0]);
    }
    for (std::size_t i = 0; i < work.size(); ++i) {
      if (work[i].parameter != nullptr) update(work[i], entries[i], scale);
    }
    return before;
  }

 private:
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

  void update(const detail::Work& work, const Gradient& gradient, double scale) {
    const Rule rule{options_, ++work.kept->t};
    gradus::visit_dtype(work.parameter->dtype(), [&](auto tag) {
      using T = decltype(tag);
      Run<T> all{work.parameter->size(),
                 work.parameter->mutable_value().template mutable_data<T>(),
                 {detail::values_of(gradient).template data<T>(), static_cast<T>(scale)},
                 {}};
      for (std::size_t k = 0; k < static_cast<std::size_t>(arrays_); ++k)
        all.kept[k] = work.kept->arrays[k].template mutable_data<T>();
      detail::for_each_run(gradient, all, 1 + arrays_, [&](const Run<T>& run) { rule.update(run); });
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
  int arrays_;                                            // that the rule keeps of each parameter
  std::unordered_map<std::uint32_t, detail::Kept> kept_;  // by parameter id
};

}  // namespace gradus::optim
