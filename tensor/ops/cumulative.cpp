#include "tensor/ops/cumulative.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "tensor/axes.hpp"
#include "tensor/ops/elementwise.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

/// How many columns are processed together.
constexpr std::int64_t tile = 64;

/// Goes along the axis, up to `tile` columns at a time: calls body(offset, state, cols) for each position in
/// turn. `state` holds a double for each column, which is `start` at first.
template <class Body>
void walk(const char* name, const Shape& shape, int axis, bool backward, double start, const Body& body) {
  const Runs r = runs_along(name, shape, axis);
  if (shape.size() == 0) return;
  parallel::for_tiles(r.outer, r.inner, tile, r.length,
                      [&](std::int64_t o, std::int64_t c, std::int64_t cols) {
                        const std::int64_t first = o * r.length * r.inner + c;
                        std::array<double, tile> state;
                        state.fill(start);
                        for (std::int64_t l = 0; l < r.length; ++l)
                          body(first + (backward ? r.length - 1 - l : l) * r.inner, state.data(), cols);
                      });
}

template <class F>
Tensor scan(const char* name, const Tensor& x, int axis, bool backward, double start, F next) {
  Tensor out = Tensor::uninitialized_like(x);
  const auto run = [&]<class T>(T* to, const T* from) {
    walk(name, x.shape(), axis, backward, start, [=](std::int64_t at, double* state, std::int64_t cols) {
      for (std::int64_t c = 0; c < cols; ++c) {
        state[c] = next(state[c], static_cast<double>(from[at + c]));
        to[at + c] = static_cast<T>(state[c]);
      }
    });
  };
  visit_elements(run, out, x);
  return out;
}

}  // namespace

Tensor cumsum(const Tensor& x, int axis, CumsumOptions options) {
  const auto add = [](double sum, double v) { return sum + v; };
  Tensor out = scan("cumsum", x, axis, options.reverse, 0, add);
  if (x.dtype() == Dtype::f32 || all_finite(out) || !all_finite(x)) return out;
  // Sums that overflow, and what comes back of them.
  constexpr double shrunk = 0x1p-40;
  const Tensor smaller = scan("cumsum", x * shrunk, axis, options.reverse, 0, add) / shrunk;
  return where(less(abs(out), std::numeric_limits<double>::infinity()), out, smaller);
}

Tensor recurrence(const Tensor& a, const Tensor& b, int axis, Direction direction) {
  if (a.shape() != b.shape())
    fail<ShapeError>("recurrence: factors of shape {} and terms of shape {}; they must be equal", a.shape(),
                     b.shape());
  if (a.dtype() != b.dtype())
    fail<DtypeError>("recurrence: factors of {} and terms of {}; convert one with to()", name_of(a.dtype()),
                     name_of(b.dtype()));
  Tensor out = Tensor::uninitialized_like(b);
  const auto run = [&]<class T>(T* to, const T* factor, const T* term) {
    const bool backward = direction == Direction::backward;
    // The state is what is added to the next term: a[i] y[i] backward; forward y, which is first multiplied.
    walk("recurrence", b.shape(), axis, backward, 0, [=](std::int64_t at, double* state, std::int64_t cols) {
      for (std::int64_t c = 0; c < cols; ++c) {
        const double f = static_cast<double>(factor[at + c]), t = static_cast<double>(term[at + c]);
        const double y = backward ? t + state[c] : t + f * state[c];
        state[c] = backward ? f * y : y;
        to[at + c] = static_cast<T>(y);
      }
    });
  };
  visit_elements(run, out, a, b);
  return out;
}

Tensor shift(const Tensor& x, int axis, double first) {
  Tensor out = Tensor::uninitialized_like(x);
  const auto run = [&]<class T>(T* to, const T* from) {
    walk("shift", x.shape(), axis, false, first, [=](std::int64_t at, double* state, std::int64_t cols) {
      for (std::int64_t c = 0; c < cols; ++c) {
        to[at + c] = static_cast<T>(state[c]);
        state[c] = static_cast<double>(from[at + c]);
      }
    });
  };
  visit_elements(run, out, x);
  return out;
}

}  // namespace gradus
