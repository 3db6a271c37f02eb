#include "models/transformers.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "autograd/checkpoint.hpp"
#include "autograd/ops/activations.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/attention.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "models/documents.hpp"
#include "nn/dropout.hpp"
#include "nn/losses.hpp"

namespace gradus::models {

namespace {

const NetworkOptions& checked(const char* name, const NetworkOptions& o) {
  if (o.vocab < 2)
    fail<ArgumentError>("{}: a vocabulary of {}: at least 2 symbols are needed", name, o.vocab);
  if (o.width < 1 || o.layers < 1 || o.heads < 1 || o.context < 1) {
    fail<ArgumentError>("{}: width {}, {} layers, {} heads, a context of {}; each must be at least 1", name,
                        o.width, o.layers, o.heads, o.context);
  }
  if (o.width % o.heads != 0)
    fail<ArgumentError>("{}: {} heads do not divide a width of {}", name, o.heads, o.width);
  return o;
}

const NetworkOptions& checked_llama(const NetworkOptions& o) {
  checked("LlamaNetwork", o);
  if (o.kv_heads < 0 || (o.kv_heads > 0 && o.heads % o.kv_heads != 0)) {
    fail<ArgumentError>("LlamaNetwork: {} heads of keys and values do not divide the {} heads", o.kv_heads,
                        o.heads);
  }
  if (o.sinks < 0 || o.sinks >= o.context)
    fail<ArgumentError>("LlamaNetwork: {} sinks in a context of {}, which other tokens need too", o.sinks,
                        o.context);
  if (o.width / o.heads % 2 != 0) {
    fail<ArgumentError>("LlamaNetwork: heads of an odd width, {}; rotary positions turn pairs",
                        o.width / o.heads);
  }
  return o;
}

const NetworkOptions& checked_gpt(const NetworkOptions& o) {
  checked("GptNetwork", o);
  if (o.sinks != 0)
    fail<ArgumentError>("GptNetwork: {} sinks, which are of Llama: a GPT-2 has no positions past its context",
                        o.sinks);
  return o;
}

std::int64_t kv_heads_of(const NetworkOptions& o) {
  return o.kv_heads > 0 ? o.kv_heads : o.heads;
}
std::int64_t inner_width(const NetworkOptions& o, std::int64_t usual) {
  return o.inner > 0 ? o.inner : usual;
}

/// A linear layer with initial weights of that deviation, and a bias of 0 where there is one.
nn::Linear linear_of(Rng& rng, std::int64_t in, std::int64_t out, double deviation, bool bias) {
  nn::Linear layer(rng, in, out, {.bias = bias});
  layer.weight.mutable_value() = nn::normal(rng, {out, in}, deviation);
  if (bias) layer.bias.mutable_value() = zeros({out});
  return layer;
}

constexpr double deviation = 0.02;
/// Of what is added to the residual stream, which grows with the number of layers (Radford et al. 2019, 2.3).
double residual_deviation(const NetworkOptions& o) {
  return deviation / std::sqrt(2.0 * o.layers);
}

/// (time, batch) to (batch, time), or back.
Indices transposed(const Indices& x) {
  const std::int64_t rows = x.dim(0), columns = x.dim(1);
  if (rows == 1 || columns == 1) return x.reshape({columns, rows});
  std::vector<std::int32_t> out(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j)
      out[static_cast<std::size_t>(j * rows + i)] = x.values()[static_cast<std::size_t>(i * columns + j)];
  }
  return Indices(std::move(out), {columns, rows});
}
/// (batch, time, width) to (time, batch, width).
Variable time_first(const Variable& h) {
  return h.dim(0) == 1 ? reshape(h, {h.dim(1), 1, h.dim(2)}) : transpose(h, 0, 1);
}

/// Rows begin..end-1 of (time, batch).
Indices rows(const Indices& x, std::int64_t begin, std::int64_t end) {
  const std::int64_t batch = x.dim(1);
  const auto values = x.values().subspan(static_cast<std::size_t>(begin * batch),
                                         static_cast<std::size_t>((end - begin) * batch));
  return Indices(std::vector<std::int32_t>(values.begin(), values.end()), {end - begin, batch});
}
Indices joined(const Indices& a, const Indices& b) {
  if (a.size() == 0) return b;
  std::vector<std::int32_t> values(a.values().begin(), a.values().end());
  values.insert(values.end(), b.values().begin(), b.values().end());
  return Indices(std::move(values), {a.dim(0) + b.dim(0), b.dim(1)});
}

void check_step(const Indices& x, const NetworkOptions& o) {
  if (x.rank() != 2)
    fail<ShapeError>("a transformer: ids of shape {}; they must be (time, batch)", x.shape());
  if (x.dim(0) > o.context) {
    fail<ShapeError>(
        "a transformer: a step of {} tokens, but the context is {}; train with fewer steps or a longer "
        "context",
        x.dim(0), o.context);
  }
}

TransformerState empty_state(const NetworkOptions& o, std::int64_t batch) {
  return {std::vector<KeyValues>(static_cast<std::size_t>(o.layers)), 0, Indices({}, {0, batch})};
}

/// Attention of q, k and v, (batch, time, heads, width of a head), behind the past: (batch, time, width).
/// `for_sinks`: the queries for the sinks, where they differ.
Variable attend(const Variable& q, const Variable& k, const Variable& v, std::span<KeyValues> past,
                AttentionOptions options, const Variable& for_sinks = {}) {
  options.causal = true;
  options.time_first = true;
  const nn::CacheSight sight{.window = options.window, .sinks = options.sinks, .sink_queries = for_sinks};
  if (past.size() > 1) {
    KeyValues::append_each(past, k, v);
    return flatten(KeyValues::attend_each(past, q, sight), 2);
  }
  const bool reads_on = !past.empty() && past[0].size() > 0;
  const bool drops = options.rng != nullptr && options.dropout > 0;
  if (!past.empty()) past[0].append(k, v);
  const bool turns = !past.empty() && for_sinks.value().defined();
  if ((reads_on || turns) && !drops) return flatten(past[0].attend(q, sight), 2);
  return flatten(
      reads_on ? attention(q, past[0].keys(), past[0].values(), options) : attention(q, k, v, options), 2);
}

/// block(x, how, ...) in training, of which only x is kept until backward.
template <class Block, class Call>
Variable checkpointed(const Block& block, const Variable& x, const Reading& how, const Call& call) {
  if (how.rng == nullptr)
    return checkpoint([&block, how, call](const Variable& in) { return call(block, in, how); }, x);
  // Each call draws the same numbers; those that follow are drawn from where the first call ended.
  const auto end = std::make_shared<Rng>(*how.rng);
  const Variable out = checkpoint(
      [&block, how, call, end, rng = *how.rng](const Variable& in) mutable {
        Reading again = how;
        again.rng = &rng;
        Variable result = call(block, in, again);
        *end = rng;
        return result;
      },
      x);
  *how.rng = *end;
  return out;
}
/// Whether layers are to be checkpointed in a reading.
bool checkpoints(const NetworkOptions& options, const Reading& how) {
  return options.checkpoint_layers && recording() && how.past.empty() && how.attention == nullptr;
}

/// What `attend` multiplies values by, to be looked at: (heads, time, time) of q and k, (1, time, heads,
/// width of a head), where keys may have fewer heads.
Tensor attention_weights(const Variable& q, const Variable& k) {
  const Tensor queries = transpose(q.value()[0].to(Dtype::f64), 0, 1);  // (heads, time, width)
  const Tensor keys = transpose(k.value()[0].to(Dtype::f64), 0, 1);
  const std::int64_t heads = queries.dim(0), time = queries.dim(1), shared = heads / keys.dim(0);
  std::vector<Tensor> out;
  for (std::int64_t head = 0; head < heads; ++head) {
    const Tensor scores = matmul(queries[head], transpose(keys[head / shared], 0, 1)) /
                          std::sqrt(static_cast<double>(queries.dim(2)));
    Tensor rows = zeros({time, time}, Dtype::f64);
    auto values = rows.mutable_values<double>();
    for (std::int64_t i = 0; i < time; ++i) {
      const Tensor weights = softmax(slice(scores[i], 0, 0, i + 1), 0);
      for (std::int64_t j = 0; j <= i; ++j) values[static_cast<std::size_t>(i * time + j)] = weights.at(j);
    }
    out.push_back(std::move(rows));
  }
  return stack(out);
}

}  // namespace

