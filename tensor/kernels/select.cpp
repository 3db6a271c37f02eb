#include "tensor/kernels/select.hpp"

#include <atomic>
#include <string_view>
#include <vector>

#include "tensor/kernels/instruction_set.hpp"
#include "tensor/support/error.hpp"

namespace gradus::kernels {

namespace {

/// From the narrowest to the widest that this machine runs.
std::vector<const InstructionSet*> available() {
  std::vector<const InstructionSet*> out{&baseline()};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out.push_back(&avx2());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512cd")) {
    out.push_back(&avx512());
  }
#endif
  return out;
}

std::atomic<const InstructionSet*>& current() {
  static std::atomic<const InstructionSet*> set{available().back()};
  return set;
}

}  // namespace

const InstructionSet& selected() {
  return *current().load(std::memory_order_relaxed);
}

const char* instruction_set() {
  return selected().name;
}

void use_instruction_set(const char* name) {
  for (const InstructionSet* set : available()) {
    if (std::string_view(set->name) == name) return current().store(set);
  }
  fail<ArgumentError>("this machine does not run kernels for '{}'", name);
}

std::vector<const char*> available_instruction_sets() {
  std::vector<const char*> names;
  for (const InstructionSet* set : available()) names.push_back(set->name);
  return names;
}

}  // namespace gradus::kernels
