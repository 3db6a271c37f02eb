#include "optim/sgd.hpp"

#include "tensor/kernels/kernels.hpp"

namespace gradus::optim {

void SgdRule::check(const Options& options) {
  if (!(options.lr >= 0) || !(options.momentum >= 0 && options.momentum < 1) ||
      !(options.weight_decay >= 0)) {
    fail<ArgumentError>(
        "Sgd: lr {}, momentum {}, weight_decay {}; none may be negative, and momentum must be below 1",
        options.lr, options.momentum, options.weight_decay);
  }
  if (options.nesterov && options.momentum == 0)
    fail<ArgumentError>("Sgd: nesterov needs a momentum above 0");
}

template <class T>
void SgdRule::update(const Run<T>& run) const {
  kernels::sgd<T>({.lr = options_.lr,
                   .momentum = options_.momentum,
                   .weight_decay = options_.weight_decay,
                   .nesterov = options_.nesterov},
                  run.gradient.scale, run.gradient.elements, run.parameter, run.kept[0], run.size);
}
template void SgdRule::update<float>(const Run<float>&) const;
template void SgdRule::update<double>(const Run<double>&) const;

}  // namespace gradus::optim
