#include <fmt/core.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/ngram_commands.hpp"
#include "cli/progress.hpp"
#include "cli/recipe.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/kinds.hpp"
#include "models/ngram/ngram.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/support/write_file.hpp"
#include "text/bpe.hpp"
#include "text/escapes.hpp"
#include "text/load.hpp"
#include "text/tokenizer.hpp"

// The command that makes a model of a text.
namespace gradus::cli {

namespace {

struct TrainCommand {
  std::string text, out, kind = "lstm", unit = "word", tokenizer, document_end;
  int order = 5, threads = 0;
  int layers = 0;
  std::int64_t epochs = 0, updates = 0, batch = 0, min_count = 1, width = 0, heads = 0, context = 0,
               sinks = 0, subwords = 8000;
  double lr = 0, dropout = 0;
  std::uint64_t seed = 1;
  bool skip_marks = false, json = false;
  CLI::Option *order_given = nullptr, *layers_given = nullptr, *dropout_given = nullptr,
              *min_count_given = nullptr, *unit_given = nullptr, *subwords_given = nullptr,
              *sinks_given = nullptr, *document_end_given = nullptr;
  std::vector<const CLI::Option*> of_networks, of_transformers;  // those that apply to nothing else

  void run() const;
  void check() const;
  void check_kind() const;
  std::int32_t document_token(const Vocabulary& vocabulary) const;
  Recipe chosen_recipe(const models::NetworkKind& chosen, const Corpus& corpus) const;
  Corpus prepare() const;
  std::shared_ptr<const Subwords> subwords_of(const std::string& loaded, const std::string& name) const;
  void train_network(const models::NetworkKind& chosen, const Corpus& corpus) const;
  void train_ngram(const Corpus& corpus) const;
  nlohmann::json report(const Corpus& corpus, double seconds) const;
};

/// An option that does not apply to the kind is an error.
void TrainCommand::check_kind() const {
  const models::NetworkKind* const network = models::find_network_kind(kind);
  const auto refuse = [&](const CLI::Option* option, const char* whose) {
    if (given(option)) misuse("{} is of {}, and --kind is {}", option->get_name(), whose, kind);
  };
  if (network == nullptr) {
    for (const CLI::Option* const option : of_networks) refuse(option, "networks");
  } else if (network->has_order) {
    refuse(layers_given, "recurrent networks and transformers");
    refuse(document_end_given, "recurrent networks and transformers");
  } else {
    refuse(order_given, "n-grams and of networks that see the last few tokens only");
  }
  if (network == nullptr || !network->is_transformer) {
    for (const CLI::Option* const option : of_transformers) refuse(option, "transformers");
  }
  if (kind != "llama") refuse(sinks_given, "Llama, which reads on past its context");
}

/// Before the work: an option that does not apply to what is asked for is an error.
void TrainCommand::check() const {
  check_kind();
  if (models::find_network_kind(kind) == nullptr) {
    Place place;
    place.file = out;
    place.check(text);
  }
  if (epochs > 0 && updates > 0) misuse("--epochs and --updates both say how long to train; give one");
  if (given(min_count_given) && unit == "byte") misuse("--min-count: no byte is unknown among bytes");
  if (!tokenizer.empty() && given(unit_given) && unit != "bpe")
    misuse("--tokenizer cuts a text into subwords, and --unit is {}", unit);
  if (given(subwords_given) && (unit != "bpe" || !tokenizer.empty()))
    misuse("--subwords is how many to learn with --unit bpe");
  if (given(min_count_given) && !tokenizer.empty()) misuse("--min-count: a tokenizer's subwords are given");
  require_marks_of_words(skip_marks, tokenizer.empty() ? unit_of(unit) : Unit::subword);
}

/// What the reports on all kinds have in common.
nlohmann::json TrainCommand::report(const Corpus& corpus, double seconds) const {
  const std::optional<std::uint64_t> size = file_bytes(out);
  return {{"kind", kind},
          {"unit", tokenizer.empty() ? unit : "bpe"},
          {"vocabulary", corpus.vocabulary.size()},
          {"train_tokens", corpus.train.tokens.size()},
          {"unknown", corpus.train.unknown},
          {"seconds", seconds},
          {"bytes", size ? nlohmann::json(*size) : nlohmann::json()}};
}

std::int32_t TrainCommand::document_token(const Vocabulary& vocabulary) const {
  std::string symbol;
  if (!unescape(document_end, symbol) || !vocabulary.contains(symbol)) {
    fail<ArgumentError>("--document-end {}: the text has no such {}; lines of words end with </s>",
                        document_end, name_of(vocabulary.unit()));
  }
  return vocabulary.id(symbol);
}

/// The kind's defaults, and what the user says.
Recipe TrainCommand::chosen_recipe(const models::NetworkKind& chosen, const Corpus& corpus) const {
  Recipe made = recipe(chosen, corpus, context);
  const auto choose = [](auto value, auto& into) {
    if (value > 0) into = value;
  };
  choose(width, made.network.width);
  choose(layers, made.network.layers);
  choose(heads, made.network.heads);
  made.network.sinks = sinks;
  if (given(document_end_given)) made.network.document_end = document_token(corpus.vocabulary);
  if (given(dropout_given)) made.network.dropout = dropout;
  if (given(order_given)) made.network.order = order;
  choose(epochs, made.train.epochs);
  choose(batch, made.train.batch);
  choose(lr, made.train.lr);
  made.train.updates = updates;
  made.train.seed = seed;
  return made;
}

void TrainCommand::train_network(const models::NetworkKind& chosen, const Corpus& corpus) const {
  const Recipe made = chosen_recipe(chosen, corpus);
  Rng rng(seed);
  const auto network = chosen.make(rng, made.network);
  Progress progress(kind);
  const models::TrainProgress done =
      network->train(corpus.train.tokens, made.train, training_reporter(progress));
  models::save_network(out, *network, corpus.vocabulary);
  std::FILE* const to = report_stream(out);
  const double smoothed = std::exp(done.loss);
  if (json) {
    nlohmann::json all = report(corpus, progress.seconds());
    all.update({{"parameters", network->parameters()},
                {"epochs", made.train.updates > 0 ? nlohmann::json() : nlohmann::json(made.train.epochs)},
                {"updates", done.steps},
                {"tokens", done.tokens},
                {"smoothed_training_perplexity", smoothed}});
    fmt::print(to, "{}\n", json_text(all));
    return;
  }
  fmt::print(to,
             "{}: {} parameters, {} tokens in {:.1f} s; perplexity while it learned {:.4f}, the mean of {}\n",
             kind, network->parameters(), done.tokens, progress.seconds(), smoothed,
             done.steps <= 100 ? fmt::format("all {} updates", done.steps)
                               : std::string("about the last 100 updates"));
}

void TrainCommand::train_ngram(const Corpus& corpus) const {
  const Vocabulary& v = corpus.vocabulary;
  const Progress progress(kind);
  const models::NgramModel model(
      corpus.train.tokens, static_cast<std::int32_t>(v.size()),
      {.order = order, .sentence_end = v.unit() == Unit::word ? v.line_end() : -1});
  Place place;
  place.file = out;
  PlaceWriter writer(place, v);
  model.write_to(writer.sink());
  std::FILE* const to = report_stream(out);
  const std::vector<std::int64_t> counts = model.counts();
  nlohmann::json orders = nlohmann::json::array();
  for (std::size_t n = 0; n < counts.size(); ++n) {
    const models::Discounts& discounts = model.discounts()[n];
    orders.push_back({{"order", n + 1},
                      {"ngrams", counts[n]},
                      {"discounts", discounts.amount},
                      {"fallback", discounts.fallback}});
    if (!json)
      fmt::print(to, "order {}: {} n-grams, discounts {}\n", n + 1, counts[n], discounts_text(discounts));
  }
  if (!json) return;
  nlohmann::json all = report(corpus, progress.seconds());
  all["orders"] = orders;
  fmt::print(to, "{}\n", json_text(all));
}

void TrainCommand::run() const {
  check();
  set_threads(threads);
  require_writable_out(out);
  std::error_code missing;
  if (std::filesystem::equivalent(text, out, missing))
    fail<ArgumentError>("--out {} is the file that is read, which the model would replace; name another file",
                        out);
  const Corpus corpus = prepare();
  const models::NetworkKind* const network = models::find_network_kind(kind);
  if (network == nullptr) return train_ngram(corpus);
  require_batch(corpus, text_name(text));
  train_network(*network, corpus);
}

/// The subwords of a given tokenizer, or those that are learned from the text.
std::shared_ptr<const Subwords> TrainCommand::subwords_of(const std::string& loaded,
                                                          const std::string& name) const {
  if (!tokenizer.empty()) return load_subwords(tokenizer);
  Progress progress("subwords");
  BpeTraining training{.size = subwords, .report = [&](std::int64_t done, std::int64_t total) {
                         progress.update(done, total);
                       }};
  if (given(min_count_given)) training.min_count = min_count;
  return std::make_shared<const Bpe>(Bpe::train(loaded, training, name));
}

/// The text's tokens, and their vocabulary.
Corpus TrainCommand::prepare() const {
  const Unit chosen = tokenizer.empty() ? unit_of(unit) : Unit::subword;
  const std::string name = text_name(text);
  const std::string loaded = load_text(text, {.unit = chosen, .skip_marks = skip_marks});
  Corpus corpus;
  if (chosen == Unit::subword) {
    const std::shared_ptr<const Subwords> cutter = subwords_of(loaded, name);
    corpus.vocabulary = Vocabulary::of(cutter);
    corpus.train = encode_part(corpus.vocabulary, loaded, name);
    corpus.vocabulary = Vocabulary::of(cutter, count_tokens(corpus.train.tokens, cutter->size()));
  } else {
    corpus.vocabulary = Vocabulary::build(chosen, loaded, {.min_count = min_count}, name);
    corpus.train = encode_part(corpus.vocabulary, loaded, name);
  }
  require_choice(corpus.vocabulary, name);
  return corpus;
}

}  // namespace

void add_train(CLI::App& app) {
  const auto [c, options] = subcommand<TrainCommand>(
      app, "train", &TrainCommand::run, "Train one model on a text and save it",
      "Examples:\n  gradus train book.txt --kind ngram --order 5 --out book.arpa\n"
      "  gradus train book.txt --kind lstm --unit character --out book.safetensors\n"
      "  gradus train book.txt --kind gru --unit bpe --subwords 2000 --out book.safetensors\n"
      "  gradus train book.txt --kind gpt --unit character --layers 6 --width 384 --heads 6 --context 256 "
      "\\\n"
      "    --dropout 0.2 --out book.safetensors");
  add_text(c, options->text);
  c->add_option(
       "--out", options->out,
       "The model's file; of n-grams ARPA text for .arpa and .gz, else binary; - for standard output")
      ->required();
  std::vector<std::string> kinds{"ngram"};
  for (const models::NetworkKind& kind : models::network_kinds()) kinds.emplace_back(kind.name);
  c->add_option("--kind", options->kind, "The kind of model")->check(CLI::IsMember(kinds));
  options->unit_given = add_unit(c, options->unit, all_units());
  options->subwords_given =
      c->add_option(
           "--subwords", options->subwords,
           "How many subwords to learn with --unit bpe, the 256 bytes among them; a short text gives "
           "fewer")
          ->check(CLI::Range(256, 1 << 24));
  c->add_option("--tokenizer", options->tokenizer,
                "Use the subwords of a tokenizer that others made, which the model's file keeps: a "
                "tokenizer.json, a .model of SentencePiece, or a folder with GPT-2's files");
  options->order_given =
      c->add_option(
           "--order", options->order,
           "Tokens of an n-gram; for a network that sees only the last few tokens, those and the next")
          ->check(CLI::Range(1, 20));
  const auto of_networks = [options = options](CLI::Option* option) {
    options->of_networks.push_back(option);
    return option;
  };
  const auto of_transformers = [options = options](CLI::Option* option) {
    options->of_transformers.push_back(option);
  };
  const CLI::Range sizes(0, 65536);
  of_networks(
      c->add_option("--epochs", options->epochs, "How often a network reads the text; 0: chosen by its size")
          ->check(CLI::Range(0, 100000)));
  of_networks(c->add_option("--updates", options->updates,
                            "How many updates to train for, in place of whole epochs; 0: by --epochs")
                  ->check(CLI::Range(0, 1 << 30)));
  of_networks(c->add_option("--batch", options->batch,
                            "Texts that are read side by side, the streams that the text is cut into; 0: "
                            "chosen by its size")
                  ->check(sizes));
  of_networks(c->add_option("--width", options->width, "Hidden units; 0: chosen by the kind")->check(sizes));
  options->layers_given =
      of_networks(c->add_option("--layers", options->layers, "Layers; 0: chosen by the kind")
                      ->check(CLI::Range(0, 1024)));
  options->document_end_given = of_networks(c->add_option(
      "--document-end", options->document_end,
      "A token that separates documents, such as </s>, which ends lines of words, or \\n among characters: "
      "each is read from there on as if it were alone"));
  of_transformers(c->add_option("--heads", options->heads,
                                "Heads of attention, a divisor of --width; 0: chosen by the kind")
                      ->check(sizes));
  of_transformers(c->add_option("--context", options->context,
                                "Tokens that a transformer sees at once; 0: chosen by the kind")
                      ->check(sizes));
  options->sinks_given =
      c->add_option("--sinks", options->sinks,
                    "First tokens of a text that a Llama still sees when it reads on past its context, which "
                    "they are part of")
          ->check(sizes);
  options->dropout_given =
      of_networks(c->add_option("--dropout", options->dropout,
                                "The share of activations that training sets to 0; chosen by the kind")
                      ->check(share_below_one())
                      ->default_str(""));
  of_networks(c->add_option("--lr", options->lr, "The largest learning rate; 0: chosen by the kind")
                  ->check(zero_or_more()));
  of_networks(c->add_option("--seed", options->seed, "Seed of the initial weights and of dropout")
                  ->check(whole_number()));
  options->min_count_given =
      c->add_option("--min-count", options->min_count,
                    "Words seen less often become <unk>; pairs of subwords seen less often are not joined")
          ->check(CLI::Range(1, 1 << 30));
  add_skip_marks(c, options->skip_marks);
  add_threads(c, options->threads);
  add_json(c, options->json);
}

}  // namespace gradus::cli