TransformerState detach(const TransformerState& state) {
  TransformerState out = state;
  for (KeyValues& layer : out.layers) layer = layer.detached();
  return out;
}

template <class Network>
TransformerState Transformer<Network>::start(std::int64_t batch) const {
  return empty_state(options, batch);
}

template <class Network>
Variable Transformer<Network>::logits(const Variable& features, Rng* /*rng*/) const {
  const InModule here(self());
  return linear(features, self().output(), {});
}

template <class Network>
std::pair<Variable, TransformerState> Transformer<Network>::loss(const Indices& x, const Indices& y,
                                                                 const State& /*state*/, Rng* rng) const {
  const InModule here(self());
  check_step(x, options);
  Reading how{.rng = rng};
  if (options.document_end >= 0) {
    detail::PackedDocuments packed(x, options.document_end);
    how.positions = std::move(packed.positions);
    how.starts = std::move(packed.starts);
  }
  const Variable h = self().read(transposed(x), how);
  return {nn::linear_cross_entropy(h, self().output(), {}, transposed(y)), start(x.dim(1))};
}

template <class Network>
Variable Transformer<Network>::advance_each(std::span<const std::int32_t> tokens,
                                            std::span<State> states) const {
  const InModule here(self());
  const std::size_t texts = states.size(), layers = static_cast<std::size_t>(options.layers);
  std::vector<std::int32_t> positions;
  std::vector<KeyValues> past(layers * texts);
  for (std::size_t i = 0; i < texts; ++i) {
    self().make_room(states[i]);
    positions.push_back(static_cast<std::int32_t>(states[i].position));
    for (std::size_t layer = 0; layer < layers; ++layer)
      past[layer * texts + i] = std::move(states[i].layers[layer]);
  }
  const std::int64_t count = std::ssize(states);
  const Indices ids(std::vector<std::int32_t>(tokens.begin(), tokens.end()), {1, count});
  Variable y = self().read(
      ids, {.positions = Indices(std::move(positions), {1, count}), .past = past, .texts = count});
  for (std::size_t i = 0; i < texts; ++i) {
    for (std::size_t layer = 0; layer < layers; ++layer)
      states[i].layers[layer] = std::move(past[layer * texts + i]);
    self().keep(states[i], Indices({tokens[i]}, {1, 1}));
  }
  return y;
}

