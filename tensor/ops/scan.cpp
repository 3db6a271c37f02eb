#include "tensor/ops/scan.hpp"

#include <algorithm>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops/elementwise.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

/// How many columns a thread takes at a time: whole registers of every instruction set.
constexpr std::int64_t tile = 128;
/// With so many tiles, threads share them alone.
constexpr std::int64_t enough_tiles = 8;
/// The least steps of a part of the time, and the most parts.
constexpr std::int64_t least_steps = 64, most_parts = 32;

/// How a sequence is cut. It depends on its shape alone, so the bits do not depend on the number of threads.
struct Plan {
  std::int64_t steps, cols;
  std::int64_t parts = 1;

  Plan(std::int64_t time, std::int64_t columns) : steps(time), cols(columns) {
    const bool few = (cols + tile - 1) / tile < enough_tiles,
               long_enough = steps * cols >= 4 * parallel::grain;
    if (few && long_enough) parts = std::clamp<std::int64_t>(steps / least_steps, 1, most_parts);
  }
  std::int64_t begin(std::int64_t part) const { return steps * part / parts; }

  /// Runs body(part, block, at, column) for the parts from `first` on: a tile of the part's columns, which
  /// begin at `column`, and stand at `at` of (time, columns).
  template <class Body>
  void run(std::int64_t first, std::int64_t last, const Body& body) const {
    const std::int64_t tiles = (cols + tile - 1) / tile, count = last - first;
    const std::int64_t cost = 4 * (steps / parts) * std::min(tile, cols);
    parallel::for_each(tiles * count, cost, [&](std::int64_t i) {
      const std::int64_t part = first + i / tiles, column = i % tiles * tile;
      const kernels::ScanBlock block{begin(part + 1) - begin(part), std::min(tile, cols - column), cols};
      body(part, block, begin(part) * cols + column, column);
    });
  }
};

/// What each part of the time makes of the state that reaches it, (parts - 1, columns) each, in the order in
/// which the state goes through them.
struct Summaries {
  Tensor product, sum;

  Summaries(const Plan& plan, Dtype dtype)
      : product(Tensor::uninitialized({plan.parts - 1, plan.cols}, dtype)),
        sum(Tensor::uninitialized({plan.parts - 1, plan.cols}, dtype)) {}

  /// The states that reach the parts, (parts, columns), of the one that reaches the first.
  template <class T>
  Tensor chained(const Plan& plan, const Tensor& start) const {
    Tensor out = Tensor::uninitialized({plan.parts, plan.cols}, start.dtype());
    T* const to = out.mutable_data<T>();
    std::copy_n(start.data<T>(), plan.cols, to);
    kernels::selected<T>().scan_forward({plan.parts - 1, plan.cols, plan.cols}, product.data<T>(),
                                        sum.data<T>(), to, to + plan.cols);
    return out;
  }
};

/// The states before the parts of a sequence, (parts, columns). The plan is of one part afterwards where a
/// product of factors left the dtype.
template <class T>
Tensor states_before(Plan& plan, const Tensor& a, const Tensor& b, const Tensor& start) {
  if (plan.parts == 1) return start;
  Summaries all(plan, a.dtype());
  const T *const factor = a.data<T>(), *const term = b.data<T>();
  T *const product = all.product.mutable_data<T>(), *const sum = all.sum.mutable_data<T>();
  plan.run(0, plan.parts - 1,
           [&](std::int64_t part, const kernels::ScanBlock& block, std::int64_t at, std::int64_t column) {
             const std::int64_t to = part * plan.cols + column;
             kernels::selected<T>().scan_summary(block, factor + at, term + at, product + to, sum + to);
           });
  if (all_finite(all.product)) return all.chained<T>(plan, start);
  plan.parts = 1;
  return start;
}

/// What reaches the parts from behind them, the last part first.
template <class T>
Tensor gradients_ahead(Plan& plan, const Tensor& a, const Tensor& g) {
  Tensor zero = zeros({1, plan.cols}, a.dtype());
  if (plan.parts == 1) return zero;
  Summaries all(plan, a.dtype());
  const T *const factor = a.data<T>(), *const up = g.data<T>();
  T *const product = all.product.mutable_data<T>(), *const sum = all.sum.mutable_data<T>();
  plan.run(1, plan.parts,
           [&](std::int64_t part, const kernels::ScanBlock& block, std::int64_t at, std::int64_t column) {
             const std::int64_t to = (plan.parts - 1 - part) * plan.cols + column;
             kernels::selected<T>().scan_backward_summary(block, factor + at, up + at, product + to,
                                                          sum + to);
           });
  if (all_finite(all.product)) return all.chained<T>(plan, zero);
  plan.parts = 1;
  return zero;
}

