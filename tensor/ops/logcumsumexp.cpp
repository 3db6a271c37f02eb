#include "tensor/ops/logcumsumexp.hpp"

#include <array>
#include <cmath>
#include <limits>

#include "tensor/axes.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

/// log(sum(exp)) of the elements so far: the largest one, and the sum of the others' exponentials beside it.
struct RunningSum {
  double largest = -std::numeric_limits<double>::infinity(),
         others = -1;  // -1: not even the largest is there

  double add(double x) {
    if (x > largest) {
      others = (others + 1) * std::exp(largest - x);
      largest = x;
    } else {
      others += x == largest ? 1 : std::exp(x - largest);  // two infinities have no difference
    }
    if (std::isnan(x)) largest = x;
    return largest + std::log1p(others);
  }
};

}  // namespace

Tensor logcumsumexp(const Tensor& x, int axis) {
  const Runs r = runs_along("logcumsumexp", x.shape(), axis);
  Tensor out = Tensor::uninitialized_like(x);
  constexpr std::int64_t tile = 16;
  const auto run = [&]<class T>(T* to, const T* from) {
    parallel::for_tiles(
        r.outer, r.inner, tile, 40 * r.length, [&](std::int64_t o, std::int64_t c, std::int64_t cols) {
          std::array<RunningSum, tile> sums;
          for (std::int64_t l = 0; l < r.length; ++l) {
            const std::int64_t at = (o * r.length + l) * r.inner + c;
            for (std::int64_t i = 0; i < cols; ++i)
              to[at + i] =
                  static_cast<T>(sums[static_cast<std::size_t>(i)].add(static_cast<double>(from[at + i])));
          }
        });
  };
  if (x.size() > 0) visit_elements(run, out, x);
  return out;
}

}  // namespace gradus
