#include "tensor/ops/attention.hpp"

#include <cmath>

#include "tensor/kernels/attention.hpp"
#include "tensor/ops/reduction.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::detail {

namespace {

const std::int32_t* data_or_null(const Indices& ids) {
  return ids.size() == 0 ? nullptr : ids.data();
}

enum class Part { q, k, v, out };

/// Where the heads of an operand, or of the result, stand in its elements.
template <class T>
kernels::HeadMatrices<T> heads_in(const AttentionPlan& plan, T* data, Part part) {
  const bool of_queries = part == Part::q || part == Part::out;
  const std::int64_t heads = of_queries ? plan.heads : plan.kv_heads;
  const std::int64_t rows = of_queries ? plan.queries : plan.keys;
  const std::int64_t cols = part == Part::q || part == Part::k ? plan.width : plan.value_width;
  if (plan.packed && part != Part::out) {
    const std::int64_t row = (plan.heads + 2 * plan.kv_heads) * cols;
    const std::int64_t first = part == Part::q   ? 0
                               : part == Part::k ? plan.heads
                                                 : plan.heads + plan.kv_heads;
    return {data + first * cols, rows * row, cols, row};
  }
  if (plan.time_first || plan.packed) return {data, rows * heads * cols, cols, heads * cols};
  return {data, heads * rows * cols, rows * cols, cols};
}

/// x broadcast to the scores' shape, or null.
template <class T>
kernels::PerScore<const T> per_score(const Tensor& x) {
  if (!x.defined()) return {};
  std::array<std::int64_t, 4> steps{};
  std::int64_t step = 1;
  for (int axis = 1; axis <= x.rank(); ++axis) {
    if (x.dim(-axis) != 1) steps[static_cast<std::size_t>(4 - axis)] = step;
    step *= x.dim(-axis);
  }
  return {x.data<T>(), steps[0], steps[1], steps[2], steps[3]};
}

template <class T>
kernels::Attention<T> call_of(const AttentionPlan& plan, const Tensor& bias) {
  kernels::Attention<T> call{.batch = plan.batch,
                             .heads = plan.heads,
                             .kv_heads = plan.kv_heads,
                             .queries = plan.queries,
                             .keys = plan.keys,
                             .width = plan.width,
                             .value_width = plan.value_width,
                             .q = {},
                             .k = {},
                             .v = {},
                             .scale = static_cast<T>(plan.scale),
                             .sight = {.keys = plan.keys,
                                       .causal = plan.causal,
                                       .window = plan.window,
                                       .sinks = plan.sinks,
                                       .offsets = plan.offsets.data(),
                                       .lengths = data_or_null(plan.lengths),
                                       .starts = data_or_null(plan.starts),
                                       .queries = plan.queries,
                                       .q_segments = data_or_null(plan.q_segments),
                                       .k_segments = data_or_null(plan.k_segments)},
                             .mask = per_score<T>(plan.mask),
                             .bias = per_score<T>(bias),
                             .slopes = plan.slopes.defined() ? plan.slopes.data<T>() : nullptr,
                             .keep = plan.keep,
                             .random = plan.random};
  return call;
}
template <class T>
kernels::Attention<T> call_of(const AttentionPlan& plan, const Tensor& q, const Tensor& k, const Tensor& v,
                              const Tensor& bias) {
  kernels::Attention<T> call = call_of<T>(plan, bias);
  call.q = heads_in(plan, q.data<T>(), Part::q);
  call.k = heads_in(plan, k.data<T>(), Part::k);
  call.v = heads_in(plan, v.data<T>(), Part::v);
  return call;
}

/// A tensor of the scores' shape; f(call, b, h, query, row) writes a row.
template <class F>
Tensor of_scores(const AttentionPlan& plan, const Tensor& bias, Dtype dtype, const F& f) {
  Tensor out = Tensor::uninitialized(plan.scores(), dtype);
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    const kernels::Attention<T> call = call_of<T>(plan, bias);
    T* const to = out.mutable_data<T>();
    parallel::for_each(plan.batch * plan.heads * plan.queries, 8 * plan.keys, [&](std::int64_t row) {
      const std::int64_t head = row / plan.queries;
      f(call, head / plan.heads, head % plan.heads, row % plan.queries, to + row * plan.keys);
    });
  });
  return out;
}

}  // namespace

