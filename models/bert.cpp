#include "models/bert.hpp"

#include <algorithm>
#include <string>

#include "autograd/ops/activations.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/attention.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "nn/dropout.hpp"

namespace gradus::models {

namespace {

const BertOptions& checked(const BertOptions& o) {
  if (o.vocab < 2)
    fail<ArgumentError>("BertNetwork: a vocabulary of {}; at least 2 tokens are needed", o.vocab);
  if (o.width < 1 || o.layers < 1 || o.heads < 1 || o.inner < 1 || o.context < 1 || o.segments < 1) {
    fail<ArgumentError>(
        "BertNetwork: width {}, {} layers, {} heads, inner {}, a context of {}, {} segments; each must be at "
        "least 1",
        o.width, o.layers, o.heads, o.inner, o.context, o.segments);
  }
  if (o.width % o.heads != 0)
    fail<ArgumentError>("BertNetwork: {} heads do not divide a width of {}", o.heads, o.width);
  if (!(o.deviation >= 0))
    fail<ArgumentError>("BertNetwork: a deviation of {}; it must not be negative", o.deviation);
  nn::detail::check_rate("BertNetwork", o.dropout);
  nn::detail::check_rate("BertNetwork", o.attention_dropout);
  if (o.next_sentence && !o.pooler) fail<ArgumentError>("BertNetwork: next_sentence needs the pooler");
  return o;
}

nn::Linear linear_of(Rng& rng, std::int64_t in, std::int64_t out, const BertOptions& o) {
  nn::Linear layer(rng, in, out);
  layer.weight.mutable_value() = nn::normal(rng, {out, in}, o.deviation);
  layer.bias.mutable_value() = zeros({out});
  return layer;
}
nn::LayerNorm norm_of(const BertOptions& o) {
  return nn::LayerNorm(o.width, {.eps = o.eps});
}

/// 0, 1, ... time - 1.
Indices places_to(std::int64_t time) {
  storage::PoolVector<std::int32_t> out(static_cast<std::size_t>(time));
  for (std::int64_t t = 0; t < time; ++t) out[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(t);
  return Indices::from_pool(std::move(out));
}

void check_share(const char* what, double share) {
  if (!(share >= 0 && share <= 1))
    fail<ArgumentError>("mask_tokens: {} is {}; it must be from 0 to 1", what, share);
}

}  // namespace

BertLayer::BertLayer(Rng& rng, const BertOptions& o)
    : query(linear_of(rng, o.width, o.width, o)),
      key(linear_of(rng, o.width, o.width, o)),
      value(linear_of(rng, o.width, o.width, o)),
      attention_output(linear_of(rng, o.width, o.width, o)),
      attention_norm(norm_of(o)),
      intermediate(linear_of(rng, o.width, o.inner, o)),
      output(linear_of(rng, o.inner, o.width, o)),
      output_norm(norm_of(o)),
      heads(o.heads),
      dropout(o.dropout),
      attention_dropout(o.attention_dropout) {}

Variable BertLayer::operator()(const Variable& x, const Indices& lengths, Rng* rng) const {
  const InModule here(*this);
  const auto in_heads = [&](const Variable& v) {
    return reshape(v, {x.dim(0), x.dim(1), heads, x.dim(2) / heads});
  };
  const Variable seen =
      attention(in_heads(query(x)), in_heads(key(x)), in_heads(value(x)),
                {.lengths = lengths, .dropout = attention_dropout, .rng = rng, .time_first = true});
  const Variable y = attention_norm(x + nn::dropout(attention_output(flatten(seen, 2)), dropout, rng));
  return output_norm(y + nn::dropout(output(gelu(intermediate(y))), dropout, rng));
}

BertPredictions::BertPredictions(Rng& rng, const BertOptions& o)
    : transform(linear_of(rng, o.width, o.width, o)), transform_norm(norm_of(o)), bias(zeros({o.vocab})) {}

BertNetwork::BertNetwork(Rng& rng, const BertOptions& chosen)
    : options(checked(chosen)),
      word_embeddings(rng, chosen.vocab, chosen.width, {.deviation = chosen.deviation}),
      position_embeddings(rng, chosen.context, chosen.width, {.deviation = chosen.deviation}),
      token_type_embeddings(rng, chosen.segments, chosen.width, {.deviation = chosen.deviation}),
      embeddings_norm(norm_of(chosen)) {
  for (int i = 0; i < options.layers; ++i) layers.emplace_back(rng, options);
  if (options.pooler) pooler = linear_of(rng, options.width, options.width, options);
  if (options.predictions) predictions.emplace(rng, options);
  if (options.next_sentence) seq_relationship = linear_of(rng, options.width, 2, options);
}

double BertNetwork::fewest_parameters(const BertOptions& o) {
  const auto width = static_cast<double>(o.width);
  return width *
         (static_cast<double>(o.vocab) + static_cast<double>(o.context) + static_cast<double>(o.segments) +
          o.layers * (4 * width + 2 * static_cast<double>(o.inner)));
}

Variable BertNetwork::operator()(const Indices& ids, const BertText& text, Rng* rng) const {
  const InModule here(*this);
  if (ids.rank() != 2 || ids.dim(1) > options.context)
    fail<ShapeError>(
        "a BertNetwork: ids of shape {}; they must be (batch, time) with at most {} tokens of a text",
        ids.shape(), options.context);
  if (text.segments.size() > 0 && text.segments.shape() != ids.shape())
    fail<ShapeError>("a BertNetwork: segments of shape {} for ids of shape {}", text.segments.shape(),
                     ids.shape());
  Variable x = word_embeddings(ids) + position_embeddings(places_to(ids.dim(1)));
  x = x + (text.segments.size() > 0 ? token_type_embeddings(text.segments)
                                    : select(token_type_embeddings.weight, 0));
  x = nn::dropout(embeddings_norm(x), options.dropout, rng);
  for (const BertLayer& layer : layers) x = layer(x, text.lengths, rng);
  return x;
}

Variable BertNetwork::logits(const Variable& h) const {
  const InModule here(*this);
  if (!predictions) fail<ArgumentError>("logits of a BertNetwork without predictions");
  const Variable y = predictions->transform_norm(gelu(predictions->transform(h)));
  return linear(y, word_embeddings.weight, predictions->bias);
}

Variable BertNetwork::pooled(const Variable& h) const {
  const InModule here(*this);
  if (!pooler) fail<ArgumentError>("the pooled vector of a BertNetwork without a pooler");
  return tanh((*pooler)(select(h, 1, 0)));
}

Variable BertNetwork::next_sentence(const Variable& h) const {
  const InModule here(*this);
  if (!seq_relationship) fail<ArgumentError>("the next sentence of a BertNetwork that was not made for it");
  return (*seq_relationship)(pooled(h));
}

Variable BertNetwork::loss(const MaskedTokens& masked, const BertText& text, Rng* rng) const {
  const InModule here(*this);
  if (!predictions) fail<ArgumentError>("the loss of a BertNetwork without predictions");
  const Variable h = (*this)(masked.ids, text, rng);
  const Variable chosen = index_select(flatten(h, 0, 1), 0, masked.places);  // (chosen, width)
  const Variable y = predictions->transform_norm(gelu(predictions->transform(chosen)));
  return linear_cross_entropy(y, word_embeddings.weight, predictions->bias, masked.targets);
}

MaskedTokens mask_tokens(const Indices& ids, std::int32_t mask, std::int64_t vocab, Rng& rng,
                         const MaskingOptions& o) {
  check_share("the rate", o.rate);
  check_share("the share of masks", o.masked);
  check_share("the share of random tokens", o.random);
  if (o.masked + o.random > 1 + 1e-12)
    fail<ArgumentError>("mask_tokens: shares of {} and {}; together they must be at most 1", o.masked,
                        o.random);
  if (mask < 0 || mask >= vocab)
    fail<ArgumentError>("mask_tokens: a mask of {} in a vocabulary of {}", mask, vocab);
  if (ids.rank() != 2 || (o.lengths.size() > 0 && o.lengths.shape() != Shape{ids.dim(0)}))
    fail<ShapeError>(
        "mask_tokens: ids of shape {}, lengths of shape {}; they must be (batch, time) and (batch)",
        ids.shape(), o.lengths.shape());
  std::vector<std::int32_t> possible, places, out(ids.values().begin(), ids.values().end());
  for (std::int64_t at = 0; at < ids.size(); ++at) {
    const std::int64_t text = at / ids.dim(1), place = at % ids.dim(1);
    if (o.lengths.size() > 0 && place >= o.lengths.data()[text]) continue;
    if (std::ranges::find(o.special, ids.data()[at]) == o.special.end())
      possible.push_back(static_cast<std::int32_t>(at));
  }
  if (possible.empty())
    fail<ShapeError>("mask_tokens: no token can be chosen of ids of shape {}", ids.shape());
  for (const std::int32_t at : possible) {
    if (rng.uniform() < o.rate) places.push_back(at);
  }
  if (places.empty()) places.push_back(possible[rng.below(possible.size())]);
  std::vector<std::int32_t> targets;
  for (const std::int32_t at : places) {
    targets.push_back(ids.data()[at]);
    const double drawn = rng.uniform();
    std::int32_t& token = out[static_cast<std::size_t>(at)];
    if (drawn < o.masked) {
      token = mask;
    } else if (drawn < o.masked + o.random) {
      token = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(vocab)));
    }
  }
  return {Indices(std::move(out), ids.shape()), Indices(std::move(places)), Indices(std::move(targets))};
}

}  // namespace gradus::models
