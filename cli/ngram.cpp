#include <fmt/core.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/tokens.hpp"
#include "models/checkpoint.hpp"
#include "models/interpolate.hpp"
#include "models/ngram/estimate.hpp"
#include "models/ngram/prune.hpp"
#include "models/ngram/text_source.hpp"
#include "models/ngram/writer.hpp"
#include "tensor/parallel.hpp"
#include "tensor/write_file.hpp"
#include "text/corpus.hpp"
#include "text/load.hpp"

// The commands on n-gram models: build, info, export, prune, interpolate.
namespace gradus::cli {

namespace {

using models::NgramModel;
using models::NgramWriter;
using models::TrainedModel;
namespace ngram = models::ngram;

bool is_arpa(const std::filesystem::path& file) {
  return file.extension() == ".arpa" || file.extension() == ".gz";
}

/// How a model is to be stored.
struct Place {
  std::string file, layout = "fast";
  int quantize = 0;

  models::NgramStorage storage() const {
    const models::NgramStorage out{
        layout == "fast" ? models::NgramLayout::fast : models::NgramLayout::compact, quantize};
    if (quantize > 0 && out.layout == models::NgramLayout::fast)
      fail<ArgumentError>("--quantize {} goes with --layout compact", quantize);
    return out;
  }
  void add_to(CLI::App* command) {
    command->add_option("--out", file, "The model's file: ARPA text for .arpa, else binary")->required();
    command->add_option("--layout", layout, "Of a binary file: fast to ask, or compact")
        ->check(CLI::IsMember({"fast", "compact"}))
        ->capture_default_str();
    command->add_option("--quantize", quantize, "Bits of a number in the compact layout; 0: exact")
        ->check(CLI::Range(0, 16))
        ->capture_default_str();
  }
  void check(const std::string& source) const {
    require_writable(file);
    std::error_code missing;
    if (std::filesystem::equivalent(source, file, missing))
      fail<ArgumentError>("--out {} is what is read, which the model would replace; name another file", file);
    static_cast<void>(storage());
  }
  void save(const NgramModel& model, const Vocabulary& vocabulary) const {
    if (is_arpa(file)) return models::save_ngram(file, model, vocabulary);
    models::save_ngram(file, model, vocabulary, storage());
  }
};

/// Makes the writer once the vocabulary is known, which is after the text has been read.
class LateWriter : public models::NgramSink {
 public:
  LateWriter(const Place& place, const ngram::TextSource& source) : place_(place), source_(source) {}

  void describe(const models::NgramDescription& description) override {
    if (is_arpa(place_.file)) {
      writer_ = std::make_unique<NgramWriter>();
    } else {
      writer_ = std::make_unique<NgramWriter>(place_.file, source_.vocabulary(), place_.storage());
    }
    writer_->describe(description);
  }
  void begin_order(int order, std::int64_t count) override { writer_->begin_order(order, count); }
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) override {
    writer_->add(ngram, log_prob, backoff);
  }
  void finish() override {
    writer_->finish();
    model_ = std::make_unique<NgramModel>(writer_->model());
    if (is_arpa(place_.file)) models::save_ngram(place_.file, *model_, source_.vocabulary());
  }
  const NgramModel& model() const { return *model_; }

 private:
  const Place& place_;
  const ngram::TextSource& source_;
  std::unique_ptr<NgramWriter> writer_;
  std::unique_ptr<NgramModel> model_;
};

std::string discounts_text(const models::Discounts& discounts) {
  std::string out = fmt::format("{:.6g}", fmt::join(discounts.amount, " "));
  if (discounts.fallback) out += " (fixed ones: too few counts of counts)";
  return out;
}

nlohmann::json discounts_json(std::span<const models::Discounts> discounts) {
  nlohmann::json out = nlohmann::json::array();
  for (const models::Discounts& of_order : discounts)
    out.push_back({{"amounts", of_order.amount}, {"fallback", of_order.fallback}});
  return out;
}

struct BuildCommand {
  std::string text, unit = "word", method = "kneser-ney";
  Place place;
  models::NgramOptions options{.order = 5};
  ngram::BuildOptions build;
  VocabularyOptions vocabulary;
  std::size_t memory = std::size_t{1} << 30;
  std::string temporary;
  int threads = 0;
  bool json = false;

