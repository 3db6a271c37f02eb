#pragma once

// Internal: what the files compiled for one instruction set export of the library's rules.

#include "optim/rules.hpp"
#include "tensor/kernels/instruction_set.hpp"

namespace gradus::optim::detail {

template <class Rule>
struct StepFunctions {
  void (*f32)(const Rule& rule, const Run<float>& run, int state);
  void (*f64)(const Rule& rule, const Run<double>& run, int state);
};
template <class List>
struct StepTable;
template <class... Rules>
struct StepTable<RuleList<Rules...>> : StepFunctions<Rules>... {};

/// Each defined by rules.simd.cpp, where it is compiled for that instruction set.
template <kernels::InstructionSet set>
const StepTable<LibraryRules>& step_table();
template <>
const StepTable<LibraryRules>& step_table<kernels::InstructionSet::baseline>();
template <>
const StepTable<LibraryRules>& step_table<kernels::InstructionSet::avx2>();
template <>
const StepTable<LibraryRules>& step_table<kernels::InstructionSet::avx512>();

}  // namespace gradus::optim::detail
