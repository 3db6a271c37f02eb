#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gradus::models {

/// All settings of a training run, as one TOML file holds them. Those that are optional here are chosen by
/// the kind of model and the size of the text where nothing is said (resolved in
/// models/run/defaults.hpp); the file that a run writes back has them all.
struct RunConfig {
  struct Data {
    std::string text, valid;
    double valid_share = 0.05;
    std::string unit = "word", tokenizer;
    std::int64_t subwords = 8000, min_count = 1;
    bool skip_marks = false;
    std::string reading = "continuous", document_end;
  } data;
  struct Model {
    std::string kind = "lstm";
    std::optional<std::int64_t> order, embedding, width, layers, heads, kv_heads, context, sinks, inner;
    std::optional<bool> tied;
    std::optional<double> dropout, input_dropout, layer_dropout, output_dropout;
    double word_dropout = 0, weight_dropout = 0;
    bool locked_dropout = false;
    std::vector<std::int64_t> cutoffs;
    double rope_theta = 10'000, norm_eps = 1e-5;
  } model;
  struct Training {
    std::uint64_t seed = 1;
    std::optional<std::int64_t> epochs, updates, batch, steps;
    std::int64_t accumulate = 1;
    std::optional<std::int64_t> pieces;
    bool shard_optimizer = false;
    bool variable_steps = false;
    std::string contexts = "in order";
    double clip = 1, activation_penalty = 0, change_penalty = 0;
    std::string precision = "f32", matmul_precision = "exact", average = "none";
    bool checkpoint_layers = false;
    double average_decay = 0.999;
    std::int64_t average_patience = 5;
    std::optional<std::int64_t> evaluate_every, log_every;
    std::int64_t patience = 0, save_every = 0, keep = 2;
    double save_seconds = 60;
  } training;
  struct Optimizer {
    std::string name = "adamw";
    std::map<std::string, double> options;  // each a key of the section, such as lr
    std::vector<std::string> no_decay{"*bias", "*norm*", "*ln_*"}, decay_of;
  } optimizer;
  struct Schedule {
    std::string name = "cosine";
    std::optional<std::int64_t> warmup;
    double final = 0.02, factor = 0.25;
    std::int64_t patience = 0;
  } schedule;
  struct Start {
    std::string from;
    std::vector<std::string> freeze;
    bool extend = false;
    std::int64_t lora_rank = 0;
    double lora_alpha = 16, lora_dropout = 0;
    std::vector<std::string> lora_layers{"*"};
  } start;
};

