#include "autograd/ops/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/record.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tensor/ops/attention.hpp"

namespace gradus {

namespace {

using detail::AttentionPlan;
using detail::AttentionResult;

/// The same with all scores kept, in differentiable ops.
Variable plain(const AttentionPlan& plan, const Variable& q, const Variable& k, const Variable& v,
               const Variable& bias) {
  const auto heads_first = [&](const Variable& x) { return plan.time_first ? transpose(x, 1, 2) : x; };
  const auto grouped = [&](const Variable& x) {  // (batch, kv_heads, heads of a group, queries, ...)
    return reshape(x, {plan.batch, plan.kv_heads, plan.heads / plan.kv_heads, plan.queries, x.dim(-1)});
  };
  const Variable products =
      matmul(grouped(heads_first(q) * plan.scale), unsqueeze(heads_first(k), 2), {.transpose_b = true});
  Variable scores = reshape(products, plan.scores());
  if (bias.value().defined()) scores = scores + bias;
  if (plan.slopes.defined()) scores = scores - detail::attention_distances(plan, q.dtype());
  const Tensor seen = detail::attention_sight(plan, bias.value(), q.dtype());
  const Tensor any_seen = any(seen, -1, true);
  const Tensor hidden = where(any_seen, full({}, -std::numeric_limits<double>::infinity(), q.dtype()), 0);
  Variable p = where(any_seen, softmax(where(seen, scores, Variable(hidden)), -1), 0);
  if (plan.keep < 1) p = p * detail::attention_dropout(plan, q.dtype());
  const Variable out = matmul(grouped(p), unsqueeze(heads_first(v), 2));
  return heads_first(reshape(out, {plan.batch, plan.heads, plan.queries, plan.value_width}));
}

struct AttentionGradient {
  AttentionPlan plan;
  AttentionResult result;
  Variable q, k, v, bias;

  void operator()(const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) const {
    std::array<Tensor, 4> all =
        attention_gradients(plan, result, g, q.value(), k.value(), v.value(), bias.value(),
                            {wanted[0], wanted[1], wanted[2], wanted[3]});
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (wanted[i]) out[i] = std::move(all[i]);
    }
  }
  std::vector<Variable> operator()(const Variable& g) const {
    if (plan.scores().size() == 0) return {{}, {}, {}, {}};
    std::vector<Variable> inputs{q, k, v};
    if (bias.value().defined()) inputs.push_back(bias);
    const auto f = [this](std::span<const Variable> x) {
      return plain(plan, x[0], x[1], x[2], x.size() > 3 ? x[3] : Variable());
    };
    std::vector<Variable> out = vjp(f, inputs, g).second;
    out.resize(4);
    return out;
  }
};

struct PackedAttentionGradient {
  AttentionPlan plan;
  AttentionResult result;
  Variable qkv, bias;

