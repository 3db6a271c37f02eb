#include "nn/transformer.hpp"

#include "autograd/members.hpp"
#include "autograd/ops/activations.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "nn/dropout.hpp"

namespace gradus::nn {

namespace {

MultiHeadAttention attention_of(Rng& rng, std::int64_t width, std::int64_t heads,
                                const TransformerOptions& o) {
  return {rng, width, heads, {.bias = o.bias, .dropout = o.dropout}};
}
LayerNorm norm_of(std::int64_t width, const TransformerOptions& o) {
  return LayerNorm(width, {.eps = o.eps, .bias = o.bias});
}
std::optional<LayerNorm> final_norm_of(bool wanted, std::int64_t width, const TransformerOptions& o) {
  if (!wanted) return {};
  return norm_of(width, o);
}
int checked_depth(const char* name, int depth) {
  if (depth < 1) fail<ArgumentError>("{}: {} layers; there must be at least 1", name, depth);
  return depth;
}

/// A part with its residual, before or behind which is the normalisation.
template <class Part>
Variable residual(const Variable& x, const LayerNorm& norm, const TransformerOptions& o, Rng* rng,
                  Where where, const Part& part) {
  if (o.norm_first) return x + dropout(part(norm(x, where)), o.dropout, rng);
  return norm(x + dropout(part(x), o.dropout, rng), where);
}

template <class Layer>
Variable feed_forward(const Layer& layer, const Variable& x, const LayerNorm& norm, Rng* rng, Where where) {
  const TransformerOptions& o = layer.options;
  return residual(x, norm, o, rng, where, [&](const Variable& v) {
    const Variable inner = layer.linear1(v, where);
    const Variable active = o.activation == TransformerActivation::relu ? relu(inner, where)
                                                                        : gelu(inner, GeluForm::exact, where);
    return layer.linear2(dropout(active, o.dropout, rng), where);
  });
}

}  // namespace

TransformerEncoderLayer::TransformerEncoderLayer(Rng& rng, std::int64_t width, std::int64_t heads,
                                                 const TransformerOptions& chosen)
    : self_attn(attention_of(rng, width, heads, chosen)),
      linear1(rng, width, chosen.inner, {.bias = chosen.bias}),
      linear2(rng, chosen.inner, width, {.bias = chosen.bias}),
      norm1(norm_of(width, chosen)),
      norm2(norm_of(width, chosen)),
      options(chosen) {}

Variable TransformerEncoderLayer::operator()(const Variable& x, const AttentionOptions& how, Rng* rng,
                                             Where where) const {
  const InModule here(*this);
  const Variable y = residual(x, norm1, options, rng, where,
                              [&](const Variable& v) { return self_attn(v, how, rng, where); });
  return feed_forward(*this, y, norm2, rng, where);
}

TransformerDecoderLayer::TransformerDecoderLayer(Rng& rng, std::int64_t width, std::int64_t heads,
                                                 const TransformerOptions& chosen)
    : self_attn(attention_of(rng, width, heads, chosen)),
      multihead_attn(attention_of(rng, width, heads, chosen)),
      linear1(rng, width, chosen.inner, {.bias = chosen.bias}),
      linear2(rng, chosen.inner, width, {.bias = chosen.bias}),
      norm1(norm_of(width, chosen)),
      norm2(norm_of(width, chosen)),
      norm3(norm_of(width, chosen)),
      options(chosen) {}

Variable TransformerDecoderLayer::operator()(const Variable& x, const Variable& memory,
                                             const AttentionOptions& how, const AttentionOptions& how_memory,
                                             Rng* rng, Where where) const {
  const InModule here(*this);
  const Variable y = residual(x, norm1, options, rng, where,
                              [&](const Variable& v) { return self_attn(v, how, rng, where); });
  const Variable z = residual(y, norm2, options, rng, where, [&](const Variable& v) {
    return multihead_attn(v, memory, memory, how_memory, rng, where);
  });
  return feed_forward(*this, z, norm3, rng, where);
}

TransformerDecoderLayerState TransformerDecoderLayer::start(const Variable& memory, Where where) const {
  const InModule here(*this);
  auto [keys, values] = multihead_attn.project_memory(memory, memory, where);
  return {{}, std::move(keys), std::move(values)};
}

Variable TransformerDecoderLayer::step(const Variable& x, TransformerDecoderLayerState& state,
                                       const AttentionOptions& how_memory, Where where) const {
  const InModule here(*this);
  const Variable y = residual(x, norm1, options, nullptr, where, [&](const Variable& v) {
    const AttentionHeads heads = self_attn.project(v, where);
    state.own.append(heads.k, heads.v);
    return self_attn.out_proj(flatten(state.own.attend(heads.q), 2, -1, where), where);
  });
  const Variable z = residual(y, norm2, options, nullptr, where, [&](const Variable& v) {
    const Variable queries = multihead_attn.project_queries(v, where);
    return multihead_attn.attend({queries, state.memory_keys, state.memory_values}, how_memory, nullptr,
                                 where);
  });
  return feed_forward(*this, z, norm3, nullptr, where);
}

TransformerEncoder::TransformerEncoder(Rng& rng, std::int64_t width, std::int64_t heads, int depth,
                                       const TransformerOptions& options, bool final_norm)
    : norm(final_norm_of(final_norm, width, options)) {
  checked_depth("TransformerEncoder", depth);
  for (int i = 0; i < depth; ++i) layers.emplace_back(rng, width, heads, options);
}

Variable TransformerEncoder::operator()(const Variable& x, const AttentionOptions& how, Rng* rng,
                                        Where where) const {
  const InModule here(*this);
  Variable y = x;
  for (const TransformerEncoderLayer& layer : layers) y = layer(y, how, rng, where);
  return norm ? (*norm)(y, where) : y;
}

TransformerDecoder::TransformerDecoder(Rng& rng, std::int64_t width, std::int64_t heads, int depth,
                                       const TransformerOptions& options, bool final_norm)
    : norm(final_norm_of(final_norm, width, options)) {
  checked_depth("TransformerDecoder", depth);
  for (int i = 0; i < depth; ++i) layers.emplace_back(rng, width, heads, options);
}

Variable TransformerDecoder::operator()(const Variable& x, const Variable& memory,
                                        const AttentionOptions& how, const AttentionOptions& how_memory,
                                        Rng* rng, Where where) const {
  const InModule here(*this);
  Variable y = x;
  for (const TransformerDecoderLayer& layer : layers) y = layer(y, memory, how, how_memory, rng, where);
  return norm ? (*norm)(y, where) : y;
}

TransformerDecoderState TransformerDecoder::start(const Variable& memory, const AttentionOptions& how_memory,
                                                  Where where) const {
  const InModule here(*this);
  TransformerDecoderState out{{}, how_memory};
  out.layers.reserve(layers.size());
  for (const TransformerDecoderLayer& layer : layers) out.layers.push_back(layer.start(memory, where));
  return out;
}

std::pair<Variable, TransformerDecoderState> TransformerDecoder::step(const Variable& x,
                                                                      TransformerDecoderState state,
                                                                      Where where) const {
  const InModule here(*this);
  if (state.layers.size() != layers.size())
    fail<ArgumentError>("TransformerDecoder: a state of {} layers for {}; start() makes one",
                        state.layers.size(), layers.size());
  Variable y = x;
  for (std::size_t i = 0; i < layers.size(); ++i)
    y = layers[i].step(y, state.layers[i], state.how_memory, where);
  return {norm ? (*norm)(y, where) : y, std::move(state)};
}

Transformer::Transformer(Rng& rng, std::int64_t width, std::int64_t heads, int encoder_layers,
                         int decoder_layers, const TransformerOptions& options)
    : encoder(rng, width, heads, encoder_layers, options, true),
      decoder(rng, width, heads, decoder_layers, options, true) {
  for_each_parameter(*this, [&](const std::string&, Parameter& p) {
    if (p.rank() == 2) p.mutable_value() = xavier_uniform(rng, p.shape());
  });
}

Variable Transformer::operator()(const Variable& source, const Variable& target,
                                 const TransformerLengths& lengths, Rng* rng, Where where) const {
  const InModule here(*this);
  const Variable memory = encoder(source, {.lengths = lengths.source}, rng, where);
  return decoder(target, memory, {.causal = true, .lengths = lengths.target}, {.lengths = lengths.source},
                 rng, where);
}

}  // namespace gradus::nn
