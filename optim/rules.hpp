#pragma once

#include "optim/adagrad.hpp"
#include "optim/adam.hpp"
#include "optim/sgd.hpp"
#include "optim/whole.hpp"

/// The library's optimizers: each a rule, over Numbers, and a name. They follow PyTorch's definitions and its
/// names of the state, and differ from it for row-sparse gradients: the rows without a gradient stay as they
/// are, and so does their state; but for rules that take a parameter as a whole (optim/whole.hpp).
namespace gradus::optim {

/// The rules that are compiled for each instruction set: those of which the files above say `is_vectorized`.
using LibraryRules = RuleList<SgdRule, AsgdRule, LionRule, AdamRule<false>, AdamRule<true>, AdamaxRule,
                              NadamRule, RadamRule, AdagradRule, AdadeltaRule, RmspropRule>;

}  // namespace gradus::optim
