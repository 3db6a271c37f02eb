#if defined(__x86_64__)
#include <xsimd/xsimd.hpp>

#include <cmath>
#include <cstdint>

#include "tensor/kernels/scalar.hpp"
#include "tensor/kernels/table.hpp"

namespace gradus::kernels {
namespace {
using Arch = xsimd::avx512bw;
constexpr int register_count = 32;
#include "tensor/kernels/impl.hpp"
constexpr InstructionSet instance{"avx512", &table<float>, &table<double>};
}  // namespace

const InstructionSet& avx512() {
  return instance;
}
}  // namespace gradus::kernels
#endif
