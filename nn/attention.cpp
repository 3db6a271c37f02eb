#include "nn/attention.hpp"

#include <array>
#include <utility>
#include <vector>

#include "autograd/ops/movement.hpp"
#include "nn/dropout.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

/// The width, after a look at it and at the rest.
std::int64_t checked(std::int64_t width, std::int64_t heads, const MultiHeadAttentionOptions& options) {
  const std::int64_t kv_heads = options.kv_heads.value_or(heads);
  if (width < 1 || heads < 1 || width % heads != 0)
    fail<ArgumentError>("MultiHeadAttention: {} heads of a width of {}; they must divide it", heads, width);
  if (kv_heads < 1 || heads % kv_heads != 0)
    fail<ArgumentError>("MultiHeadAttention: {} kv_heads of {} heads; they must divide them", kv_heads,
                        heads);
  if (options.key_width.value_or(1) < 1 || options.value_width.value_or(1) < 1)
    fail<ArgumentError>("MultiHeadAttention: keys of a width of {}, values of {}; both must be at least 1",
                        options.key_width.value_or(width), options.value_width.value_or(width));
  detail::check_rate("MultiHeadAttention", options.dropout);
  return width;
}

void check_input(const char* what, const Variable& x, std::int64_t width) {
  if (x.rank() != 3 || x.dim(2) != width)
    fail<ShapeError>("MultiHeadAttention: {} of shape {}; it must be (batch, time, {})", what, x.shape(),
                     width);
}

/// A part of a bias that may have no value.
std::vector<Variable> parts_of(const Variable& bias, std::initializer_list<std::int64_t> lengths,
                               Where where) {
  if (!bias.value().defined()) return std::vector<Variable>(lengths.size());
  return split(bias, lengths, 0, where);
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(Rng& rng, std::int64_t of_width, std::int64_t head_count,
                                       const MultiHeadAttentionOptions& options)
    : out_proj(rng, checked(of_width, head_count, options), of_width, {.bias = options.bias}),
      width(of_width),
      heads(head_count),
      kv_heads(options.kv_heads.value_or(head_count)),
      dropout(options.dropout) {
  const std::int64_t of_keys = options.key_width.value_or(width),
                     of_values = options.value_width.value_or(width);
  if (of_keys == width && of_values == width) {
    in_proj_weight = Parameter(xavier_uniform(rng, {width + 2 * kv_width(), width}));
  } else {
    q_proj_weight = Parameter(xavier_uniform(rng, {width, width}));
    k_proj_weight = Parameter(xavier_uniform(rng, {kv_width(), of_keys}));
    v_proj_weight = Parameter(xavier_uniform(rng, {kv_width(), of_values}));
  }
  if (!options.bias) return;
  in_proj_bias = Parameter(zeros({width + 2 * kv_width()}));
  out_proj.bias.mutable_value() = zeros({width});
}

Variable MultiHeadAttention::in_heads(const Variable& x, Where where) const {
  return reshape(x, {x.dim(0), x.dim(1), x.dim(2) / (width / heads), width / heads}, where);
}

AttentionHeads MultiHeadAttention::project(const Variable& x, Where where) const {
  const InModule here(*this);
  if (!in_proj_weight.value().defined()) return project(x, x, x, where);
  check_input("an input", x, width);
  const std::vector<Variable> parts =
      split(linear(x, in_proj_weight, in_proj_bias, where), {width, kv_width(), kv_width()}, -1, where);
  return {in_heads(parts[0], where), in_heads(parts[1], where), in_heads(parts[2], where)};
}

MultiHeadAttention::Projections MultiHeadAttention::projections(Where where) const {
  return {in_proj_weight.value().defined()
              ? split(in_proj_weight, {width, kv_width(), kv_width()}, 0, where)
              : std::vector<Variable>{q_proj_weight, k_proj_weight, v_proj_weight},
          parts_of(in_proj_bias, {width, kv_width(), kv_width()}, where)};
}
Variable MultiHeadAttention::projected(const Projections& by, const Variable& x, std::size_t part,
                                       Where where) const {
  static constexpr std::array names{"queries", "keys", "values"};
  check_input(names[part], x, by.weights[part].dim(1));
  return in_heads(linear(x, by.weights[part], by.biases[part], where), where);
}

AttentionHeads MultiHeadAttention::project(const Variable& queries, const Variable& keys,
                                           const Variable& values, Where where) const {
  const InModule here(*this);
  const Projections by = projections(where);
  return {projected(by, queries, 0, where), projected(by, keys, 1, where), projected(by, values, 2, where)};
}
Variable MultiHeadAttention::project_queries(const Variable& queries, Where where) const {
  const InModule here(*this);
  return projected(projections(where), queries, 0, where);
}
std::pair<Variable, Variable> MultiHeadAttention::project_memory(const Variable& keys, const Variable& values,
                                                                 Where where) const {
  const InModule here(*this);
  const Projections by = projections(where);
  return {projected(by, keys, 1, where), projected(by, values, 2, where)};
}

AttentionOptions MultiHeadAttention::options_of(const AttentionOptions& how, Rng* rng) const {
  AttentionOptions options = how;
  options.time_first = true;
  options.dropout = dropout;
  options.rng = rng;
  return options;
}
Variable MultiHeadAttention::attend(const AttentionHeads& by_heads, const AttentionOptions& how, Rng* rng,
                                    Where where) const {
  const InModule here(*this);
  const Variable y = attention(by_heads.q, by_heads.k, by_heads.v, options_of(how, rng), where);
  return out_proj(reshape(y, {y.dim(0), y.dim(1), y.dim(2) * y.dim(3)}, where), where);
}

Variable MultiHeadAttention::operator()(const Variable& x, const AttentionOptions& how, Rng* rng,
                                        Where where) const {
  const InModule here(*this);
  if (!in_proj_weight.value().defined()) return attend(project(x, where), how, rng, where);
  check_input("an input", x, width);
  const Variable qkv = linear(x, in_proj_weight, in_proj_bias, where);
  return out_proj(packed_attention(qkv, heads, kv_heads, options_of(how, rng), where), where);
}
Variable MultiHeadAttention::operator()(const Variable& queries, const Variable& keys, const Variable& values,
                                        const AttentionOptions& how, Rng* rng, Where where) const {
  return attend(project(queries, keys, values, where), how, rng, where);
}

}  // namespace gradus::nn