template struct Transformer<GptNetwork>;
template struct Transformer<LlamaNetwork>;

GptAttention::GptAttention(Rng& rng, const NetworkOptions& o)
    : c_attn(linear_of(rng, o.width, 3 * o.width, deviation, true)),
      c_proj(linear_of(rng, o.width, o.width, residual_deviation(o), true)),
      heads(o.heads),
      dropout(o.dropout) {}

Variable GptAttention::operator()(const Variable& x, const Reading& how, std::size_t layer) const {
  const InModule here(*this);
  const Variable packed = c_attn(x);  // (batch, time, 3 * width)
  const AttentionOptions options{.causal = true, .starts = how.starts, .dropout = dropout, .rng = how.rng};
  if (how.past.empty() && how.attention == nullptr)
    return c_proj(packed_attention(packed, heads, heads, options));
  const std::int64_t width = x.dim(2);
  const Shape shape{x.dim(0), x.dim(1), heads, width / heads};
  const bool in_place = x.dim(0) * x.dim(1) == 1 && !recording();  // one token: its parts lie in a row
  const auto part = [&](std::int64_t i) {
    if (in_place) return Variable(packed.value().part(i * width, shape));
    return reshape(slice(packed, 2, i * width, (i + 1) * width), shape);
  };
  if (how.attention != nullptr) how.attention->push_back(attention_weights(part(0), part(1)));
  return c_proj(attend(part(0), part(1), part(2), how.past_of(layer), options));
}

GptMlp::GptMlp(Rng& rng, const NetworkOptions& o)
    : c_fc(linear_of(rng, o.width, inner_width(o, 4 * o.width), deviation, true)),
      c_proj(linear_of(rng, inner_width(o, 4 * o.width), o.width, residual_deviation(o), true)) {}

Variable GptMlp::operator()(const Variable& x) const {
  const InModule here(*this);
  return c_proj(gelu(c_fc(x), GeluForm::tanh));
}

GptBlock::GptBlock(Rng& rng, const NetworkOptions& o)
    : ln_1(Shape{o.width}, {.eps = o.norm_eps}),
      attn(rng, o),
      ln_2(Shape{o.width}, {.eps = o.norm_eps}),
      mlp(rng, o),
      dropout(o.dropout) {}

Variable GptBlock::operator()(const Variable& x, const Reading& how, std::size_t layer) const {
  const InModule here(*this);
  const Variable h = x + nn::dropout(attn(ln_1(x), how, layer), dropout, how.rng);
  return h + nn::dropout(mlp(ln_2(h)), dropout, how.rng);
}

