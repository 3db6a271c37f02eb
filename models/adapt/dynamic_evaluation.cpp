#include "models/adapt/dynamic_evaluation.hpp"

namespace gradus::models::detail {

void check_options(const DynamicOptions& o) {
  const auto not_negative = [](double x) { return x >= 0 && std::isfinite(x); };
  if (!not_negative(o.lr) || !(o.decay >= 0 && o.decay <= 1) || o.steps < 1 || !not_negative(o.clip) ||
      !(o.eps > 0 && std::isfinite(o.eps))) {
    fail<ArgumentError>(
        "dynamic evaluation with lr {}, decay {}, steps {}, clip {} and eps {}: lr and clip are 0 or more, "
        "the decay "
        "from 0 to 1, steps at least 1 and eps above 0",
        o.lr, o.decay, o.steps, o.clip, o.eps);
  }
}

Tensor dynamic_update(const Tensor& weight, const Tensor& trained, const Tensor& gradient, double scale,
                      const Tensor& mean_squares, double mean_root, const DynamicOptions& options) {
  Tensor out = weight;
  const Tensor root = mean_squares.defined() ? sqrt(mean_squares) : Tensor();
  if (gradient.defined() && options.lr > 0) {
    const Tensor step = gradient * (options.lr * scale);
    out = out - (root.defined() ? step / (root + options.eps) : step);
  }
  if (options.decay > 0) {
    const Tensor way = trained - weight;
    if (root.defined()) {
      const Tensor rate =
          minimum(root * (1 / mean_root), full(root.shape(), 1 / options.decay, root.dtype()));
      out = out + way * rate * options.decay;
    } else {
      out = out + way * options.decay;
    }
  }
  return out;
}

}  // namespace gradus::models::detail
