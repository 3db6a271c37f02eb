#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/parameter_view.hpp"
#include "optim/optimizer.hpp"
#include "tensor/safetensors.hpp"

namespace gradus::optim {

/// An optimizer that is chosen by its name when a program runs, as a file of settings does.
struct OptimizerSettings {
  /// One of optimizer_names().
  std::string name = "adamw";
  /// Options of that optimizer by their names, such as "lr", "beta2" or "momentum"; of one that is a switch,
  /// such as "nesterov", any number but 0 turns it on. Those that are not named have the optimizer's own
  /// values.
  std::map<std::string, double> options{};
  /// Parameters whose paths match one of these patterns (Optimizer::for_parameters) have no weight decay. One
  /// that no parameter matches is no error.
  std::vector<std::string> no_decay{};
  /// Patterns of parameters with a weight decay of their own; where several match, the last holds, before
  /// no_decay. One that no parameter matches is an error.
  std::vector<std::pair<std::string, double>> decay_of{};
};

/// "sgd", "asgd", "lion", "adam", "adamw", "adamax", "nadam", "radam", "adagrad", "adadelta", "rmsprop",
/// "adafactor" and "muon".
const std::vector<std::string>& optimizer_names();
/// The options of an optimizer and their values when nothing is said. Throws ArgumentError for a name that is
/// not listed.
std::map<std::string, double> optimizer_options(const std::string& name);

/// One of the library's optimizers behind one type: what Optimizer says holds for its functions here, over
/// the parameters of a module of any type.
class AnyOptimizer {
 public:
  /// Throws ArgumentError for an optimizer or an option that is not known, listing those that are, and for
  /// options out of range.
  AnyOptimizer(const OptimizerSettings& settings, const ParameterView& model);

  double lr() const { return held_->lr(); }
  void set_lr(double lr) { held_->set_lr(lr); }
  /// One step over the model that it was made for; returns the norm of all gradients before clipping.
  double step(const ParameterView& model, const Gradients& gradients, const StepOptions& options = {}) {
    return held_->step(model, gradients, options);
  }
  /// Whether a gradient by rows changes those rows alone: not where the rule looks at a whole parameter.
  bool steps_by_rows() const { return held_->steps_by_rows(); }
  Safetensors state(const ParameterView& model) const { return held_->state(model); }
  void set_state(const ParameterView& model, const Safetensors& content,
                 const std::string& name = "the optimizer's state") {
    held_->set_state(model, content, name);
  }

  /// What each of the library's optimizers does here.
  struct Interface {
    virtual ~Interface() = default;
    virtual double lr() const = 0;
    virtual void set_lr(double lr) = 0;
    virtual double step(const ParameterView& model, const Gradients& gradients,
                        const StepOptions& options) = 0;
    virtual bool steps_by_rows() const = 0;
    virtual Safetensors state(const ParameterView& model) const = 0;
    virtual void set_state(const ParameterView& model, const Safetensors& content,
                           const std::string& name) = 0;
  };

 private:
  std::unique_ptr<Interface> held_;
};

}  // namespace gradus::optim
