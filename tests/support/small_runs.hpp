#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/run/defaults.hpp"
#include "models/run/trainer.hpp"
#include "optim/rules.hpp"
#include "text/corpus.hpp"
#include "text/synthetic.hpp"

/// Small training runs, for the tests of what stops and of what is shared out.
namespace gradus::test {

using namespace gradus::models;

/// A text of a few thousand words, and some of it to validate on.
struct Text {
  Corpus corpus = make_corpus(synthetic_corpus(1, 3000).text, {.split = {.train = 0.8, .valid = 0.2}});
  std::span<const std::int32_t> train() const { return corpus.train.tokens; }
  std::span<const std::int32_t> valid() const { return corpus.valid.tokens; }
};

inline RunConfig small(const std::string& kind, const std::vector<std::string>& settings, const Text& text) {
  RunConfig config;
  config.model.kind = kind;
  config.model.width = 8;
  config.training.batch = 4;
  config.training.steps = 12;
  config.training.updates = 14;
  for (const std::string& setting : settings) merge_setting(config, setting);
  return resolved(config, *find_network_kind(kind), text.corpus.vocabulary, std::ssize(text.train()));
}

inline std::unique_ptr<ErasedNetwork> network_of(const RunConfig& config, const Text& text) {
  Rng rng(config.training.seed);
  auto network =
      find_network_kind(config.model.kind)->make(rng, network_options(config, text.corpus.vocabulary));
  if (config.training.precision == "f64") network->convert(Dtype::f64);
  return network;
}

inline bool same(const Safetensors& a, const Safetensors& b) {
  if (a.tensors.size() != b.tensors.size()) return false;
  for (const auto& [name, value] : a.tensors) {
    if (!identical(value, b.tensors.at(name))) return false;
  }
  return true;
}

/// Kinds and settings that between them use all that a trainer keeps.
inline const std::vector<std::pair<std::string, std::vector<std::string>>> variants{
    {"lstm", {"model.dropout=0.2"}},
    {"lstm",
     {"model.weight_dropout=0.4", "model.word_dropout=0.1", "model.locked_dropout=true",
      "model.output_dropout=0.3", "model.embedding=8", "model.tied=true", "model.layers=2",
      "training.activation_penalty=2", "training.change_penalty=1", "training.variable_steps=true",
      "training.average=triggered", "training.average_patience=1", "optimizer.name=sgd", "optimizer.lr=2",
      "schedule.name=plateau"}},
    {"gru",
     {"training.accumulate=3", "optimizer.name=adafactor", "schedule.name=linear",
      "training.average=exponential"}},
    {"rnn", {"training.precision=f64", "model.width=32", "model.cutoffs=5,20", "data.reading=lines"}},
    {"feed-forward", {"model.order=3", "model.dropout=0.1", "training.average=mean"}},
    {"log-bilinear", {"schedule.name=one-cycle"}},
    {"min-gru", {"optimizer.name=lion", "schedule.name=constant", "schedule.warmup=3"}},
    {"gpt",
     {"model.heads=2", "model.context=16", "model.layers=1", "training.contexts=random", "model.dropout=0.1",
      "training.checkpoint_layers=true"}},
    {"lstm", {"model.dropout=0.2", "training.pieces=4", "training.accumulate=2", "data.reading=lines"}},
    {"llama",
     {"model.heads=2", "model.context=16", "model.layers=1", "schedule.name=inverse-sqrt",
      "training.matmul_precision=medium"}},
};

/// Trains to the end, looking at the validation text every third update.
inline void finish(Trainer& trainer) {
  while (!trainer.done()) {
    if (trainer.update().number % 3 == 0) trainer.validate();
  }
}

}  // namespace gradus::test
