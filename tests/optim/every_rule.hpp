#pragma once

#include <initializer_list>

#include "optim/rules.hpp"

/// The library's optimizers, for the tests that hold for all of them.
namespace gradus::test {

/// check(name, optimizer) for each, with the options that change its course. The like-named fixtures are
/// twenty steps of PyTorch's with the same options (tests/fixtures/make_fixtures.py).
template <class Check>
void for_every_library_rule(const Check& check) {
  using namespace optim;
  check("sgd", Sgd({.lr = 0.1}));
  check("sgd_decay", Sgd({.lr = 0.1, .weight_decay = 0.05}));
  check("sgd_momentum", Sgd({.lr = 0.1, .momentum = 0.9}));
  check("sgd_nesterov", Sgd({.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.05}));
  check("adam", Adam({.lr = 0.1}));
  check("adam_decay", Adam({.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.05}));
  check("adamw", AdamW({.lr = 0.1, .weight_decay = 0.05}));
  check("adam_amsgrad", Adam({.lr = 0.1, .beta2 = 0.9, .weight_decay = 0.05, .amsgrad = true}));
  check("adamax", Adamax({.lr = 0.1}));
  check("adamax_all", Adamax({.lr = 0.1, .beta1 = 0.8, .beta2 = 0.7, .eps = 1e-3, .weight_decay = 0.05}));
  check("nadam", Nadam({.lr = 0.1}));
  check("nadam_all", Nadam({.lr = 0.1,
                            .beta1 = 0.8,
                            .beta2 = 0.95,
                            .eps = 1e-6,
                            .weight_decay = 0.05,
                            .momentum_decay = 0.2}));
  check("radam", Radam({.lr = 0.1}));
  check("radam_all", Radam({.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.05}));
  check("asgd", Asgd({.lr = 0.1, .lambd = 0.1, .alpha = 0.6, .t0 = 3, .weight_decay = 0.05}));
  check("adadelta", Adadelta({.lr = 0.5}));
  check("adadelta_all", Adadelta({.lr = 0.5, .rho = 0.7, .eps = 1e-3, .weight_decay = 0.05}));
  check("lion", Lion({.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0.05}));
  check("adagrad", Adagrad({.lr = 0.1}));
  check(
      "adagrad_all",
      Adagrad(
          {.lr = 0.1, .lr_decay = 0.2, .weight_decay = 0.05, .initial_accumulator_value = 0.3, .eps = 1e-6}));
  check("rmsprop", Rmsprop({.lr = 0.1}));
  check("rmsprop_momentum", Rmsprop({.lr = 0.01, .weight_decay = 0.05, .momentum = 0.9}));
  check("rmsprop_centered", Rmsprop({.lr = 0.1, .alpha = 0.9, .eps = 1e-6, .centered = true}));
  check(
      "rmsprop_all",
      Rmsprop(
          {.lr = 0.01, .alpha = 0.9, .eps = 1e-6, .weight_decay = 0.05, .momentum = 0.8, .centered = true}));
}

/// The same for those that take a parameter as a whole.
template <class Check>
void for_every_whole_rule(const Check& check) {
  using namespace optim;
  check("muon", Muon({.lr = 0.1}));
  check("muon_plain", Muon({.lr = 0.1, .momentum = 0.8, .nesterov = false, .weight_decay = 0}));
  check("adafactor", Adafactor({.lr = 0.1}));
  check("adafactor_all",
        Adafactor(
            {.lr = 0.5, .beta2_decay = -0.6, .eps1 = 1e-4, .eps2 = 1e-2, .clip = 1.2, .weight_decay = 0.05}));
}

/// The same for the fixtures of row-sparse gradients: those of PyTorch's optimizers that take them.
template <class Check>
void for_every_sparse_rule(const Check& check) {
  using namespace optim;
  check("sgd_sparse", Sgd({.lr = 0.1}));
  check("adagrad_sparse",
        Adagrad({.lr = 0.1, .lr_decay = 0.2, .initial_accumulator_value = 0.3, .eps = 1e-6}));
}

/// An option that is a number, and how its range is called in the message for a number outside it.
template <class O>
struct OptionCase {
  const char* name;
  double O::Options::*member;
  const char* range;
};
/// check(name, optimizer, option) for each of them.
template <class Check>
void for_every_option(const Check& check) {
  using namespace optim;
  const char* const any = "a finite number, 0 or more";
  const char* const share = "at least 0 and below 1";
  const char* const divisor = "lest 0 be divided by 0";
  const auto row = [&]<class O>(const char* name, const O& optimizer,
                                std::initializer_list<OptionCase<O>> options) {
    for (const OptionCase<O>& option : options) check(name, optimizer, option);
  };
  row("Sgd", Sgd(),
      {{"lr", &Sgd::Options::lr, any},
       {"momentum", &Sgd::Options::momentum, share},
       {"weight_decay", &Sgd::Options::weight_decay, any}});
  row("Adam", Adam(),
      {{"lr", &Adam::Options::lr, any},
       {"beta1", &Adam::Options::beta1, share},
       {"beta2", &Adam::Options::beta2, share},
       {"eps", &Adam::Options::eps, divisor},
       {"weight_decay", &Adam::Options::weight_decay, any}});
  row("AdamW", AdamW(), {{"lr", &AdamW::Options::lr, any}});
  row("Adamax", Adamax(), {{"lr", &Adamax::Options::lr, any}, {"eps", &Adamax::Options::eps, divisor}});
  row("Nadam", Nadam(),
      {{"lr", &Nadam::Options::lr, any}, {"momentum_decay", &Nadam::Options::momentum_decay, any}});
  row("Radam", Radam(), {{"lr", &Radam::Options::lr, any}, {"beta2", &Radam::Options::beta2, share}});
  row("Asgd", Asgd(),
      {{"lr", &Asgd::Options::lr, any},
       {"lambd", &Asgd::Options::lambd, any},
       {"alpha", &Asgd::Options::alpha, any},
       {"t0", &Asgd::Options::t0, any},
       {"weight_decay", &Asgd::Options::weight_decay, any}});
  row("Adadelta", Adadelta(),
      {{"lr", &Adadelta::Options::lr, any},
       {"rho", &Adadelta::Options::rho, share},
       {"eps", &Adadelta::Options::eps, divisor},
       {"weight_decay", &Adadelta::Options::weight_decay, any}});
  row("Muon", Muon(),
      {{"lr", &Muon::Options::lr, any},
       {"momentum", &Muon::Options::momentum, share},
       {"weight_decay", &Muon::Options::weight_decay, any},
       {"eps", &Muon::Options::eps, divisor},
       {"adam_rate", &Muon::Options::adam_rate, any},
       {"beta1", &Muon::Options::beta1, share},
       {"beta2", &Muon::Options::beta2, share},
       {"adam_eps", &Muon::Options::adam_eps, divisor}});
  row("Adafactor", Adafactor(),
      {{"lr", &Adafactor::Options::lr, any},
       {"eps2", &Adafactor::Options::eps2, any},
       {"clip", &Adafactor::Options::clip, divisor},
       {"weight_decay", &Adafactor::Options::weight_decay, any}});
  row("Lion", Lion(),
      {{"lr", &Lion::Options::lr, any},
       {"beta1", &Lion::Options::beta1, share},
       {"beta2", &Lion::Options::beta2, share},
       {"weight_decay", &Lion::Options::weight_decay, any}});
  row("Adagrad", Adagrad(),
      {{"lr", &Adagrad::Options::lr, any},
       {"lr_decay", &Adagrad::Options::lr_decay, any},
       {"weight_decay", &Adagrad::Options::weight_decay, any},
       {"initial_accumulator_value", &Adagrad::Options::initial_accumulator_value, any},
       {"eps", &Adagrad::Options::eps, divisor}});
  row("Rmsprop", Rmsprop(),
      {{"lr", &Rmsprop::Options::lr, any},
       {"alpha", &Rmsprop::Options::alpha, share},
       {"eps", &Rmsprop::Options::eps, divisor},
       {"weight_decay", &Rmsprop::Options::weight_decay, any},
       {"momentum", &Rmsprop::Options::momentum, share}});
}

}  // namespace gradus::test
