#include "optim/adam.hpp"

#include <cmath>
#include <tuple>

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
void AdamRule<decoupled>::begin(const Options&, State& state, const Tensor& parameter) {
  if (!state.m.defined()) state.m = state.v = zeros_like(parameter);
  ++state.t;
}

template <bool decoupled>
template <class T>
void AdamRule<decoupled>::update(const Options& o, State& state, T* p, const Segment& segment) {
  const double t = static_cast<double>(state.t);
  const kernels::AdamStep step{.lr = o.lr,
                               .beta1 = o.beta1,
                               .beta2 = o.beta2,
                               .eps = o.eps,
                               .decay = decoupled ? o.lr * o.weight_decay : 0,
                               .coupled_decay = decoupled ? 0 : o.weight_decay,
                               .correction1 = 1 - std::pow(o.beta1, t),
                               .correction2 = 1 - std::pow(o.beta2, t)};
  kernels::adam<T>(step, static_cast<const T*>(segment.gradient), p,
                   state.m.template mutable_data<T>() + segment.begin,
                   state.v.template mutable_data<T>() + segment.begin, segment.size);
}

template <bool decoupled>
struct Instantiate {
  using Rule = AdamRule<decoupled>;
  [[maybe_unused]] static constexpr auto all =
      std::tuple(&Rule::check, &Rule::begin, &Rule::template update<float>, &Rule::template update<double>);
};
template struct Instantiate<false>;
template struct Instantiate<true>;

}  // namespace gradus::optim