  void run();
  void print(const models::NgramSummary& summary, const NgramModel& model, double seconds) const;
};

void BuildCommand::run() {
  set_threads(threads);
  place.check(text);
  options.method = models::ngram_method_named(method);
  build.memory = static_cast<std::int64_t>(memory);
  build.temporary = temporary;
  Progress progress("building");
  build.progress = [&](std::string_view phase, std::int64_t done, std::int64_t total) {
    if (total > 0) progress.update(done, total, std::string(phase));
  };
  ngram::TextSource source(text, {.unit = unit_named(unit), .vocabulary = vocabulary});
  LateWriter writer(place, source);
  const models::NgramSummary summary = ngram::estimate(source, options, build, writer);
  print(summary, writer.model(), progress.seconds());
}

void BuildCommand::print(const models::NgramSummary& summary, const NgramModel& model, double seconds) const {
  const auto size = static_cast<std::uint64_t>(std::filesystem::file_size(place.file));
  if (json) {
    nlohmann::json orders = nlohmann::json::array();
    for (std::size_t n = 0; n < summary.counts.size(); ++n) {
      orders.push_back({{"order", n + 1},
                        {"ngrams", summary.counts[n]},
                        {"distinct", summary.distinct[n]},
                        {"discounts", summary.discounts[n].amount},
                        {"fallback", summary.discounts[n].fallback}});
    }
    fmt::print("{}\n", nlohmann::json{{"method", method},
                                      {"tokens", summary.tokens},
                                      {"sentences", summary.sentences},
                                      {"vocabulary", summary.vocab},
                                      {"temporary_bytes", summary.temporary_bytes},
                                      {"bytes", size},
                                      {"seconds", seconds},
                                      {"orders", orders}}
                           .dump(2));
    return;
  }
  fmt::print("{} tokens in {} sentences, {} symbols, {}\n{:>5} {:>12} {:>12}  discounts\n", summary.tokens,
             summary.sentences, summary.vocab, model.description().method, "order", "n-grams", "distinct");
  std::int64_t all = 0;
  for (std::size_t n = 0; n < summary.counts.size(); ++n) {
    fmt::print("{:>5} {:>12} {:>12}  {}\n", n + 1, summary.counts[n], summary.distinct[n],
               discounts_text(summary.discounts[n]));
    all += summary.counts[n];
  }
  fmt::print("{}: {} bytes, {:.2f} an n-gram, in {:.1f} s\n", place.file, size,
             static_cast<double>(size) / static_cast<double>(all), seconds);
}

/// An n-gram model of a file, with its vocabulary. Throws DataError for a file of another kind.
std::pair<NgramModel, Vocabulary> load_ngram(const std::string& file) {
  models::TrainedModel trained = models::load_model(file);
  if (!std::holds_alternative<NgramModel>(trained.model))
    fail<DataError>("{} holds a neural model, not an n-gram model", file);
  return {std::get<NgramModel>(std::move(trained.model)), std::move(trained.vocabulary)};
}

struct InfoCommand {
  std::string model;
  bool verify = false, json = false;

  void run() const {
    const auto [loaded, vocabulary] = load_ngram(model);
    if (verify) loaded.verify();
    const models::NgramDescription& d = loaded.description();
    const std::vector<std::int64_t> counts = loaded.counts();
    const std::string_view layout = loaded.layout() == models::NgramLayout::fast ? "fast" : "compact";
    const auto size = static_cast<std::uint64_t>(std::filesystem::file_size(model));
    if (json) {
      fmt::print("{}\n", nlohmann::json{{"order", d.order},
                                        {"method", d.method},
                                        {"vocabulary", d.vocab},
                                        {"unit", name_of(vocabulary.unit())},
                                        {"layout", layout},
                                        {"ngrams", counts},
                                        {"discounts", discounts_json(d.discounts)},
                                        {"bytes", size}}
                             .dump(2));
      return;
    }
    fmt::print("{}: {}, order {}, {} {}s, {} layout, {} bytes\n", model, d.method, d.order, d.vocab,
               name_of(vocabulary.unit()), layout, size);
    for (std::size_t n = 0; n < counts.size(); ++n) {
      const bool discounted = n < d.discounts.size() && !d.discounts[n].amount.empty();
      fmt::print("order {}: {} n-grams{}{}\n", n + 1, counts[n], discounted ? ", discounts " : "",
                 discounted ? discounts_text(d.discounts[n]) : "");
    }
  }
};

struct ExportCommand {
  std::string model;
  Place place;

