#pragma once

#include <vector>

namespace gradus::kernels {

/// "avx512", "avx2", "sse2" or "neon": the instruction set in use.
const char* instruction_set();
/// A test's way to run every kernel set the machine has: throws ArgumentError for one it has not.
void use_instruction_set(const char* name);
std::vector<const char*> available_instruction_sets();

}  // namespace gradus::kernels
