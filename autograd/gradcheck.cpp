#include "autograd/gradcheck.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape_storage.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"

namespace gradus {

const char* name_of(GradcheckPart part) {
  constexpr std::array<const char*, gradcheck_parts> names{"backward", "grad", "second", "second by grad",
                                                           "jvp"};
  return names[static_cast<std::size_t>(part)];
}

namespace {

using Tensors = std::vector<Tensor>;
/// A function of the inputs to one number.
using Scalar = GradcheckFunction;

/// The sum of y's elements, each with its own weight, so that no derivative can hide.
Variable weighted_sum(const Variable& y, std::uint64_t seed) {
  Rng rng(seed);
  return sum(y * Variable(rng.uniform(y.shape(), 0.5, 1.5, Dtype::f64)));
}

Variables constants(const Tensors& inputs) {
  Variables out;
  for (const Tensor& x : inputs) out.emplace_back(x);
  return out;
}
/// Zeros for what is undefined.
Tensors values(Variables gs, const Tensors& inputs) {
  Tensors out;
  for (std::size_t i = 0; i < gs.size(); ++i)
    out.push_back(gs[i].value().defined() ? gs[i].value() : zeros_like(inputs[i]));
  return out;
}

/// A tape with the inputs as arguments, and the planted error in its sweeps.
class CheckedTape {
 public:
  CheckedTape(const Tensors& inputs, detail::Plant* plant) {
    for (const Tensor& x : inputs) arguments_.push_back(tape_.watch(x));
    detail::active_tape()->plant = plant;
  }
  const Variables& arguments() const { return arguments_; }
  Tensors backward(const Variable& y, const Tensors& inputs) {
    if (y.is_constant()) return values(Variables(inputs.size()), inputs);
    const Gradients found = tape_.backward(y);
    Tensors out;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      out.push_back(found.contains(arguments_[i]) ? found[arguments_[i]] : zeros_like(inputs[i]));
    return out;
  }

 private:
  Tape tape_;
  Variables arguments_;
};

class Gradcheck {
 public:
  Gradcheck(const Scalar& first, const Tensors& inputs, const GradcheckOptions& options)
      : first_(first), inputs_(inputs), options_(options) {
    if (!options.plant) return;
    plant_ = {options.plant->op, static_cast<std::size_t>(options.plant->input), 1 + options.plant->error};
  }

  GradcheckResult run() {
    using Part = GradcheckPart;
    const Scalar slope = [&](std::span<const Variable> xs) { return weighted_gradient(xs); };
    compare_order(first_, Part::backward, Part::grad);
    compare_order(slope, Part::second, Part::second_by_grad);
    if (wants(Part::jvp)) compare_jvp();
    result_.planted = plant_.applied;
    return std::move(result_);
  }

 private:
  detail::Plant* plant() { return options_.plant ? &plant_ : nullptr; }

  bool wants(GradcheckPart part) const {
    const auto& parts = options_.parts;
    if (!parts.empty()) return std::find(parts.begin(), parts.end(), part) != parts.end();
    return part == GradcheckPart::backward ||
           (options_.second_order && part != GradcheckPart::second_by_grad);
  }
  void compare_order(const Scalar& f, GradcheckPart backward, GradcheckPart recorded) {
    if (!wants(backward) && !wants(recorded)) return;
    const std::vector<std::vector<double>> numeric = by_differences(f);
    if (wants(backward)) compare(backward, by_backward(f), numeric);
    if (wants(recorded)) compare(recorded, by_grad(f), numeric);
  }

  Tensors by_backward(const Scalar& f) {
    CheckedTape tape(inputs_, plant());
    return tape.backward(f(tape.arguments()), inputs_);
  }
  Tensors by_grad(const Scalar& f) {
    const CheckedTape tape(inputs_, plant());
    return values(grad(f, tape.arguments()), inputs_);
  }

  /// The gradient as a function, made one number by other weights.
  Variable weighted_gradient(std::span<const Variable> xs) {
    Variable total(Tensor::scalar(0, Dtype::f64));
    const Variables gs = grad(first_, xs);
    for (std::size_t i = 0; i < gs.size(); ++i) total = total + weighted_sum(gs[i], options_.seed + 1 + i);
    return total;
  }

  /// The derivative of g at 0: central differences of fourth order.
  template <class G>
  static double slope(const G& g, double step) {
    return (8 * (g(step) - g(-step)) - (g(2 * step) - g(-2 * step))) / (12 * step);
  }

  std::vector<std::vector<double>> by_differences(const Scalar& f) const {
    std::vector<std::vector<double>> out(inputs_.size());
    for (std::size_t input = 0; input < inputs_.size(); ++input) {
      for (std::int64_t i = 0; i < inputs_[input].size(); ++i) {
        const double x = inputs_[input].at(i);
        const auto moved = [&](double offset) {
          Variables at = constants(inputs_);
          Tensor changed = inputs_[input];
          changed.mutable_data<double>()[i] = x + offset;
          at[input] = Variable(std::move(changed));
          return f(at).item();
        };
        out[input].push_back(slope(moved, options_.step * std::max(1.0, std::abs(x))));
      }
    }
    return out;
  }