  void run() const {
    place.check(model);
    const auto [loaded, vocabulary] = load_ngram(model);
    place.save(loaded, vocabulary);
  }
};

struct PruneCommand {
  std::string model;
  double threshold = 1e-8;
  Place place;

  void run() const {
    place.check(model);
    const auto [loaded, vocabulary] = load_ngram(model);
    NgramWriter writer;
    const models::PruneSummary summary = models::prune(loaded, threshold, writer);
    place.save(writer.model(), vocabulary);
    for (std::size_t n = 0; n < summary.before.size(); ++n) {
      fmt::print("order {}: {} of {} n-grams kept\n", n + 1, summary.after[n], summary.before[n]);
    }
  }
};

struct InterpolateCommand {
  std::vector<std::string> models;
  std::string held_out, test;
  bool json = false;

  void run() const;
};

void InterpolateCommand::run() const {
  std::vector<models::ErasedModel> parts;
  std::optional<Vocabulary> vocabulary;
  for (const std::string& file : models) {
    TrainedModel trained = gradus::models::load_model(file);
    if (vocabulary)
      gradus::models::require_same_vocabulary(*vocabulary, models.front(), trained.vocabulary, file);
    vocabulary = std::move(trained.vocabulary);
    parts.push_back(std::visit([](auto m) { return gradus::models::ErasedModel(std::move(m)); },
                               std::move(trained.model)));
  }
  const gradus::models::ModelSet set(std::move(parts));
  const auto log_probs_of = [&](const std::string& text, const char* what) {
    const CorpusPart part = encode_part(*vocabulary, load_text(text, {.unit = vocabulary->unit()}), text);
    const std::vector<std::int32_t> tokens = with_context(*vocabulary, part.tokens);
    Progress progress(what);
    return set.score(tokens, progress.reporter(tokens.size() * models.size()));
  };
  const auto held = log_probs_of(held_out, "scoring the held-out text");
  const gradus::models::EmFit fit = gradus::models::fit_weights(held);
  const auto scored = test.empty() ? held : log_probs_of(test, "scoring the test text");

  const auto count = static_cast<double>(scored.front().size());
  const auto perplexity = [&](const std::vector<double>& log_probs) {
    return std::exp(-std::accumulate(log_probs.begin(), log_probs.end(), 0.0) / count);
  };
  double mixed = 0;
  for (std::size_t t = 0; t < scored.front().size(); ++t) {
    double p = 0;
    for (std::size_t i = 0; i < scored.size(); ++i) p += fit.weights[i] * std::exp(scored[i][t]);
    mixed += std::log(p);
  }
  const double together = std::exp(-mixed / count);
  const std::string& judged = test.empty() ? held_out : test;
  if (json) {
    nlohmann::json rows = nlohmann::json::array();
    for (std::size_t i = 0; i < scored.size(); ++i)
      rows.push_back(
          {{"model", models[i]}, {"weight", fit.weights[i]}, {"perplexity", perplexity(scored[i])}});
    fmt::print("{}\n", nlohmann::json{{"text", judged},
                                      {"tokens", scored.front().size()},
                                      {"perplexity", together},
                                      {"iterations", fit.log_likelihood.size() - 1},
                                      {"models", rows}}
                           .dump(2));
    return;
  }
  fmt::print("{:>10} {:>12}  model\n", "weight", "perplexity");
  for (std::size_t i = 0; i < scored.size(); ++i)
    fmt::print("{:10.6f} {:12.4f}  {}\n", fit.weights[i], perplexity(scored[i]), models[i]);
  fmt::print("{:10} {:12.4f}  together, over {} tokens of {}\n", "", together, scored.front().size(), judged);
}

void add_build(CLI::App* ngram_command) {
  auto o = std::make_shared<BuildCommand>();
  CLI::App* c = ngram_command->add_subcommand("build", "Estimate a model from a text");
  c->add_option("text", o->text, "A file (plain, .gz or .zst), a folder, or - for standard input")
      ->required();
  o->place.add_to(c);
  c->add_option("--order", o->options.order, "Words of an n-gram")
      ->check(CLI::Range(1, NgramModel::max_order))
      ->capture_default_str();
  c->add_option("--method", o->method, "How probabilities are made of counts")
      ->check(CLI::IsMember({"maximum-likelihood", "add-k", "kneser-ney", "absolute-discounting",
                             "witten-bell", "katz", "stupid-backoff"}))
      ->capture_default_str();
  c->add_option("--k", o->options.k, "Of add-k")->capture_default_str();
  c->add_option("--memory", o->memory, "For counts and sorting, such as 512M; the rest goes to the disk")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("1G");
  c->add_option("--temporary", o->temporary, "The folder of temporary files");
  c->add_option("--prune", o->build.prune,
                "For each order, the count up to which n-grams are left out, such as 0 0 1");
  c->add_option("--unit", o->unit, "What a token is")
      ->check(CLI::IsMember({"word", "character", "byte"}))
      ->capture_default_str();
  c->add_option("--min-count", o->vocabulary.min_count, "Symbols seen less often become <unk>")
      ->check(CLI::Range(1, 1 << 30));
  c->add_option("--max-vocabulary", o->vocabulary.max_size, "The most symbols; 0: no limit")
      ->check(CLI::Range(0, 1 << 30));
  c->add_option("--threads", o->threads, "0: one a core")->check(CLI::Range(0, 1024));
  c->add_flag("--json", o->json, "Print JSON");
  c->footer(
      "Examples:\n  gradus ngram build --order 5 book.txt --out book.ngram\n"
      "  zcat big.gz | gradus ngram build --memory 512M - --out big.ngram --layout compact --quantize 8");
  c->callback([o] { o->run(); });
}

}  // namespace