GptNetwork::GptNetwork(Rng& rng, const NetworkOptions& chosen)
    : Transformer(checked_gpt(chosen)),
      wte(rng, chosen.vocab, chosen.width, {.deviation = deviation}),
      wpe(rng, chosen.context, chosen.width, {.deviation = deviation}),
      ln_f(Shape{chosen.width}, {.eps = chosen.norm_eps}) {
  h.reserve(static_cast<std::size_t>(chosen.layers));
  for (int i = 0; i < chosen.layers; ++i) h.emplace_back(rng, chosen);
}

double GptNetwork::fewest_parameters(const NetworkOptions& o) {
  const auto width = static_cast<double>(o.width);
  return width * (static_cast<double>(o.vocab) + static_cast<double>(o.context)) +
         o.layers * (4 * width * width + 2 * width * static_cast<double>(o.inner));
}

Variable GptNetwork::read(const Indices& x, const Reading& how) const {
  const Variable places = how.positions.size() > 0
                              ? wpe(how.positions)
                              : slice(wpe.weight, 0, how.position, how.position + x.dim(1));
  Variable y = nn::dropout(wte(x) + places, options.dropout, how.rng);
  for (std::size_t i = 0; i < h.size(); ++i) {
    const auto call = [i](const GptBlock& block, const Variable& in, const Reading& as) {
      return block(in, as, i);
    };
    y = checkpoints(options, how) ? checkpointed(h[i], y, how, call) : call(h[i], y, how);
  }
  return ln_f(y);
}

void GptNetwork::make_room(State& state, Rng* rng) const {
  if (state.position < options.context) return;
  // All positions are taken: the last half of the context becomes the first.
  const Indices kept = rows(state.tokens, options.context - options.context / 2, options.context);
  state = empty_state(options, state.tokens.dim(1));
  if (kept.size() > 0) read(transposed(kept), {.past = state.layers, .rng = rng});
  keep(state, kept);
}

void GptNetwork::keep(State& state, const Indices& x) {
  state.tokens = joined(state.tokens, x);
  state.position += x.dim(0);
}

std::pair<Variable, TransformerState> GptNetwork::features(const Indices& x, const State& state,
                                                           Rng* rng) const {
  const InModule here(*this);
  if (rng != nullptr) check_step(x, options);
  State next = state;
  std::vector<Variable> parts;
  std::int64_t done = 0;
  do {
    make_room(next, rng);
    const std::int64_t count = std::min(options.context - next.position, x.dim(0) - done);
    const Indices part = rows(x, done, done + count);
    parts.push_back(
        time_first(read(transposed(part), {.position = next.position, .past = next.layers, .rng = rng})));
    keep(next, part);
    done += count;
  } while (done < x.dim(0));
  return {parts.size() == 1 ? parts.front() : concat(parts, 0), std::move(next)};
}

LlamaAttention::LlamaAttention(Rng& rng, const NetworkOptions& o)
    : q_proj(linear_of(rng, o.width, o.width, deviation, false)),
      k_proj(linear_of(rng, o.width, o.width / o.heads * kv_heads_of(o), deviation, false)),
      v_proj(linear_of(rng, o.width, o.width / o.heads * kv_heads_of(o), deviation, false)),
      o_proj(linear_of(rng, o.width, o.width, residual_deviation(o), false)),
      heads(o.heads),
      kv_heads(kv_heads_of(o)),
      context(o.context),
      sinks(o.sinks) {}

Variable LlamaAttention::operator()(const Variable& x, const LlamaAngles& angles, const Reading& how,
                                    std::size_t layer) const {
  const InModule here(*this);
  const std::int64_t head = x.dim(2) / heads;
  const auto split = [&](const Variable& all, std::int64_t count) {
    return reshape(all, {x.dim(0), x.dim(1), count, head});
  };
  const RotaryLayout layout{.time_first = true};
  const Variable queries = split(q_proj(x), heads), q = rotary(queries, angles.own, layout),
                 for_sinks = angles.for_sinks ? rotary(queries, *angles.for_sinks, layout) : Variable(),
                 k = rotary(split(k_proj(x), kv_heads), angles.own, layout), v = split(v_proj(x), kv_heads);
  const std::span<KeyValues> past = how.past_of(layer);
  AttentionOptions options{.starts = how.starts};
  if (!past.empty()) {  // else all are within the context
    options.window = context - sinks;
    options.sinks = sinks;
  }
  if (how.attention != nullptr) how.attention->push_back(attention_weights(q, k));
  const Variable seen = attend(q, k, v, past, options, for_sinks);
  for (KeyValues& text : past) text.keep_last(context - sinks - 1, sinks);
  return o_proj(seen);
}

