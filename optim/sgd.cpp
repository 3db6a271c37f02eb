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

void SgdRule::begin(const Options& options, State& state, const Tensor& parameter) {
  if (options.momentum > 0 && !state.velocity.defined()) state.velocity = zeros_like(parameter);
}

template <class T>
void SgdRule::update(const Options& options, State& state, T* p, const Segment& segment) {
  const auto* const g = static_cast<const T*>(segment.gradient);
  const T lr = static_cast<T>(options.lr);
  if (options.momentum == 0 && options.weight_decay == 0)
    return kernels::add_scaled<T>(-lr, g, p, segment.size);

  const T momentum = static_cast<T>(options.momentum), decay = static_cast<T>(options.weight_decay);
  T* const v = options.momentum > 0 ? state.velocity.mutable_data<T>() + segment.begin : nullptr;
  for (std::int64_t i = 0; i < segment.size; ++i) {
    const T slope = g[i] + decay * p[i];
    if (v == nullptr) {
      p[i] -= lr * slope;
      continue;
    }
    v[i] = momentum * v[i] + slope;
    p[i] -= lr * (options.nesterov ? slope + momentum * v[i] : v[i]);
  }
}
template void SgdRule::update<float>(const Options&, State&, float*, const Segment&);
template void SgdRule::update<double>(const Options&, State&, double*, const Segment&);

}  // namespace gradus::optim