Tensor start_or_zeros(const Tensor& start, const Tensor& a) {
  return start.defined() ? start : zeros(a.shape().erased(0), a.dtype());
}

void check(const Tensor& a, const Tensor& b, const Tensor& start) {
  if (a.rank() < 1 || a.shape() != b.shape())
    fail<ShapeError>("linear_scan: factors of shape {} and terms of shape {}; both must be (time, ...)",
                     a.shape(), b.shape());
  if (start.defined() && start.shape() != a.shape().erased(0))
    fail<ShapeError>("linear_scan: a start of shape {} for factors of shape {}; it must be {}", start.shape(),
                     a.shape(), a.shape().erased(0));
  for (const auto& [name, given] : {std::pair{"terms", &b}, {"a start", &start}}) {
    if (given->defined() && given->dtype() != a.dtype())
      fail<DtypeError>("linear_scan: factors of {} and {} of {}; convert one with to()", name_of(a.dtype()),
                       name, name_of(given->dtype()));
  }
}

Plan plan_of(const Tensor& a) {
  return {a.dim(0), a.dim(0) == 0 ? 0 : a.size() / a.dim(0)};
}

}  // namespace

Tensor linear_scan(const Tensor& a, const Tensor& b, const Tensor& start) {
  check(a, b, start);
  Tensor out = Tensor::uninitialized_like(a);
  if (a.size() == 0) return out;
  const Tensor first = start_or_zeros(start, a);
  const auto compute = [&]<class T>(T* h, const T* factor, const T* term) {
    Plan plan = plan_of(a);
    const Tensor states = states_before<T>(plan, a, b, first);
    const T* const before = states.data<T>();
    plan.run(0, plan.parts,
             [&](std::int64_t part, const kernels::ScanBlock& block, std::int64_t at, std::int64_t column) {
               kernels::selected<T>().scan_forward(block, factor + at, term + at,
                                                   before + part * plan.cols + column, h + at);
             });
  };
  visit_elements(compute, out, a, b);
  return out;
}

namespace detail {

void linear_scan_gradients(const Tensor& a, const Tensor& start, const Tensor& h, const Tensor& g,
                           std::span<const bool> wanted, std::span<Tensor> out) {
  if (wanted[0]) out[0] = Tensor::uninitialized_like(a);
  if (wanted[1]) out[1] = Tensor::uninitialized_like(a);
  if (a.size() == 0) {
    if (wanted[2]) out[2] = zeros(a.shape().erased(0), a.dtype());
    return;
  }
  const Tensor first = start_or_zeros(start, a);
  visit_dtype(a.dtype(), [&](auto tag) {
    using T = decltype(tag);
    Plan plan = plan_of(a);
    Tensor ahead = gradients_ahead<T>(plan, a, g);  // (parts, columns), the last part first
    const T *const factor = a.data<T>(), *const up = g.data<T>(), *const state = h.data<T>(),
                   *const of_start = first.data<T>();
    T *const d_a = wanted[0] ? out[0].mutable_data<T>() : nullptr,
             *const d_b = wanted[1] ? out[1].mutable_data<T>() : nullptr,
             *const next = ahead.mutable_data<T>();
    plan.run(0, plan.parts,
             [&](std::int64_t part, const kernels::ScanBlock& block, std::int64_t at, std::int64_t column) {
               const T* const before = part == 0 ? of_start + column : state + at - plan.cols;
               kernels::selected<T>().scan_backward(block, factor + at, up + at, state + at, before,
                                                    next + (plan.parts - 1 - part) * plan.cols + column,
                                                    d_a == nullptr ? nullptr : d_a + at,
                                                    d_b == nullptr ? nullptr : d_b + at);
             });
    if (wanted[2]) out[2] = ahead.rows(plan.parts - 1, plan.parts).reshape(first.shape());
  });
}

}  // namespace detail

}  // namespace gradus
