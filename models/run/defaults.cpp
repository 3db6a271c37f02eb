#include "models/run/defaults.hpp"

#include <algorithm>

#include "optim/any_optimizer.hpp"
#include "text/escapes.hpp"

namespace gradus::models {

namespace {

constexpr std::int64_t steps_of_recurrent = 64;
constexpr std::int64_t warmup_of_transformers = 100;  // updates

template <class T>
void decide(std::optional<T>& setting, T value) {
  if (!setting) setting = value;
}

/// Whether the width of the embeddings is a setting of its own.
bool has_embedding(const NetworkKind& kind) {
  return kind.is_recurrent || kind.name == "feed-forward";
}

/// A setting of other kinds is an error.
void check_kind(const RunConfig& c, const NetworkKind& kind) {
  const auto refuse = [&](bool given, const char* setting, const char* whose) {
    if (given) fail<ArgumentError>("model.{} is of {}, and the kind is {}", setting, whose, kind.name);
  };
  const RunConfig::Model& m = c.model;
  if (!kind.is_transformer) {
    refuse(m.heads.has_value(), "heads", "transformers");
    refuse(m.kv_heads.has_value(), "kv_heads", "Llama");
    refuse(m.context.has_value(), "context", "transformers");
  }
  if (kind.name != "llama") {
    refuse(m.kv_heads.value_or(0) > 0, "kv_heads", "Llama");
    refuse(m.sinks.value_or(0) > 0, "sinks", "Llama, which reads on past its context");
  }
  if (kind.has_order) {
    refuse(m.layers.has_value(), "layers", "recurrent networks and transformers");
    refuse(c.data.reading == "lines" || !c.data.document_end.empty(), "document_end and reading by lines",
           "recurrent networks and transformers");
  } else {
    refuse(m.order.has_value(), "order", "n-grams and of networks that see the last few tokens only");
  }
  if (!kind.is_recurrent) {
    const char* const whose = "recurrent networks";
    refuse(m.input_dropout || m.layer_dropout || m.output_dropout,
           "input_dropout, layer_dropout or output_dropout", whose);
    refuse(m.word_dropout > 0, "word_dropout", whose);
    refuse(m.weight_dropout > 0, "weight_dropout", whose);
    refuse(m.locked_dropout, "locked_dropout", whose);
    refuse(!m.cutoffs.empty(), "cutoffs", whose);
    if (c.training.activation_penalty > 0 || c.training.change_penalty > 0)
      fail<ArgumentError>(
          "training.activation_penalty and change_penalty are of recurrent networks, and the kind is {}",
          kind.name);
  }
  if (c.training.checkpoint_layers && !kind.is_transformer)
    fail<ArgumentError>("training.checkpoint_layers is of transformers, and the kind is {}", kind.name);
  if (c.training.contexts == "random" && !kind.is_transformer)
    fail<ArgumentError>("training.contexts: random ones are of transformers, and {} carries its state on",
                        kind.name);
  if (c.training.contexts == "random" && c.training.variable_steps)
    fail<ArgumentError>("training.variable_steps is of contexts in order");
  if (c.training.variable_steps && kind.is_transformer)
    fail<ArgumentError>(
        "training.variable_steps is of networks that carry a state; a transformer sees whole contexts");
}

}  // namespace

Recipe recipe(const NetworkKind& kind, const Vocabulary& vocabulary, std::int64_t tokens,
              std::int64_t context) {
  const Unit unit = vocabulary.unit();
  const bool words = unit == Unit::word || unit == Unit::subword;
  const NetworkDefaults& defaults = words ? kind.words : kind.characters;
  const std::int64_t size = std::max<std::int64_t>(tokens, 1);
  Recipe out;
  out.network = {.vocab = vocabulary.size(),
                 .embedding = defaults.embedding,
                 .width = defaults.width,
                 .layers = defaults.layers,
                 .dropout = defaults.dropout,
                 .order = defaults.order,
                 .heads = defaults.heads,
                 .context = context > 0 ? context : defaults.context};
  const std::int64_t steps = kind.is_transformer ? out.network.context : steps_of_recurrent;
  // A short text is cut into fewer streams, so that each has some length.
  out.train.batch = std::clamp<std::int64_t>(size / (10 * steps), 1, 32);
  out.train.steps = steps;
  out.train.epochs = std::clamp<std::int64_t>(defaults.tokens / size, 1, 30);
  out.train.lr = defaults.lr;
  if (kind.is_transformer) out.train.warmup = warmup_of_transformers;
  return out;
}

RunConfig resolved(const RunConfig& config, const NetworkKind& kind, const Vocabulary& vocabulary,
                   std::int64_t tokens) {
  check_kind(config, kind);
  RunConfig c = config;
  const Recipe usual = recipe(kind, vocabulary, tokens, c.model.context.value_or(0));
  RunConfig::Model& m = c.model;
  decide(m.width, usual.network.width);
  const bool ties = kind.is_recurrent && m.tied.value_or(false);
  if (has_embedding(kind)) decide(m.embedding, ties ? *m.width : usual.network.embedding);
  decide(m.dropout, usual.network.dropout);
  if (kind.has_order) {
    decide(m.order, std::int64_t{usual.network.order});
  } else {
    decide(m.layers, std::int64_t{usual.network.layers});
    decide(m.tied, !kind.is_recurrent);
  }
  if (kind.is_transformer) {
    decide(m.heads, usual.network.heads);
    decide(m.context, usual.network.context);
    decide(m.inner, std::int64_t{0});
  }
  if (kind.name == "llama") {
    decide(m.kv_heads, std::int64_t{0});
    decide(m.sinks, std::int64_t{0});
  }
  RunConfig::Training& t = c.training;
  decide(t.pieces, std::int64_t{1});
  decide(t.batch, (usual.train.batch + *t.pieces - 1) / *t.pieces * *t.pieces);
  if (*t.batch % *t.pieces != 0)
    fail<ArgumentError>("training.batch {} cannot be cut into training.pieces {}; give a multiple of it",
                        *t.batch, *t.pieces);
  decide(t.steps, usual.train.steps);
  decide(t.updates, std::int64_t{0});
  if (*t.updates == 0) decide(t.epochs, usual.train.epochs);
  const std::map<std::string, double> own = optim::optimizer_options(c.optimizer.name);
  const bool like_adam = own.contains("beta2") && c.optimizer.name != "lion";
  if (c.optimizer.name == "adamw") c.optimizer.options.try_emplace("weight_decay", 0);
  c.optimizer.options.try_emplace("lr", like_adam ? usual.train.lr : own.at("lr"));
  for (const auto& [option, value] : own) c.optimizer.options.try_emplace(option, value);
  decide(c.schedule.warmup, usual.train.warmup);
  return c;
}

void take_model(RunConfig& config, const NetworkKind& kind, const NetworkOptions& o,
                const Vocabulary& vocabulary) {
  RunConfig::Model& m = config.model;
  m.kind = kind.name;
  const auto take = [&](auto& setting, auto value, const char* name) {
    if (setting && *setting != value)
      fail<ArgumentError>("model.{} is {}, but {} has {}, which stays", name, *setting, config.start.from,
                          value);
    setting = value;
  };
  take(m.width, o.width, "width");
  if (kind.has_order) {
    take(m.order, std::int64_t{o.order}, "order");
  } else {
    take(m.layers, std::int64_t{o.layers}, "layers");
    if (o.tied) take(m.tied, *o.tied, "tied");
  }
  if (has_embedding(kind)) take(m.embedding, o.embedding, "embedding");
  if (kind.is_transformer) {
    take(m.heads, o.heads, "heads");
    take(m.context, o.context, "context");
    take(m.inner, o.inner, "inner");
  }
  if (kind.name == "llama") {
    take(m.kv_heads, o.kv_heads, "kv_heads");
    take(m.sinks, o.sinks, "sinks");
  }
  m.rope_theta = o.rope_theta;
  m.norm_eps = o.norm_eps;
  m.cutoffs = o.cutoffs;
  if (o.document_end < 0) return;
  const std::string end = escaped(vocabulary.symbol(static_cast<std::int32_t>(o.document_end)));
  std::string& given = config.data.document_end;
  const bool by_lines = config.data.reading == "lines" && o.document_end == vocabulary.line_end();
  if (!given.empty() && given != end)
    fail<ArgumentError>("data.document_end is {}, but {} has {}, which stays", given, config.start.from, end);
  if (given.empty() && !by_lines) given = end;
}

NetworkOptions network_options(const RunConfig& c, const Vocabulary& vocabulary) {
  const RunConfig::Model& m = c.model;
  NetworkOptions out{.vocab = vocabulary.size()};
  const auto choose = [](const auto& setting, auto& into) {
    if (setting) into = static_cast<std::remove_reference_t<decltype(into)>>(*setting);
  };
  choose(m.embedding, out.embedding);
  choose(m.width, out.width);
  choose(m.layers, out.layers);
  choose(m.dropout, out.dropout);
  choose(m.order, out.order);
  choose(m.heads, out.heads);
  choose(m.kv_heads, out.kv_heads);
  choose(m.context, out.context);
  choose(m.sinks, out.sinks);
  choose(m.inner, out.inner);
  out.rope_theta = m.rope_theta;
  out.norm_eps = m.norm_eps;
  out.tied = m.tied;
  out.input_dropout = m.input_dropout;
  out.layer_dropout = m.layer_dropout;
  out.output_dropout = m.output_dropout;
  out.word_dropout = m.word_dropout;
  out.weight_dropout = m.weight_dropout;
  out.locked_dropout = m.locked_dropout;
  out.cutoffs = m.cutoffs;
  out.checkpoint_layers = c.training.checkpoint_layers;
  const std::string& escaped = c.data.document_end;
  if (c.data.reading == "lines" && escaped.empty()) {
    out.document_end = vocabulary.line_end();
    if (out.document_end < 0) fail<DataError>("data.reading by lines: the text has no line end");
  } else if (!escaped.empty()) {
    std::string symbol;
    if (!unescape(escaped, symbol) || !vocabulary.contains(symbol)) {
      fail<DataError>("data.document_end {}: the text has no such {}; lines of words end with </s>", escaped,
                      name_of(vocabulary.unit()));
    }
    out.document_end = vocabulary.id(symbol);
  }
  return out;
}

}  // namespace gradus::models
