#include "nn/linear.hpp"

#include <cmath>

namespace gradus::nn {

Linear::Linear(Rng& rng, std::int64_t in, std::int64_t out, LinearOptions options) {
  if (in < 1 || out < 1) fail<ArgumentError>("Linear: widths of {} and {}; both must be at least 1", in, out);
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  weight = Parameter(uniform(rng, {out, in}, bound));
  if (options.bias) bias = Parameter(uniform(rng, {out}, bound));
}

}  // namespace gradus::nn
