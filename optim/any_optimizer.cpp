#include "optim/any_optimizer.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "optim/rules.hpp"

namespace gradus::optim {

namespace {

/// Calls visit(name, option) for each option that is a number or a switch, of whichever rule has it.
void visit_options(auto& o, const auto& visit) {
  visit("lr", o.lr);
  if constexpr (requires { o.momentum; }) visit("momentum", o.momentum);
  if constexpr (requires { o.nesterov; }) visit("nesterov", o.nesterov);
  if constexpr (requires { o.beta1; }) visit("beta1", o.beta1);
  if constexpr (requires { o.beta2; }) visit("beta2", o.beta2);
  if constexpr (requires { o.beta2_decay; }) visit("beta2_decay", o.beta2_decay);
  if constexpr (requires { o.eps; }) visit("eps", o.eps);
  if constexpr (requires { o.eps2; }) visit("eps2", o.eps2);
  if constexpr (requires { o.clip; }) visit("clip", o.clip);
  if constexpr (requires { o.weight_decay; }) visit("weight_decay", o.weight_decay);
  if constexpr (requires { o.amsgrad; }) visit("amsgrad", o.amsgrad);
  if constexpr (requires { o.momentum_decay; }) visit("momentum_decay", o.momentum_decay);
  if constexpr (requires { o.lambd; }) visit("lambd", o.lambd);
  if constexpr (requires { o.alpha; }) visit("alpha", o.alpha);
  if constexpr (requires { o.t0; }) visit("t0", o.t0);
  if constexpr (requires { o.rho; }) visit("rho", o.rho);
  if constexpr (requires { o.lr_decay; }) visit("lr_decay", o.lr_decay);
  if constexpr (requires { o.initial_accumulator_value; })
    visit("initial_accumulator_value", o.initial_accumulator_value);
  if constexpr (requires { o.centered; }) visit("centered", o.centered);
  if constexpr (requires { o.steps; }) visit("steps", o.steps);
  if constexpr (requires { o.orthogonal; }) visit("orthogonal", o.orthogonal);
  if constexpr (requires { o.adam_rate; }) visit("adam_rate", o.adam_rate);
  if constexpr (requires { o.adam_eps; }) visit("adam_eps", o.adam_eps);
}

template <class Options>
std::map<std::string, double> values_of(Options options) {
  std::map<std::string, double> out;
  visit_options(options,
                [&](const char* name, const auto& value) { out[name] = static_cast<double>(value); });
  return out;
}

template <class Optimizer>
class Held final : public AnyOptimizer::Interface {
  using Options = typename Optimizer::Options;

 public:
  Held(const OptimizerSettings& settings, const ParameterView& model) : optimizer_(options_of(settings)) {
    for (const auto& [pattern, decay] : settings.decay_of)
      optimizer_.for_parameters({pattern}, [value = decay](Options& o) { o.weight_decay = value; });
    std::vector<std::string> matching;
    for (const std::string& pattern : settings.no_decay) {
      if (std::ranges::any_of(model.parts(), [&](const auto& part) {
            return gradus::detail::matches({pattern}, part.first);
          }))
        matching.push_back(pattern);
    }
    if (!matching.empty()) optimizer_.for_parameters(matching, [](Options& o) { o.weight_decay = 0; });
  }
  double lr() const override { return optimizer_.options().lr; }
  void set_lr(double lr) override { optimizer_.set_lr(lr); }
  double step(const ParameterView& model, const Gradients& gradients, const StepOptions& options) override {
    return optimizer_.step(model, gradients, options);
  }
  bool steps_by_rows() const override { return Optimizer::steps_by_rows; }
  Safetensors state(const ParameterView& model) const override { return optimizer_.state(model); }
  void set_state(const ParameterView& model, const Safetensors& content, const std::string& name) override {
    optimizer_.set_state(model, content, name);
  }

 private:
  static Options options_of(const OptimizerSettings& settings) {
    Options out;
    const std::map<std::string, double> known = values_of(out);
    for (const auto& [name, value] : settings.options) {
      if (known.contains(name)) continue;
      std::vector<std::string> names;
      for (const auto& [one, number] : known) names.push_back(one);
      fail<ArgumentError>("the optimizer {} has no option '{}'; it has {}", settings.name, name,
                          fmt::join(names, ", "));
    }
    visit_options(out, [&]<class T>(const char* name, T& value) {
      const auto found = settings.options.find(name);
      if (found == settings.options.end()) return;
      if constexpr (std::is_same_v<T, bool>) {
        value = found->second != 0;
      } else {
        value = static_cast<T>(found->second);
      }
    });
    return out;
  }

  Optimizer optimizer_;
};

/// An optimizer by its name.
struct Kind {
  std::string name;
  std::map<std::string, double> (*options)();
  std::unique_ptr<AnyOptimizer::Interface> (*make)(const OptimizerSettings& settings,
                                                   const ParameterView& model);
};

template <class Optimizer>
Kind kind(std::string name) {
  return {std::move(name), [] { return values_of(typename Optimizer::Options{}); },
          [](const OptimizerSettings& settings,
             const ParameterView& model) -> std::unique_ptr<AnyOptimizer::Interface> {
            return std::make_unique<Held<Optimizer>>(settings, model);
          }};
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all{
      kind<Sgd>("sgd"),           kind<Asgd>("asgd"),       kind<Lion>("lion"),
      kind<Adam>("adam"),         kind<AdamW>("adamw"),     kind<Adamax>("adamax"),
      kind<Nadam>("nadam"),       kind<Radam>("radam"),     kind<Adagrad>("adagrad"),
      kind<Adadelta>("adadelta"), kind<Rmsprop>("rmsprop"), kind<Adafactor>("adafactor"),
      kind<Muon>("muon")};
  return all;
}

const Kind& kind_of(const std::string& name) {
  for (const Kind& one : kinds()) {
    if (one.name == name) return one;
  }
  fail<ArgumentError>("there is no optimizer '{}'; there are {}", name, fmt::join(optimizer_names(), ", "));
}

}  // namespace

const std::vector<std::string>& optimizer_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Kind& one : kinds()) out.push_back(one.name);
    return out;
  }();
  return names;
}

std::map<std::string, double> optimizer_options(const std::string& name) {
  return kind_of(name).options();
}

AnyOptimizer::AnyOptimizer(const OptimizerSettings& settings, const ParameterView& model)
    : held_(kind_of(settings.name).make(settings, model)) {}

}  // namespace gradus::optim