/// Calls visit(section, key, value, about) for each setting but the optimizer's options; `about` says what it
/// is.
template <class Config, class Visit>
void visit_settings(Config& c, const Visit& visit) {
  const auto data = [&](const char* key, auto& value, const char* about) {
    visit("data", key, value, about);
  };
  data("text", c.data.text, "the text to train on: a file (plain, .gz or .zst) or a folder");
  data("valid", c.data.valid, "a text to validate on; none: the last part of the text, valid_share of it");
  data("valid_share", c.data.valid_share, "0: no validation, unless `valid` is given");
  data("unit", c.data.unit, "what a token is: word, character, byte, or bpe for subwords that are learned");
  data("tokenizer", c.data.tokenizer, "a tokenizer of others, whose subwords are used");
  data("subwords", c.data.subwords, "how many to learn with the unit bpe");
  data("min_count", c.data.min_count, "words and characters seen less often become <unk>");
  data("skip_marks", c.data.skip_marks, "whether the words <s> and </s> are left out");
  data("reading", c.data.reading,
       "continuous: a state goes on from line to line; lines: each is read by itself");
  data("document_end", c.data.document_end,
       "a token behind each of which reading begins anew, as of `lines` the line end");
  const auto model = [&](const char* key, auto& value, const char* about) {
    visit("model", key, value, about);
  };
  model("kind", c.model.kind, "ngram, or a network");
  model("order", c.model.order,
        "of n-grams, and of networks that see the last few tokens: those and the next");
  model("embedding", c.model.embedding, "the width of embeddings, where it is not that of the layers");
  model("width", c.model.width, "hidden units");
  model("layers", c.model.layers, "");
  model("heads", c.model.heads, "of attention, a divisor of the width");
  model("kv_heads", c.model.kv_heads, "of keys and values, a divisor of heads; 0: as many");
  model("context", c.model.context, "tokens that a transformer sees at once");
  model("sinks", c.model.sinks, "first tokens that a Llama still sees when it reads on past its context");
  model("inner", c.model.inner, "the width between the two products of a layer; 0: the kind's");
  model("tied", c.model.tied, "whether the embeddings are the output layer");
  model("dropout", c.model.dropout,
        "the share of activations that training sets to 0, in the places usual for the kind");
  model("input_dropout", c.model.input_dropout,
        "of embeddings, where it is another; this and the next ones of recurrent networks");
  model("layer_dropout", c.model.layer_dropout, "between layers");
  model("output_dropout", c.model.output_dropout, "of the last layer");
  model("word_dropout", c.model.word_dropout, "of whole words from the embeddings");
  model("weight_dropout", c.model.weight_dropout, "of recurrent weights");
  model("locked_dropout", c.model.locked_dropout, "one mask for all steps of a batch");
  model("cutoffs", c.model.cutoffs,
        "of an adaptive softmax in place of a full one: ids that divide words by frequency");
  model("rope_theta", c.model.rope_theta, "the base of rotary positions");
  model("norm_eps", c.model.norm_eps, "");
  const auto training = [&](const char* key, auto& value, const char* about) {
    visit("training", key, value, about);
  };
  training("seed", c.training.seed, "of initial weights, dropout and contexts");
  training("epochs", c.training.epochs, "times through the text");
  training("updates", c.training.updates, "so many in place of epochs; 0: epochs");
  training("batch", c.training.batch, "texts that are read side by side");
  training("steps", c.training.steps, "tokens of each between two updates, the reach of backpropagation");
  training("accumulate", c.training.accumulate, "batches whose gradients are added for one update");
  training(
      "pieces", c.training.pieces,
      "a power of two: so many parts of a batch, whose gradients are added in a fixed order, are shared out "
      "among processes; a run has the same bits in any number of them that divides it");
  training(
      "shard_optimizer", c.training.shard_optimizer,
      "whether each process keeps the optimizer's state of a part of the parameters alone (ZeRO, stage 1)");
  training("variable_steps", c.training.variable_steps, "lengths drawn about `steps`, as of AWD-LSTM");
  training("contexts", c.training.contexts,
           "in order: as they stand in the text; random: from anywhere (transformers)");
  training("clip", c.training.clip, "the gradients' largest norm; 0: no limit");
  training("activation_penalty", c.training.activation_penalty,
           "times the mean square of a recurrent network's outputs");
  training("change_penalty", c.training.change_penalty, "times that of their changes from step to step");
  training("precision", c.training.precision, "f32 or f64");
  training(
      "matmul_precision", c.training.matmul_precision,
      "of f32: exact, high or medium, which multiplies numbers rounded to bfloat16 where the processor has "
      "instructions for it");
  training("checkpoint_layers", c.training.checkpoint_layers,
           "whether the layers of a transformer are computed again in backward, for less memory");
  training("average", c.training.average,
           "the weights that are evaluated and kept: none, the last; exponential or mean, averages; "
           "triggered, the mean "
           "since validation stopped falling, as of AWD-LSTM");
  training("average_decay", c.training.average_decay, "of the exponential average");
  training("average_patience", c.training.average_patience, "evaluations of the triggered one");
  training("evaluate_every", c.training.evaluate_every, "updates between two looks at the validation text");
  training("log_every", c.training.log_every, "updates between two lines of the log");
  training("patience", c.training.patience, "evaluations without a best before training ends; 0: it goes on");
  training("save_every", c.training.save_every, "updates between two checkpoints; 0: by time");
  training("save_seconds", c.training.save_seconds, "");
  training("keep", c.training.keep, "checkpoints that are kept");
  visit("optimizer", "name", c.optimizer.name,
        "beside it, its options: lr, weight_decay, beta1, momentum and so on");
  visit("optimizer", "no_decay", c.optimizer.no_decay, "parameters without weight decay");
  visit("optimizer", "decay_of", c.optimizer.decay_of,
        "parameters with a decay of their own, such as \"embed.* = 0.1\"");
  const auto schedule = [&](const char* key, auto& value, const char* about) {
    visit("schedule", key, value, about);
  };
  schedule("name", c.schedule.name,
           "constant, cosine, linear, one-cycle, inverse-sqrt; or plateau: times factor when validation does "
           "not improve");
  schedule("warmup", c.schedule.warmup, "updates of a linear rise");
  schedule("final", c.schedule.final, "the last rate as a share of the largest");
  schedule("factor", c.schedule.factor, "of plateau");
  schedule("patience", c.schedule.patience, "evaluations without improvement that plateau bears");
  const auto start = [&](const char* key, auto& value, const char* about) {
    visit("start", key, value, about);
  };
  start("from", c.start.from, "a trained model to begin with, whose tokens and sizes are kept");
  start("extend", c.start.extend, "whether tokens of the text that it lacks are added to its own");
  start("freeze", c.start.freeze, "parameters that stay as they are, such as embed.*");
  start("lora_rank", c.start.lora_rank, "of adapters, all that is trained then; 0: none");
  start("lora_alpha", c.start.lora_alpha, "");
  start("lora_dropout", c.start.lora_dropout, "");
  start("lora_layers", c.start.lora_layers, "the linear layers that get some");
}

/// Takes the settings of a TOML text, which errors call `name`, into a configuration; the others stay as they
/// are. Throws DataError with the line: for what is no TOML, a section or key that is not known (the nearest
/// name is suggested), a value of another type, and one out of its range (check_config).
void merge_toml(RunConfig& config, std::string_view text, const std::string& name);
/// The same of a file of at most a megabyte.
void merge_toml_file(RunConfig& config, const std::filesystem::path& file);
/// One setting, "section.key=value" with the value as in TOML, where a text may stand without quotes.
void merge_setting(RunConfig& config, std::string_view setting);

/// The whole configuration as TOML, with what each setting is; what is not decided stands there as a comment.
std::string to_toml(const RunConfig& config);

/// The pattern and the number of an entry of optimizer.decay_of, "pattern = number". Throws DataError for
/// what is none.
std::pair<std::string, double> decay_of(std::string_view entry);

/// Throws DataError naming the setting for values that no run can have.
void check_config(const RunConfig& config, const std::string& name);

}  // namespace gradus::models