  void operator()(const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) const {
    const Tensor& x = qkv.value();
    std::array<Tensor, 4> all =
        attention_gradients(plan, result, g, x, x, x, bias.value(), {wanted[0], false, false, wanted[1]});
    if (wanted[0]) out[0] = std::move(all[0]);
    if (wanted[1]) out[1] = std::move(all[3]);
  }
  std::vector<Variable> operator()(const Variable& g) const {
    if (plan.scores().size() == 0) return {{}, {}};
    std::vector<Variable> inputs{qkv};
    if (bias.value().defined()) inputs.push_back(bias);
    const auto f = [this](std::span<const Variable> x) {
      AttentionPlan apart = plan;
      apart.packed = false;
      apart.time_first = true;
      const std::int64_t all = plan.heads + 2 * plan.kv_heads;
      const std::vector<Variable> parts = split(reshape(x[0], {plan.batch, plan.queries, all, plan.width}),
                                                {plan.heads, plan.kv_heads, plan.kv_heads}, 2);
      const Variable y = plain(apart, parts[0], parts[1], parts[2], x.size() > 1 ? x[1] : Variable());
      return reshape(y, {plan.batch, plan.queries, plan.heads * plan.width});
    };
    std::vector<Variable> out = vjp(f, inputs, g).second;
    out.resize(2);
    return out;
  }
};

/// The lengths, from the operands' shapes.
AttentionPlan plan_of(const Variable& q, const Variable& k, const Variable& v,
                      const AttentionOptions& options) {
  const char* const axes = options.time_first ? "(batch, time, heads, width)" : "(batch, heads, time, width)";
  for (const auto& [name, x] : {std::pair{"q", &q}, {"k", &k}, {"v", &v}}) {
    if (!x->value().defined()) fail<ArgumentError>("attention: {} is undefined; give it a value first", name);
    if (x->rank() != 4) fail<ShapeError>("attention: {} of shape {}; it must be {}", name, x->shape(), axes);
    if (x->dtype() != q.dtype())
      fail<DtypeError>("attention: q is {}, {} {}; convert with to()", name_of(q.dtype()), name,
                       name_of(x->dtype()));
  }
  const int time = options.time_first ? 1 : 2, head = options.time_first ? 2 : 1;
  AttentionPlan plan{.batch = q.dim(0),
                     .heads = q.dim(head),
                     .kv_heads = k.dim(head),
                     .queries = q.dim(time),
                     .keys = k.dim(time),
                     .width = q.dim(3),
                     .value_width = v.dim(3),
                     .time_first = options.time_first};
  if (k.shape() != plan.operand(plan.kv_heads, plan.keys, plan.width))
    fail<ShapeError>("attention: q of shape {}, k of shape {}; both are {}, of one batch and one width",
                     q.shape(), k.shape(), axes);
  if (v.shape() != plan.operand(plan.kv_heads, plan.keys, plan.value_width))
    fail<ShapeError>("attention: k of shape {}, v of shape {}; all but their widths must be equal", k.shape(),
                     v.shape());
  if (plan.kv_heads == 0 ? plan.heads != 0 : plan.heads % plan.kv_heads != 0)
    fail<ShapeError>("attention: q has {} heads, which must be a multiple of the {} of k and v", plan.heads,
                     plan.kv_heads);
  return plan;
}

void check_shape(const char* name, const Indices& ids, const Shape& wanted) {
  if (ids.shape() != wanted)
    fail<ShapeError>("attention: {} of shape {}; it must be {}", name, ids.shape(), wanted);
}
void check_broadcasts(const AttentionPlan& plan, const char* name, const Tensor& x) {
  bool fits = x.rank() <= 4;
  for (int axis = 1; fits && axis <= x.rank(); ++axis)
    fits = x.dim(-axis) == 1 || x.dim(-axis) == plan.scores()[-axis];
  if (!fits)
    fail<ShapeError>("attention: a {} of shape {}; it must broadcast to (batch, heads, queries, keys), {}",
                     name, x.shape(), plan.scores());
}

void take_places(AttentionPlan& plan, const AttentionOptions& options) {
  if (options.offset && options.offsets.data() != nullptr)
    fail<ArgumentError>("attention: both offset and offsets; give one of them");
  if (options.offsets.data() != nullptr) {
    check_shape("offsets", options.offsets, {plan.batch});
    plan.offsets = options.offsets;
    return;
  }
  const std::int64_t offset = options.offset.value_or(plan.keys - plan.queries);
  if (std::abs(offset) > std::numeric_limits<std::int32_t>::max())
    fail<ArgumentError>("attention: an offset of {}, which no place can have", offset);
  storage::PoolVector<std::int32_t> all(static_cast<std::size_t>(plan.batch),
                                        static_cast<std::int32_t>(offset));
  plan.offsets = Indices::from_pool(std::move(all));
}

void take_lengths(AttentionPlan& plan, const Indices& lengths) {
  if (lengths.data() == nullptr) return;
  check_shape("lengths", lengths, {plan.batch});
  for (std::int64_t b = 0; b < plan.batch; ++b) {
    const std::int32_t length = lengths.data()[b];
    if (length < 0 || length > plan.keys)
      fail<ShapeError>(
          "attention: a length of {} at position {}; it must be from 0 to {}, the number of keys", length, b,
          plan.keys);
  }
  plan.lengths = lengths;
}

void take_segments(AttentionPlan& plan, const AttentionOptions& options) {
  const Indices &of_keys = options.segments, &of_queries = options.query_segments;
  if (of_keys.data() == nullptr) {
    if (of_queries.data() != nullptr)
      fail<ArgumentError>("attention: query_segments without segments, those of the keys");
    return;
  }
  check_shape("segments", of_keys, {plan.batch, plan.keys});
  plan.k_segments = of_keys;
  if (of_queries.data() != nullptr) {
    check_shape("query_segments", of_queries, {plan.batch, plan.queries});
    plan.q_segments = of_queries;
    return;
  }
  storage::PoolVector<std::int32_t> own(static_cast<std::size_t>(plan.batch * plan.queries));
  for (std::int64_t b = 0; b < plan.batch; ++b) {
    const std::int64_t first = plan.offsets.data()[b];
    if (plan.queries > 0 && (first < 0 || first + plan.queries > plan.keys))
      fail<ShapeError>(
          "attention: segments of {} keys, and queries at the places {}..{}; give the query_segments too",
          plan.keys, first, first + plan.queries - 1);
    std::copy_n(of_keys.data() + b * plan.keys + first, plan.queries, own.begin() + b * plan.queries);
  }
  plan.q_segments = Indices::from_pool(std::move(own)).reshape({plan.batch, plan.queries});
}

void take_starts(AttentionPlan& plan, const AttentionOptions& options) {
  const Indices& starts = options.starts;
  if (starts.data() == nullptr) return;
  check_shape("starts", starts, {plan.batch, plan.queries});
  if (options.sinks > 0)
    fail<ArgumentError>("attention: {} sinks and starts, which hide the first keys", options.sinks);
  for (std::int64_t i = 0; i < starts.size(); ++i) {
    const std::int32_t start = starts.data()[i];
    if (start < 0 || start > plan.keys)
      fail<ShapeError>("attention: a start of {}; it must be from 0 to {}, the number of keys", start,
                       plan.keys);
    if (i % plan.queries != 0 && start < starts.data()[i - 1])
      fail<ArgumentError>("attention: a start of {} behind one of {}; they must not fall", start,
                          starts.data()[i - 1]);
  }
  plan.starts = starts;
}

void take_dropout(AttentionPlan& plan, const AttentionOptions& options) {
  const double rate = options.dropout;
  if (!(rate >= 0 && rate < 1))
    fail<ArgumentError>("attention: a dropout of {}; it must be at least 0 and below 1", rate);
  if (options.rng == nullptr || rate == 0) return;
  plan.keep = 1 - rate;
  plan.random = options.rng->state();
  Rng::State after = plan.random;
  const std::int64_t rows = plan.batch * plan.heads * plan.queries;
  after.counter += static_cast<std::uint64_t>(rows * detail::attention_dropout_places(plan.keys));
  *options.rng = Rng(after);
}

/// The lengths of a call of packed_attention.
AttentionPlan plan_of(const Variable& qkv, std::int64_t heads, std::int64_t kv_heads) {
  if (!qkv.value().defined())
    fail<ArgumentError>("packed_attention: qkv is undefined; give it a value first");
  if (heads < 1 || kv_heads < 1 || heads % kv_heads != 0)
    fail<ArgumentError>("packed_attention: {} heads, and {} of keys and values; these must divide them",
                        heads, kv_heads);
  const std::int64_t all = heads + 2 * kv_heads;
  if (qkv.rank() != 3 || qkv.dim(2) % all != 0)
    fail<ShapeError>("packed_attention: qkv of shape {}; it must be (batch, time, {} heads of one width)",
                     qkv.shape(), all);
  return {.batch = qkv.dim(0),
          .heads = heads,
          .kv_heads = kv_heads,
          .queries = qkv.dim(1),
          .keys = qkv.dim(1),
          .width = qkv.dim(2) / all,
          .value_width = qkv.dim(2) / all,
          .packed = true};
}

/// Checks the options and puts them into the plan.
void take_options(AttentionPlan& plan, Dtype dtype, const AttentionOptions& options) {
  plan.scale =
      options.scale.value_or(1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(plan.width, 1))));
  if (!std::isfinite(plan.scale))
    fail<ArgumentError>("attention: a scale of {}; it must be finite", plan.scale);
  if (options.window < 0 || options.sinks < 0)
    fail<ArgumentError>("attention: a window of {} and {} sinks; neither may be negative", options.window,
                        options.sinks);
  if (options.sinks > 0 && options.window == 0)
    fail<ArgumentError>("attention: {} sinks without a window, which alone hides the first keys",
                        options.sinks);
  plan.causal = options.causal;
  plan.window = options.window;
  plan.sinks = options.sinks;
  take_places(plan, options);
  take_lengths(plan, options.lengths);
  take_segments(plan, options);
  take_starts(plan, options);
  if (options.mask.defined()) {
    check_broadcasts(plan, "mask", options.mask);
    plan.mask = options.mask.to(dtype);
  }
  if (options.bias.value().defined()) {
    check_broadcasts(plan, "bias", options.bias.value());
    if (options.bias.dtype() != dtype)
      fail<DtypeError>("attention: the operands are {}, the bias {}; convert with to()", name_of(dtype),
                       name_of(options.bias.dtype()));
  }
  if (options.slopes.defined()) {
    if (options.slopes.shape() != Shape{plan.heads})
      fail<ShapeError>("attention: slopes of shape {} for {} heads", options.slopes.shape(), plan.heads);
    plan.slopes = options.slopes.to(dtype);
  }
  take_dropout(plan, options);
}

}  // namespace

