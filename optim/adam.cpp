#include "optim/adam.hpp"

#include <cmath>

#include "tensor/kernels/kernels.hpp"

namespace gradus::optim {

template <bool decoupled>
void AdamRule<decoupled>::check(const Options& o) {
  if (!(o.lr >= 0) || !(o.eps >= 0) || !(o.weight_decay >= 0) || !(o.beta1 >= 0 && o.beta1 < 1) ||
      !(o.beta2 >= 0 && o.beta2 < 1)) {
    fail<ArgumentError>(
        "{}: lr {}, beta1 {}, beta2 {}, eps {}, weight_decay {}; none may be negative, and the betas must be "
        "below 1",
        decoupled ? "AdamW" : "Adam", o.lr, o.beta1, o.beta2, o.eps, o.weight_decay);
  }
}

template <bool decoupled>
AdamRule<decoupled>::AdamRule(const Options& options, std::int64_t t)
    : options_(options),
      correction1_(1 - std::pow(options.beta1, static_cast<double>(t))),
      correction2_(1 - std::pow(options.beta2, static_cast<double>(t))) {}

template <bool decoupled>
template <class T>
void AdamRule<decoupled>::update(const Run<T>& run) const {
  const Options& o = options_;
  kernels::adam<T>({.lr = o.lr,
                    .beta1 = o.beta1,
                    .beta2 = o.beta2,
                    .eps = o.eps,
                    .decay = decoupled ? o.lr * o.weight_decay : 0,
                    .coupled_decay = decoupled ? 0 : o.weight_decay,
                    .correction1 = correction1_,
                    .correction2 = correction2_},
                   run.gradient.scale, run.gradient.elements, run.parameter, run.kept[0], run.kept[1],
                   run.size);
}

template class AdamRule<false>;
template class AdamRule<true>;
template void AdamRule<false>::update(const Run<float>&) const;
template void AdamRule<false>::update(const Run<double>&) const;
template void AdamRule<true>::update(const Run<float>&) const;
template void AdamRule<true>::update(const Run<double>&) const;

}  // namespace gradus::optim
