#include <xsimd/xsimd.hpp>

#include <cmath>
#include <cstdint>

#include "tensor/kernels/scalar.hpp"
#include "tensor/kernels/table.hpp"

namespace gradus::kernels {
namespace {
#if defined(__x86_64__)
using Arch = xsimd::sse2;
constexpr const char* name = "sse2";
constexpr int register_count = 16;
#else
using Arch = xsimd::default_arch;
constexpr const char* name = "baseline";
constexpr int register_count = 32;
#endif
#include "tensor/kernels/impl.hpp"
constexpr InstructionSet instance{name, &table<float>, &table<double>};
}  // namespace

const InstructionSet& baseline() {
  return instance;
}
}  // namespace gradus::kernels
