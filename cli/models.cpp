#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/recipe.hpp"
#include "cli/tokens.hpp"
#include "models/checkpoint.hpp"
#include "models/evaluate.hpp"
#include "models/generate.hpp"
#include "tensor/parallel.hpp"
#include "tensor/write_file.hpp"
#include "text/load.hpp"
#include "text/tokenizer.hpp"

// The commands that make a model and use it: train, eval, generate, score.
namespace gradus::cli {

namespace {

using models::TrainedModel;

struct TrainCommand {
  std::string text, out, kind = "lstm", unit = "word";
  int order = 5, threads = 0;
  std::int64_t epochs = 0, min_count = 1, width = 0;
  double lr = 0;
  std::uint64_t seed = 1;

  void run() const;
  template <class Network>
  void train_network(const Corpus& corpus) const;
};

template <class Network>
void TrainCommand::train_network(const Corpus& corpus) const {
  Recipe made = recipe(kind, corpus);
  if (epochs > 0) made.train.epochs = epochs;
  if (lr > 0) made.train.lr = lr;
  if (width > 0) made.network.width = width;
  made.train.seed = seed;
  Rng rng(seed);
  Network network(rng, made.network);
  Progress progress(kind);
  const models::TrainProgress done =
      models::train(network, corpus.train.tokens, made.train, [&](const models::TrainProgress& p) {
        progress.update(p.step, p.steps, fmt::format("perplexity {:.2f}", std::exp(p.loss)));
      });
  models::save_network(out, kind, network, corpus.vocabulary);
  fmt::print("{}: {} parameters, {} tokens in {:.1f} s, training perplexity {:.4f}\n", kind,
             count_parameters(network), done.tokens, progress.seconds(), std::exp(done.loss));
}

void TrainCommand::run() const {
  set_threads(threads);
  require_writable(out);
  std::error_code missing;
  if (std::filesystem::equivalent(text, out, missing))
    fail<ArgumentError>("--out {} is the text itself, which the model would replace; name another file", out);
  const Unit chosen = unit_named(unit);
  const std::string loaded = load_text(text, {.unit = chosen});
  Corpus corpus;
  corpus.vocabulary = Vocabulary::build(chosen, loaded, {.min_count = min_count}, text);
  corpus.train = encode_part(corpus.vocabulary, loaded, text);
  require_choice(corpus.vocabulary, text);
  if (kind != "ngram") require_batch(corpus, text);
  if (kind == "feed-forward") return train_network<models::FeedForwardNetwork>(corpus);
  if (kind == "rnn") return train_network<models::RnnNetwork>(corpus);
  if (kind == "gru") return train_network<models::GruNetwork>(corpus);
  if (kind == "lstm") return train_network<models::LstmNetwork>(corpus);
  const models::NgramModel model(
      corpus.train.tokens, static_cast<std::int32_t>(corpus.vocabulary.size()),
      {.order = order, .sentence_end = chosen == Unit::word ? corpus.vocabulary.line_end() : -1});
  models::save_ngram(out, model, corpus.vocabulary);
  const std::vector<std::int64_t> counts = model.counts();
  for (std::size_t n = 0; n < counts.size(); ++n) {
    const models::Discounts& d = model.discounts()[n];
    fmt::print("order {}: {} n-grams, discounts {:.6g}{}\n", n + 1, counts[n], fmt::join(d.amount, " "),
               d.fallback ? " (fallback: too few counts of counts)" : "");
  }
}

struct UseCommand {
  std::string model, text, prompt;
  models::GenerateOptions how;
  std::int64_t lines = 5;
  bool json = false, allow_unknown = false;

