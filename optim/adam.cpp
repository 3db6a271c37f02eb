#include "optim/adam.hpp"

#include <cmath>

#include "tensor/kernels/kernels.hpp"

namespace gradus::optim {

namespace {

template <class Options>
void check_options(const char* name, const Options& o) {
  if (!(o.lr >= 0) || !(o.eps >= 0) || !(o.weight_decay >= 0) || !(o.beta1 >= 0 && o.beta1 < 1) ||
      !(o.beta2 >= 0 && o.beta2 < 1)) {
    fail<ArgumentError>(
        "{}: lr {}, beta1 {}, beta2 {}, eps {}, weight_decay {}; none may be negative, and the betas must be "
        "below 1",
        name, o.lr, o.beta1, o.beta2, o.eps, o.weight_decay);
  }
}

void begin_step(AdamState& state, const Tensor& parameter) {
  if (!state.m.defined()) state.m = state.v = zeros_like(parameter);
  ++state.t;
}

template <class T, class Options>
void adam_step(const Options& o, double decay, double coupled_decay, AdamState& state, T* p,
               const Segment& segment) {
  const double t = static_cast<double>(state.t);
  const kernels::AdamStep step{.lr = o.lr,
                               .beta1 = o.beta1,
                               .beta2 = o.beta2,
                               .eps = o.eps,
                               .decay = decay,
                               .coupled_decay = coupled_decay,
                               .correction1 = 1 - std::pow(o.beta1, t),
                               .correction2 = 1 - std::pow(o.beta2, t)};
  kernels::adam<T>(step, static_cast<const T*>(segment.gradient), p,
                   state.m.mutable_data<T>() + segment.begin, state.v.mutable_data<T>() + segment.begin,
                   segment.size);
}

}  // namespace

void AdamRule::check(const Options& options) {
  check_options("Adam", options);
}
void AdamRule::begin(const Options&, State& state, const Tensor& parameter) {
  begin_step(state, parameter);
}
template <class T>
void AdamRule::update(const Options& o, State& state, T* p, const Segment& segment) {
  adam_step(o, 0, o.weight_decay, state, p, segment);
}
template void AdamRule::update<float>(const Options&, State&, float*, const Segment&);
template void AdamRule::update<double>(const Options&, State&, double*, const Segment&);

void AdamWRule::check(const Options& options) {
  check_options("AdamW", options);
}
void AdamWRule::begin(const Options&, State& state, const Tensor& parameter) {
  begin_step(state, parameter);
}
template <class T>
void AdamWRule::update(const Options& o, State& state, T* p, const Segment& segment) {
  adam_step(o, o.lr * o.weight_decay, 0, state, p, segment);
}
template void AdamWRule::update<float>(const Options&, State&, float*, const Segment&);
template void AdamWRule::update<double>(const Options&, State&, double*, const Segment&);

}  // namespace gradus::optim