Variable attention(const Variable& q, const Variable& k, const Variable& v, const AttentionOptions& options,
                   Where where) {
  const InOp op("attention", where);
  AttentionPlan plan = plan_of(q, k, v, options);
  take_options(plan, q.dtype(), options);
  const Variable& bias = options.bias;
  AttentionResult result = attention(plan, q.value(), k.value(), v.value(), bias.value());
  Tensor out = result.out;
  if (!recording()) return Variable(std::move(out));
  return record(
      op, std::move(out),
      jointly({q, k, v, bias}, AttentionGradient{std::move(plan), std::move(result), q, k, v, bias}));
}

Variable packed_attention(const Variable& qkv, std::int64_t heads, std::int64_t kv_heads,
                          const AttentionOptions& options, Where where) {
  const InOp op("packed_attention", where);
  AttentionPlan plan = plan_of(qkv, heads, kv_heads);
  take_options(plan, qkv.dtype(), options);
  const Variable& bias = options.bias;
  const Tensor& x = qkv.value();
  AttentionResult result = attention(plan, x, x, x, bias.value());
  Tensor out = result.out;
  if (!recording()) return Variable(std::move(out));
  return record(op, std::move(out),
                jointly({qkv, bias}, PackedAttentionGradient{std::move(plan), std::move(result), qkv, bias}));
}

Tensor alibi_slopes(std::int64_t heads, Dtype dtype) {
  if (heads < 1) fail<ArgumentError>("alibi_slopes: {} heads; there must be at least 1", heads);
  std::int64_t whole = 1;
  while (2 * whole <= heads) whole *= 2;
  std::vector<double> slopes;
  const auto add = [&](std::int64_t i, std::int64_t of) {
    slopes.push_back(std::exp2(-8 * static_cast<double>(i) / static_cast<double>(of)));
  };
  for (std::int64_t i = 1; i <= whole; ++i) add(i, whole);
  for (std::int64_t i = 1; whole + (i + 1) / 2 <= heads; i += 2) add(i, 2 * whole);
  return Tensor::from(slopes, {heads}).to(dtype);
}

}  // namespace gradus