  void evaluate() const;
  void generate();
  void score() const;
};

void UseCommand::evaluate() const {
  const TrainedModel trained = models::load_model(model);
  const Vocabulary& v = trained.vocabulary;
  const CorpusPart part = encode_part(v, load_text(text, {.unit = v.unit()}), text);
  const std::vector<std::int32_t> tokens = with_context(v, part.tokens);
  Progress progress("evaluating");
  const models::Evaluation e = std::visit(
      [&](const auto& m) {
        return models::evaluate(m, tokens, part.characters, v.unknown(), progress.reporter(tokens.size()));
      },
      trained.model);
  if (json) {
    const nlohmann::json out{{"perplexity", e.perplexity()},
                             {"perplexity_without_unknown", e.perplexity_known()},
                             {"bits_per_character", e.bits_per_character()},
                             {"nats_per_token", e.nats_per_token()},
                             {"tokens", e.tokens},
                             {"unknown", e.unknown},
                             {"log_prob", e.log_prob}};
    fmt::print("{}\n", out.dump(2));
    return;
  }
  fmt::print(
      "perplexity {:.4f} over {} {}s ({}{} unknown; {} without them)\n{:.4f} nats a token, {:.4f} bits a "
      "character; {}\n",
      e.perplexity(), e.tokens, name_of(v.unit()), v.unit() == Unit::word ? "line ends counted, " : "",
      e.unknown, e.unknown < e.tokens ? fmt::format("{:.4f}", e.perplexity_known()) : "nothing",
      e.nats_per_token(), e.bits_per_character(),
      std::holds_alternative<models::NgramModel>(trained.model) && v.unit() == Unit::word
          ? "context begun anew at each line"
          : "state carried throughout");
}

void UseCommand::generate() {
  const TrainedModel trained = models::load_model(model);
  const Vocabulary& v = trained.vocabulary;
  if (!allow_unknown && v.unknown() >= 0) how.banned = {v.unknown()};
  how.stop = v.line_end();
  how.stop_count = lines;
  std::vector<std::int32_t> start = with_context(v, {});
  if (!prompt.empty()) {
    std::vector<std::int32_t> ids = encode(v, prompt, "the prompt");
    if (v.unit() == Unit::word) ids.pop_back();  // the prompt's line goes on
    start.insert(start.end(), ids.begin(), ids.end());
  }
  const std::vector<std::int32_t> tokens =
      std::visit([&](const auto& m) { return models::generate(m, start, how); }, trained.model);
  const std::string out = decode(v, tokens);
  if (json) {
    fmt::print(
        "{}\n",
        nlohmann::json{{"prompt", prompt}, {"text", out}, {"tokens", tokens.size()}, {"seed", how.seed}}.dump(
            2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}{}{}{}", prompt, prompt.empty() || v.unit() != Unit::word ? "" : " ", out,
               out.ends_with('\n') ? "" : "\n");
  }
}

void UseCommand::score() const {
  const TrainedModel trained = models::load_model(model);
  const Vocabulary& v = trained.vocabulary;
  const std::string name = text.empty() ? "standard input" : text;
  std::string line;
  std::int64_t number = 0;
  const auto print = [&] {
    const std::vector<std::int32_t> tokens = with_context(v, encode(v, line + "\n", name, ++number));
    const models::Evaluation e =
        std::visit([&](const auto& m) { return models::evaluate(m, tokens, 1, v.unknown()); }, trained.model);
    const double log10 = e.log_prob / std::log(10.0);
    if (json) {
      fmt::print("{}\n",
                 nlohmann::json{{"log10", log10}, {"tokens", e.tokens}, {"unknown", e.unknown}}.dump());
    } else {
      fmt::print("{:.6f}\t{}\t{}\n", log10, e.tokens, e.unknown);
    }
  };
  if (!text.empty()) {
    std::string_view rest;
    const std::string loaded = load_text(text, {.unit = v.unit()});
    encode(v, loaded, name);  // so that a bad line is found before any score is printed
    for (rest = loaded; !rest.empty();) {
      const std::size_t end = rest.find('\n');
      line = rest.substr(0, end);
      rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
      print();
    }
    return;
  }
  while (std::getline(std::cin, line)) print();
  if (number == 0) fail<DataError>("standard input is empty; give lines of text, or a file's name");
}

void add_model(CLI::App* command, const std::shared_ptr<UseCommand>& options) {
  command->add_option("--model", options->model, "A model that `gradus train` wrote")->required();
  command->add_flag("--json", options->json, "Print JSON");
}

}  // namespace

void add_train(CLI::App& app) {
  auto options = std::make_shared<TrainCommand>();
  CLI::App* c = app.add_subcommand("train", "Train one model on a text and keep it");
  c->add_option("text", options->text, "A file or folder of text")->required();
  c->add_option("--out", options->out, "The model's file")->required();
  c->add_option("--kind", options->kind, "ngram, feed-forward, rnn, gru or lstm")
      ->check(CLI::IsMember({"ngram", "feed-forward", "rnn", "gru", "lstm"}))
      ->capture_default_str();
  c->add_option("--unit", options->unit, "What a token is")
      ->check(CLI::IsMember({"word", "character", "byte"}))
      ->capture_default_str();
  c->add_option("--order", options->order, "Of the n-gram model")
      ->check(CLI::Range(1, 20))
      ->capture_default_str();
  c->add_option("--epochs", options->epochs, "Times through the text; 0: chosen by its size")
      ->check(CLI::Range(0, 100000));
  c->add_option("--width", options->width, "Hidden units; 0: chosen by the kind")
      ->check(CLI::Range(0, 65536));
  c->add_option("--lr", options->lr, "Learning rate at the start; 0: chosen by the kind")
      ->check([](const std::string& given) {
        const double lr = std::strtod(given.c_str(), nullptr);  // that it is a number, CLI11 checks
        return lr >= 0 && std::isfinite(lr) ? "" : "'" + given + "' is no finite number of 0 or more";
      });
  c->add_option("--min-count", options->min_count, "Words seen less often become <unk>")
      ->check(CLI::Range(1, 1 << 30));
  c->add_option("--seed", options->seed, "Of weights and dropout")->capture_default_str();
  c->add_option("--threads", options->threads, "0: one a core")->check(CLI::Range(0, 1024));
  c->footer(
      "Examples:\n  gradus train book.txt --kind ngram --order 5 --out book.arpa\n"
      "  gradus train book.txt --kind lstm --unit character --out book.safetensors");
  c->callback([options] { options->run(); });
}

void add_eval(CLI::App& app) {
  auto options = std::make_shared<UseCommand>();
  CLI::App* c = app.add_subcommand("eval", "The perplexity of a text under a model");
  c->add_option("text", options->text, "A file or folder of text")->required();
  add_model(c, options);
  c->footer("Example:\n  gradus eval --model book.arpa other.txt --json");
  c->callback([options] { options->evaluate(); });
}

void add_generate(CLI::App& app) {
  auto options = std::make_shared<UseCommand>();
  CLI::App* c = app.add_subcommand("generate", "Draw text from a model");
  add_model(c, options);
  c->add_option("--prompt", options->prompt, "The text to go on from");
  c->add_option("--tokens", options->how.max_tokens, "At most so many")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  c->add_option("--lines", options->lines, "Stop after so many lines")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  c->add_option("--temperature", options->how.temperature, "Below 1 surer, above 1 wilder, 0 the likeliest")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  c->add_option("--top-k", options->how.top_k, "Only the k likeliest; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  c->add_option("--top-p", options->how.top_p,
                "Only the likeliest that reach p together, above 0 and up to 1")
      ->check(CLI::Range(1e-9, 1.0))
      ->capture_default_str();
  c->add_option("--seed", options->how.seed, "The same seed gives the same text")->capture_default_str();
  c->add_flag("--allow-unknown", options->allow_unknown, "Let <unk> be drawn");
  c->footer("Example:\n  gradus generate --model book.safetensors --prompt 'Once upon' --temperature 0.8");
  c->callback([options] { options->generate(); });
}

void add_score(CLI::App& app) {
  auto options = std::make_shared<UseCommand>();
  CLI::App* c = app.add_subcommand("score", "log10 probability, tokens and unknown words of each line");
  c->add_option("text", options->text, "A file; without it, lines from standard input");
  add_model(c, options);
  c->footer("Example:\n  echo 'the king has a crown .' | gradus score --model book.arpa");
  c->callback([options] { options->score(); });
}

}  // namespace gradus::cli
