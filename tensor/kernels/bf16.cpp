#include "tensor/kernels/bf16.hpp"

#include <atomic>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/error.hpp"

namespace gradus::kernels {

namespace {

#if defined(__x86_64__)
bool has_avx512_bf16() {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

/// True when the processor has AMX's tiles and products of bfloat16, and the system lets this process use
/// them: it saves the 8 KB of a thread's tiles only for a process that has asked.
bool has_amx_bf16() {
#if defined(__linux__)
  constexpr unsigned bf16 = 1U << 22, tile = 1U << 24;  // of edx of leaf 7
  constexpr long request_permission = 0x1023, tile_data = 18;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & bf16) == 0 || (edx & tile) == 0)
    return false;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}
#endif

/// From the slowest to the fastest that the processor has. Asks the system once, when bfloat16 is first used.
const std::vector<const Bf16Kernels*>& choices() {
  static const std::vector<const Bf16Kernels*> out = [] {
    std::vector<const Bf16Kernels*> all{&avx512_emulation(), &amx_emulation()};
#if defined(__x86_64__)
    if (has_avx512_bf16()) {
      all.push_back(&bf16_avx512());
      if (has_amx_bf16()) all.push_back(&bf16_amx());  // which packs by AVX512-BF16
    }
#endif
    return all;
  }();
  return out;
}

std::atomic<const Bf16Kernels*> asked{nullptr};  // by use_bf16

const TileKernels<float>* kernels_of(MatmulPrecision precision) {
  const Bf16Kernels* of = asked.load(std::memory_order_relaxed);
  const bool always = of != nullptr;
  if (!always) {
    if (instruction_set_in_use() != InstructionSet::avx512) return nullptr;
    of = choices().back();
  }
  if (precision == MatmulPrecision::medium) return always || of->medium_is_faster ? of->medium : nullptr;
  return always || of->high_is_faster ? of->high : nullptr;
}

}  // namespace

template <class T>
const TileKernels<T>& tile_kernels(MatmulPrecision precision) {
  if constexpr (sizeof(T) == sizeof(float)) {
    const TileKernels<float>* const out =
        precision == MatmulPrecision::exact ? nullptr : kernels_of(precision);
    if (out != nullptr) return *out;
  }
  return selected<T>();
}
template const TileKernels<float>& tile_kernels(MatmulPrecision);
template const TileKernels<double>& tile_kernels(MatmulPrecision);

void use_bf16(const char* name) {
  if (name == nullptr) return asked.store(nullptr);
  for (const Bf16Kernels* choice : choices()) {
    if (std::string_view(choice->name) == name) return asked.store(choice);
  }
  fail<ArgumentError>("this machine does not multiply bfloat16 by '{}'", name);
}

std::vector<const char*> available_bf16() {
  std::vector<const char*> names;
  for (const Bf16Kernels* choice : choices()) names.push_back(choice->name);
  return names;
}

}  // namespace gradus::kernels