  void compare(GradcheckPart part, const Tensors& analytic, const std::vector<std::vector<double>>& numeric) {
    for (std::size_t input = 0; input < inputs_.size(); ++input) {
      double largest = 0;
      for (const double n : numeric[input]) largest = std::max(largest, std::abs(n));
      const double floor = std::max(1e-3 * largest, 1e-6);
      for (std::int64_t i = 0; i < inputs_[input].size(); ++i) {
        compare_one({part, input, inputs_[input].shape().index_of(i), analytic[input].at(i),
                     numeric[input][static_cast<std::size_t>(i)]},
                    floor);
      }
    }
  }

  /// The jvp along a random direction. The number is the vjp's product with the direction too.
  void compare_jvp() {
    Rng rng(options_.seed + 100);
    Variables directions;
    for (const Tensor& x : inputs_) directions.emplace_back(rng.uniform(x.shape(), 0.5, 1.5, Dtype::f64));
    const auto moved = [&](double t) {
      Variables at;
      for (std::size_t i = 0; i < inputs_.size(); ++i)
        at.emplace_back(inputs_[i] + directions[i].value() * t);
      return first_(at).item();
    };
    double largest = 1;
    for (const Tensor& x : inputs_)
      for (std::int64_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x.at(i)));
    const CheckedTape tape(inputs_, plant());
    const double analytic = jvp(first_, tape.arguments(), directions).second.item();
    // All elements move at once, so the function bends more than along one of them: a step of Richardson's
    // extrapolation takes the formula to sixth order.
    const double step = options_.step * largest;
    const double numeric = (16 * slope(moved, step / 2) - slope(moved, step)) / 15;
    compare_one({GradcheckPart::jvp, 0, {}, analytic, numeric}, 1e-6);
  }

  void compare_one(GradcheckMismatch one, double floor) {
    one.error = std::abs(one.analytic - one.numeric) /
                (std::max(std::abs(one.analytic), std::abs(one.numeric)) + floor);
    ++result_.checked;
    // NaN is an error beyond all others.
    const double size = std::isnan(one.error) ? INFINITY : one.error;
    if (size > result_.largest_error) result_.largest_error = size;
    if (size <= options_.tolerance) return;
    ++result_.mismatches;
    ++result_.mismatches_in[static_cast<std::size_t>(one.part)];
    result_.passed = false;
    if (result_.worst && (one.part != result_.worst->part || size <= result_.worst->error)) return;
    one.error = size;
    result_.message = text_of(one);
    result_.worst = std::move(one);
  }

  std::string text_of(const GradcheckMismatch& one) const {
    const std::string values = fmt::format("{:.12g}, by differences {:.12g}: off by a relative {:.2g}",
                                           one.analytic, one.numeric, one.error);
    if (one.part == GradcheckPart::jvp) return fmt::format("jvp along a random direction: {}", values);
    const std::string name =
        one.input < options_.names.size() ? options_.names[one.input] : fmt::format("input {}", one.input);
    return fmt::format("{} derivative of {} (shape {}), element ({}): {}", name_of(one.part), name,
                       inputs_[one.input].shape(), fmt::join(one.element, ", "), values);
  }

  const Scalar& first_;
  const Tensors& inputs_;
  const GradcheckOptions& options_;
  detail::Plant plant_{};
  GradcheckResult result_;
};

}  // namespace

GradcheckResult gradcheck(const GradcheckFunction& f, const std::vector<Tensor>& inputs,
                          GradcheckOptions options) {
  for (const Tensor& x : inputs) {
    if (x.dtype() != Dtype::f64)
      fail<DtypeError>("gradcheck: an input of {}; all must be f64", name_of(x.dtype()));
  }
  const Scalar first = [&](std::span<const Variable> xs) { return weighted_sum(f(xs), options.seed); };
  return Gradcheck(first, inputs, options).run();
}

void detail::CheckedParameters::add(const std::string& path, Parameter& parameter) {
  if (parameter.dtype() != Dtype::f64)
    fail<DtypeError>(
        "gradcheck: {} is {}; convert(model, Dtype::f64) makes a model f64, and its inputs must be too", path,
        name_of(parameter.dtype()));
  parameters_.push_back(&parameter);
  paths_.push_back(path);
}

GradcheckResult detail::CheckedParameters::check(const std::function<Variable()>& loss,
                                                 GradcheckOptions options) const {
  if (parameters_.empty()) fail<ArgumentError>("gradcheck: the model has no parameters");
  std::vector<Tensor> inputs;
  Variables before;
  for (const Parameter* p : parameters_) {
    inputs.push_back(p->value());
    before.push_back(*p);
  }
  const auto restore_buffers = [&] {
    for (const auto& [buffer, value] : buffers_) buffer->update(value);
  };
  const Tensor first = loss().value();
  restore_buffers();
  const Tensor second = loss().value();
  restore_buffers();
  if (!identical(first, second))
    fail<ArgumentError>(
        "gradcheck: the loss differs from call to call; give it the same random numbers each time, as by "
        "a new Rng(1) for dropout");
  // The parameters stand for the arguments while the loss is computed, and for themselves again however that
  // ends.
  const auto set = [&](std::span<const Variable> to) {
    for (std::size_t i = 0; i < to.size(); ++i) static_cast<Variable&>(*parameters_[i]) = to[i];
  };
  struct Restore {
    const decltype(set)& back;
    const Variables& before;
    const decltype(restore_buffers)& buffers;
    ~Restore() {
      back(before);
      buffers();
    }
  };
  options.names = paths_;
  return gradcheck(
      [&](std::span<const Variable> in) {
        const Restore restore{set, before, restore_buffers};
        set(in);
        return loss();
      },
      inputs, std::move(options));
}

}  // namespace gradus
