// The kernels of one instruction set: this file is compiled once for each.

#include <cstring>

#include "tensor/kernels/impl/arch.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/kernels/scalar.hpp"

namespace gradus::kernels {

namespace {

#include "tensor/kernels/impl.hpp"

template <class T>
struct AllKernels final
    : WithElementwise<
          T,
          WithConv<
              T,
              WithGemm<
                  T,
                  WithRecurrent<
                      T, WithRecurrentTwice<
                             T, WithReduction<
                                    T, WithSoftmax<T, WithNorm<T, WithAttention<T, WithRandom<WithCompact<
                                                                                       Kernels<T>>>>>>>>>>>> {
};
template <class T>
constexpr AllKernels<T> all_kernels{};
constexpr KernelSet instance{&all_kernels<float>, &all_kernels<double>};

}  // namespace

template <>
const KernelSet& kernel_set<this_set>() {
  return instance;
}

}  // namespace gradus::kernels
