#include "tensor/kernels/instruction_set.hpp"

#include <string_view>
#include <vector>

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/error.hpp"

namespace gradus::kernels {

namespace {

struct Choice {
  InstructionSet set;
  const char* name;
  const KernelSet* kernels;
};

/// From the narrowest to the widest that the processor has.
const std::vector<Choice>& choices() {
  static const std::vector<Choice> out = [] {
#if defined(__x86_64__)
    std::vector<Choice> all{{InstructionSet::baseline, "sse2", &kernel_set<InstructionSet::baseline>()}};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
      all.push_back({InstructionSet::avx2, "avx2", &kernel_set<InstructionSet::avx2>()});
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512cd"))
      all.push_back({InstructionSet::avx512, "avx512", &kernel_set<InstructionSet::avx512>()});
    return all;
#else
    return std::vector<Choice>{
        {InstructionSet::baseline, "baseline", &kernel_set<InstructionSet::baseline>()}};
#endif
  }();
  return out;
}

std::atomic<const Choice*> chosen{nullptr};

void choose(const Choice& choice) {
  chosen.store(&choice);
  detail::kernels_in_use.store(choice.kernels);
}

const Choice& choice_in_use() {
  if (chosen.load(std::memory_order_relaxed) == nullptr) choose(choices().back());
  return *chosen.load(std::memory_order_relaxed);
}

}  // namespace

namespace detail {
std::atomic<const KernelSet*> kernels_in_use{nullptr};
const KernelSet& select_widest() {
  return *choice_in_use().kernels;
}
}  // namespace detail

template <class T>
const RecurrentKernels<T>& recurrent() {
  return selected<T>();
}
template const RecurrentKernels<float>& recurrent();
template const RecurrentKernels<double>& recurrent();

InstructionSet instruction_set_in_use() {
  return choice_in_use().set;
}

const char* instruction_set() {
  return choice_in_use().name;
}

void use_instruction_set(const char* name) {
  for (const Choice& choice : choices()) {
    if (std::string_view(choice.name) == name) return choose(choice);
  }
  fail<ArgumentError>("this machine does not run kernels for '{}'", name);
}

std::vector<const char*> available_instruction_sets() {
  std::vector<const char*> names;
  for (const Choice& choice : choices()) names.push_back(choice.name);
  return names;
}

}  // namespace gradus::kernels
