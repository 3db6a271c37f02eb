#if defined(__x86_64__)
#include <xsimd/xsimd.hpp>

#include <cmath>
#include <cstdint>

#include "tensor/kernels/scalar.hpp"
#include "tensor/kernels/table.hpp"

namespace gradus::kernels {
namespace {
using Arch = xsimd::fma3<xsimd::avx2>;
constexpr int register_count = 16;
#include "tensor/kernels/impl.hpp"
constexpr InstructionSet instance{"avx2", &table<float>, &table<double>};
}  // namespace

const InstructionSet& avx2() {
  return instance;
}
}  // namespace gradus::kernels
#endif
