#pragma once

#include <vector>

namespace gradus::kernels {

/// The instruction sets that kernels are compiled for. The baseline is what every processor of the kind has:
/// SSE2 on x86-64.
enum class InstructionSet { baseline, avx2, avx512 };

/// The one in use: when the program starts, the widest that the processor has.
InstructionSet instruction_set_in_use();
/// Its name: "avx512", "avx2", "sse2", or "baseline" on other processors than x86-64.
const char* instruction_set();

/// A test's way to run the kernels of every instruction set that the processor has: throws ArgumentError for
/// one that it does not have.
void use_instruction_set(const char* name);
std::vector<const char*> available_instruction_sets();

}  // namespace gradus::kernels