LlamaMlp::LlamaMlp(Rng& rng, const NetworkOptions& o)
    : gate_proj(linear_of(rng, o.width, inner_width(o, o.width * 8 / 3), deviation, false)),
      up_proj(linear_of(rng, o.width, inner_width(o, o.width * 8 / 3), deviation, false)),
      down_proj(linear_of(rng, inner_width(o, o.width * 8 / 3), o.width, residual_deviation(o), false)) {}

Variable LlamaMlp::operator()(const Variable& x) const {
  const InModule here(*this);
  return down_proj(silu(gate_proj(x)) * up_proj(x));
}

LlamaBlock::LlamaBlock(Rng& rng, const NetworkOptions& o)
    : input_layernorm(Shape{o.width}, {.eps = o.norm_eps}),
      self_attn(rng, o),
      post_attention_layernorm(Shape{o.width}, {.eps = o.norm_eps}),
      mlp(rng, o),
      dropout(o.dropout) {}

Variable LlamaBlock::operator()(const Variable& x, const LlamaAngles& angles, const Reading& how,
                                std::size_t layer) const {
  const InModule here(*this);
  const Variable h = x + nn::dropout(self_attn(input_layernorm(x), angles, how, layer), dropout, how.rng);
  return h + nn::dropout(mlp(post_attention_layernorm(h)), dropout, how.rng);
}

LlamaNetwork::LlamaNetwork(Rng& rng, const NetworkOptions& chosen)
    : Transformer(checked_llama(chosen)),
      embed_tokens(rng, chosen.vocab, chosen.width, {.deviation = deviation}),
      norm(Shape{chosen.width}, {.eps = chosen.norm_eps}) {
  layers.reserve(static_cast<std::size_t>(chosen.layers));
  for (int i = 0; i < chosen.layers; ++i) layers.emplace_back(rng, chosen);
  if (!chosen.is_tied(true)) lm_head = linear_of(rng, chosen.width, chosen.vocab, deviation, false);
}

double LlamaNetwork::fewest_parameters(const NetworkOptions& o) {
  const auto width = static_cast<double>(o.width);
  return width * static_cast<double>(o.vocab) +
         o.layers * (2 * width * width + 3 * width * static_cast<double>(o.inner));
}

LlamaAngles LlamaNetwork::angles_of(std::int64_t time, const Reading& how, Dtype dtype) const {
  const RotaryOptions rotation{.base = options.rope_theta, .dtype = dtype};
  const std::int64_t head = options.width / options.heads;
  if (how.positions.size() == 0 && (options.sinks == 0 || how.position + time <= options.context))
    return {rotary_angles(time, head, rotation, how.position), {}};
  std::vector<std::int32_t> places(how.positions.values().begin(), how.positions.values().end());
  for (std::int64_t i = 0; how.positions.size() == 0 && i < time; ++i)
    places.push_back(static_cast<std::int32_t>(how.position + i));
  const Shape shape = how.positions.size() == 0 ? Shape{time} : how.positions.shape();
  LlamaAngles out{rotary_angles(Indices(places, shape), head, rotation), {}};
  const auto last = static_cast<std::int32_t>(options.context - 1);
  if (options.sinks > 0 && std::ranges::any_of(places, [&](std::int32_t p) { return p > last; })) {
    for (std::int32_t& place : places) place = std::min(place, last);
    out.for_sinks = rotary_angles(Indices(std::move(places), shape), head, rotation);
  }
  return out;
}

Variable LlamaNetwork::read(const Indices& x, const Reading& how) const {
  Variable y = nn::dropout(embed_tokens(x), options.dropout, how.rng);
  const LlamaAngles angles = angles_of(x.dim(1), how, y.dtype());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto call = [i, angles](const LlamaBlock& block, const Variable& in, const Reading& as) {
      return block(in, angles, as, i);
    };
    y = checkpoints(options, how) ? checkpointed(layers[i], y, how, call) : call(layers[i], y, how);
  }
  return norm(y);
}

std::pair<Variable, TransformerState> LlamaNetwork::features(const Indices& x, const State& state,
                                                             Rng* rng) const {
  const InModule here(*this);
  if (rng != nullptr) check_step(x, options);
  State next = state;
  const Variable y = read(transposed(x), {.position = state.position, .past = next.layers, .rng = rng});
  keep(next, x);
  return {time_first(y), std::move(next)};
}

}  // namespace gradus::models