void add_ngram(CLI::App& app) {
  CLI::App* n = app.add_subcommand("ngram", "Build, look at and convert n-gram models");
  n->require_subcommand(1);
  add_build(n);

  auto info = std::make_shared<InfoCommand>();
  CLI::App* c = n->add_subcommand("info", "What a model's file holds");
  c->add_option("model", info->model, "An n-gram model")->required();
  c->add_flag("--verify", info->verify, "Read all of it and say what is damaged");
  c->add_flag("--json", info->json, "Print JSON");
  c->footer("Example:\n  gradus ngram info book.ngram --verify");
  c->callback([info] { info->run(); });

  auto convert = std::make_shared<ExportCommand>();
  c = n->add_subcommand("export", "Write a model in another form: ARPA text, or binary in another layout");
  c->add_option("model", convert->model, "An n-gram model")->required();
  convert->place.add_to(c);
  c->footer("Example:\n  gradus ngram export book.ngram --out book.arpa");
  c->callback([convert] { convert->run(); });

  auto prune = std::make_shared<PruneCommand>();
  c = n->add_subcommand("prune", "Leave out the n-grams that a model hardly needs (Stolcke 1998)");
  c->add_option("model", prune->model, "An n-gram model that backs off")->required();
  c->add_option("--threshold", prune->threshold,
                "The growth of perplexity that an n-gram may save, as a fraction")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  prune->place.add_to(c);
  c->footer("Example:\n  gradus ngram prune book.ngram --threshold 1e-7 --out small.ngram");
  c->callback([prune] { prune->run(); });

  auto mix = std::make_shared<InterpolateCommand>();
  c = n->add_subcommand("interpolate", "Weigh models, n-gram or neural, so that together they predict best");
  c->add_option("models", mix->models, "Models of one vocabulary")->required()->expected(2, 64);
  c->add_option("--held-out", mix->held_out, "The text that the weights are fitted to, by EM")->required();
  c->add_option("--test", mix->test, "The text that perplexities are of; without it, the held-out one");
  c->add_flag("--json", mix->json, "Print JSON");
  c->footer(
      "Example:\n  gradus ngram interpolate book.ngram book.safetensors --held-out valid.txt --test "
      "test.txt");
  c->callback([mix] { mix->run(); });
}

}  // namespace gradus::cli
