// The kernels of one instruction set: this file is compiled once for each.

#include "tensor/kernels/impl/arch.hpp"
#include "tensor/kernels/scalar.hpp"
#include "tensor/kernels/table.hpp"

namespace gradus::kernels {
namespace {
#include "tensor/kernels/impl.hpp"
constexpr KernelSet instance{&table<float>, &table<double>};
}  // namespace

template <>
const KernelSet& kernel_set<this_set>() {
  return instance;
}
}  // namespace gradus::kernels