AttentionResult attention(const AttentionPlan& plan, const Tensor& q, const Tensor& k, const Tensor& v,
                          const Tensor& bias) {
  const Shape rows{plan.batch, plan.heads, plan.queries};
  const Shape shape = plan.packed ? Shape{plan.batch, plan.queries, plan.heads * plan.value_width}
                                  : plan.operand(plan.heads, plan.queries, plan.value_width);
  AttentionResult result{Tensor::uninitialized(shape, q.dtype()), Tensor::uninitialized(rows, q.dtype()),
                         Tensor::uninitialized(rows, q.dtype())};
  const auto compute = [&]<class T>(T* out, const T*) {
    kernels::attention(call_of<T>(plan, q, k, v, bias), heads_in(plan, out, Part::out),
                       result.largest.mutable_data<T>(), result.inverse.mutable_data<T>());
  };
  visit_elements(compute, result.out, q);
  return result;
}

std::array<Tensor, 4> attention_gradients(const AttentionPlan& plan, const AttentionResult& result,
                                          const Tensor& g, const Tensor& q, const Tensor& k, const Tensor& v,
                                          const Tensor& bias, const std::array<bool, 4>& wanted) {
  std::array<Tensor, 4> out;
  const std::array<const Tensor*, 3> operands{&q, &k, &v};
  for (std::size_t i = 0; i < 3; ++i) {
    if (wanted[i]) out[i] = zeros_like(*operands[i]);
  }
  Tensor of_scores = wanted[3] ? zeros(plan.scores(), q.dtype()) : Tensor();
  visit_dtype(q.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const auto to = [&](Tensor& own, Part part) {
      Tensor& x = plan.packed ? out[0] : own;
      return x.defined() ? heads_in(plan, x.mutable_data<T>(), part) : kernels::HeadMatrices<T>{};
    };
    kernels::attention_backward<T>(call_of<T>(plan, q, k, v, bias), heads_in(plan, g.data<T>(), Part::out),
                                   heads_in(plan, result.out.data<T>(), Part::out), result.largest.data<T>(),
                                   result.inverse.data<T>(),
                                   {.q = to(out[0], Part::q),
                                    .k = to(out[1], Part::k),
                                    .v = to(out[2], Part::v),
                                    .bias = wanted[3] ? of_scores.mutable_data<T>() : nullptr,
                                    .bias_apart = wanted[3]});
  });
  if (wanted[3]) out[3] = sum_to(of_scores, bias.shape());
  return out;
}

std::int64_t attention_dropout_places(std::int64_t keys) {
  return kernels::dropout_places(keys);
}

Tensor attention_sight(const AttentionPlan& plan, const Tensor& bias, Dtype dtype) {
  return of_scores(plan, bias, dtype,
                   [&]<class T>(const kernels::Attention<T>& a, std::int64_t b, std::int64_t h,
                                std::int64_t query, T* row) {
                     const auto [first, end, sinks] = a.sight.range(b, query);
                     const kernels::Sight& s = a.sight;
                     for (std::int64_t j = 0; j < plan.keys; ++j) {
                       bool seen = (j >= first && j < end) || j < sinks;
                       if (s.q_segments != nullptr)
                         seen &= s.q_segments[b * plan.queries + query] == s.k_segments[b * plan.keys + j];
                       if (a.mask.data != nullptr) seen &= *a.mask.at(b, h, query, j) != 0;
                       if (a.bias.data != nullptr)
                         seen &= *a.bias.at(b, h, query, j) != -std::numeric_limits<T>::infinity();
                       row[j] = seen ? T{1} : T{0};
                     }
                   });
}
Tensor attention_distances(const AttentionPlan& plan, Dtype dtype) {
  return of_scores(plan, Tensor(), dtype,
                   [&]<class T>(const kernels::Attention<T>& a, std::int64_t b, std::int64_t h,
                                std::int64_t query, T* row) {
                     const auto place = static_cast<T>(a.sight.place(b, query));
                     for (std::int64_t j = 0; j < plan.keys; ++j)
                       row[j] = a.slopes[h] * std::abs(place - static_cast<T>(j));
                   });
}
Tensor attention_dropout(const AttentionPlan& plan, Dtype dtype) {
  return of_scores(plan, Tensor(), dtype,
                   [&]<class T>(const kernels::Attention<T>& a, std::int64_t b, std::int64_t h,
                                std::int64_t query, T* row) {
                     kernels::dropout_factors(a, (b * plan.heads + h) * plan.queries + query, 0, plan.keys,
                                              row);
                   });
}

}  // namespace gradus::detail
