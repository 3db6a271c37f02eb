#include <fmt/core.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/interrupt.hpp"
#include "cli/ngram_commands.hpp"
#include "cli/progress.hpp"
#include "cli/text_blocks.hpp"
#include "cli/together.hpp"
#include "cli/train_options.hpp"
#include "cli/usage.hpp"
#include "models/kinds.hpp"
#include "models/ngram/ngram.hpp"
#include "models/run/folder.hpp"
#include "models/run/rate_search.hpp"
#include "models/run/run.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/support/write_file.hpp"

// The command that makes a model of a text.
namespace gradus::cli {

namespace {

using models::RunConfig;

struct TrainCommand {
  std::string text, out, resume;
  std::shared_ptr<TrainOptions> options = std::make_shared<TrainOptions>();
  int threads = 0;
  bool json = false, print_config = false, find_lr = false;
  const CLI::Option* out_given = nullptr;

  void run() const;
  void run_in(models::RunRanks* ranks) const;
  RunConfig configuration() const;
  void check(const RunConfig& config) const;
  bool in_folder() const;
  void train_network(const RunConfig& config, models::RunRanks* ranks) const;
  void report_network(const models::RunResult& done, double seconds) const;
  void train_ngram(const RunConfig& config) const;
  void search_rate(const RunConfig& config) const;
  nlohmann::json report(const RunConfig& config, const Vocabulary& vocabulary, std::int64_t tokens,
                        std::int64_t unknown, double seconds) const;
};

/// A network goes into the folder of a run, unless a file is named.
bool TrainCommand::in_folder() const {
  if (!resume.empty()) return true;
  std::error_code none;
  return !out.ends_with(".safetensors") && !is_standard_output(out) && !is_special(out) &&
         !std::filesystem::is_regular_file(out, none);
}

RunConfig TrainCommand::configuration() const {
  RunConfig config;
  options->apply_to(config);
  if (!text.empty()) config.data.text = text;
  return config;
}

/// Before the work: an option that does not apply to what is asked for is an error.
void TrainCommand::check(const RunConfig& config) const {
  if (config.data.text.empty()) misuse("give a text to train on, or a configuration that names one");
  if (find_lr && given(out_given)) misuse("--find-lr keeps nothing; leave out --out");
  if (!given(out_given) && !find_lr) misuse("--out is required: the model's file, or the folder of the run");
  options->check(config);
  if (find_lr) {
    if (models::find_network_kind(config.model.kind) == nullptr)
      misuse("--find-lr is of networks, and --kind is {}", config.model.kind);
    return;
  }
  if (models::find_network_kind(config.model.kind) == nullptr) {
    Place place;
    place.file = out;
    place.check(config.data.text);
  }
  std::error_code missing;
  if (std::filesystem::equivalent(config.data.text, out, missing))
    fail<ArgumentError>("--out {} is the file that is read, which the model would replace; name another file",
                        out);
}

/// What the reports on all kinds have in common.
nlohmann::json TrainCommand::report(const RunConfig& config, const Vocabulary& vocabulary,
                                    std::int64_t tokens, std::int64_t unknown, double seconds) const {
  const std::string file =
      in_folder() && config.model.kind != "ngram"
          ? (std::filesystem::path(resume.empty() ? out : resume) / "model.safetensors").string()
          : out;
  const std::optional<std::uint64_t> size = file_bytes(file);
  return {{"kind", config.model.kind},
          {"unit", config.data.tokenizer.empty() ? config.data.unit : "bpe"},
          {"vocabulary", vocabulary.size()},
          {"train_tokens", tokens},
          {"unknown", unknown},
          {"seconds", seconds},
          {"bytes", size ? nlohmann::json(*size) : nlohmann::json()}};
}

std::string progress_note(const models::RunProgress& p) {
  std::string note = fmt::format("loss {:.3f}, perplexity {:.2f}", p.loss, std::exp(p.loss));
  if (p.valid_loss) note += fmt::format(", {:.2f} in validation", std::exp(*p.valid_loss));
  return note + fmt::format(", {:.0f} tokens a second", p.tokens_per_second);
}

void TrainCommand::train_network(const RunConfig& config, models::RunRanks* ranks) const {
  Progress subwords("subwords");
  Progress progress(config.model.kind);
  const Interrupts interrupts;
  models::RunOptions how;
  if (in_folder()) how.folder = resume.empty() ? out : resume;
  how.resume = !resume.empty();
  if (how.resume) {
    how.overrides = [this](RunConfig& c) {
      options->apply_to(c);
      if (!text.empty()) c.data.text = text;
    };
  }
  how.stop = &Interrupts::came;
  how.ranks = ranks;
  const bool leads = ranks == nullptr || ranks->rank() == 0;
  how.progress = [&](const models::RunProgress& p) { progress.update(p.step, p.steps, progress_note(p)); };
  how.say = [&](const std::string& line) { progress.say(line); };
  how.warn = [&](const std::string& line) {
    progress.clear();
    warn("{}", line);
  };
  how.subwords = [&](std::int64_t done, std::int64_t total) {
    if (leads) subwords.update(done, total);
  };
  const models::RunResult done = models::train_run(config, how);
  if (leads && how.folder.empty()) models::save_network(out, *done.network, done.vocabulary);
  if (leads) report_network(done, progress.seconds());
  if (!done.interrupted) return;
  if (leads && !how.folder.empty()) {
    fmt::print(stderr,
               "gradus: stopped after update {} of {}, and saved; go on by: gradus train --resume {}\n",
               done.progress.step, done.progress.steps, how.folder.string());
  }
  throw ExitCode{Interrupts::exit_code()};
}

void TrainCommand::report_network(const models::RunResult& done, double seconds) const {
  std::FILE* const to = report_stream(out);
  const double smoothed = std::exp(done.progress.loss);
  const RunConfig& config = done.config;
  if (json) {
    nlohmann::json all = report(config, done.vocabulary, done.train_tokens, done.unknown, done.seconds);
    const bool by_updates = config.training.updates.value_or(0) > 0;
    all.update({{"parameters", done.network->parameters()},
                {"epochs", by_updates ? nlohmann::json() : nlohmann::json(*config.training.epochs)},
                {"updates", done.progress.step},
                {"tokens", done.progress.tokens},
                {"smoothed_training_perplexity", smoothed},
                {"valid_tokens", done.valid_tokens},
                {"valid_unknown", done.valid_unknown},
                {"validation_perplexity",
                 done.best_loss ? nlohmann::json(std::exp(*done.best_loss)) : nlohmann::json()},
                {"interrupted", done.interrupted},
                {"stopped_early", done.stopped_early}});
    fmt::print(to, "{}\n", json_text(all));
    return;
  }
  fmt::print(to,
             "{}: {} parameters, {} tokens in {:.1f} s; perplexity while it learned {:.4f}, the mean of {}\n",
             config.model.kind, done.network->parameters(), done.progress.tokens, seconds, smoothed,
             done.progress.step <= 100 ? fmt::format("all {} updates", done.progress.step)
                                       : std::string("about the last 100 updates"));
  if (done.best_loss) {
    fmt::print(to, "perplexity {:.4f} on the validation text of {} tokens, at its best, which is kept\n",
               std::exp(*done.best_loss), done.valid_tokens);
    const Vocabulary& v = done.vocabulary;
    if (done.valid_unknown > 0 && v.count(v.unknown()) == 0) {
      fmt::print(to,
                 "{} of these are <unk>, which it never saw in training, so that what it says of them is "
                 "chance; --min-count "
                 "2 makes the rare {}s <unk>\n",
                 done.valid_unknown, name_of(v.unit()));
    }
  } else {
    fmt::print(to, "no validation text: what the model makes of unseen text is not known\n");
  }
}

void TrainCommand::train_ngram(const RunConfig& config) const {
  Progress subwords("subwords");
  RunConfig::Data data = config.data;
  data.valid_share = 0;  // counts are smoothed, and all of them wanted
  const models::RunText read = models::read_run_text(
      data, {}, [&](std::int64_t done, std::int64_t total) { subwords.update(done, total); });
  const Vocabulary& v = read.vocabulary;
  const Progress progress(config.model.kind);
  const models::NgramModel model(read.train.tokens, static_cast<std::int32_t>(v.size()),
                                 {.order = static_cast<int>(config.model.order.value_or(5)),
                                  .sentence_end = v.unit() == Unit::word ? v.line_end() : -1});
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
  nlohmann::json all =
      report(config, v, std::ssize(read.train.tokens), read.train.unknown, progress.seconds());
  all["orders"] = orders;
  fmt::print(to, "{}\n", json_text(all));
}

/// The losses of rising rates, about twenty of them, and what they suggest.
void TrainCommand::search_rate(const RunConfig& config) const {
  models::RateSearchOptions how;
  models::RateSearch found;
  {
    Progress progress("searching for a rate");
    how.progress = [&](std::int64_t done, std::int64_t updates) { progress.update(done, updates); };
    found = models::find_rate(config, how);
  }
  if (json) {
    nlohmann::json points = nlohmann::json::array();
    for (const auto& [rate, loss] : found.points) points.push_back({{"lr", rate}, {"loss", loss}});
    fmt::print("{}\n", json_text({{"suggested", found.suggested},
                                  {"steepest", found.steepest},
                                  {"lowest", found.lowest},
                                  {"points", points}}));
    return;
  }
  fmt::print("{:>10} {:>10}\n", "lr", "loss");
  const std::size_t step = std::max<std::size_t>(1, found.points.size() / 20);
  for (std::size_t i = 0; i < found.points.size(); i += step)
    fmt::print("{:>10.2e} {:>10.4f}\n", found.points[i].rate, found.points[i].loss);
  fmt::print(
      "the loss fell fastest at {:.2g} and was lowest at {:.2g}; a rate to begin with, between the two: --lr "
      "{:.2g}\n",
      found.steepest, found.lowest, found.suggested);
}

void TrainCommand::run() const {
  train_together([this](models::RunRanks* ranks) { run_in(ranks); });
}

/// An error is said once, whichever processes have it.
void TrainCommand::run_in(models::RunRanks* ranks) const {
  set_threads(threads);
  if (!resume.empty()) {
    if (find_lr) misuse("--find-lr begins anew; leave out --resume");
    if (!out.empty()) misuse("--resume goes on in its own folder; leave out --out");
    return train_network(RunConfig(), ranks);
  }
  const RunConfig config = configuration();
  if (find_lr || print_config) require_one_process(find_lr ? "train --find-lr" : "train --print-config");
  if (print_config) {
    fmt::print("{}", models::to_toml(config));
    return;
  }
  check(config);
  if (find_lr) return search_rate(config);
  if (models::find_network_kind(config.model.kind) == nullptr) {
    require_one_process("train --kind ngram");  // `ngram build` has a form for several
    require_writable_out(out);
    return train_ngram(config);
  }
  if (ranks == nullptr || ranks->leads()) {
    if (in_folder()) {
      models::RunFolder::require_new(out);
    } else {
      require_writable_out(out);
    }
  }
  train_network(config, ranks);
}

}  // namespace

void add_train(CLI::App& app) {
  const auto [c, command] = subcommand<TrainCommand>(
      app, "train", &TrainCommand::run, "Train one model on a text and save it",
      "Examples:\n  gradus train book.txt --kind lstm --valid other.txt --out run1\n"
      "  gradus train --resume run1\n"
      "  gradus train letters.txt --from run1 --lr 1e-4 --out run2\n"
      "  gradus train book.txt --kind gpt --find-lr\n"
      "  gradus train book.txt --config recipes/gpt-characters.toml --out run3\n"
      "  gradus train book.txt --kind gpt --unit character --layers 6 --width 384 "
      "--heads 6 --context 256 \\\n"
      "    --dropout 0.2 --out book.safetensors\n"
      "  gradus train book.txt --kind ngram --order 5 --out book.arpa\n"
      "  mpirun -n 8 gradus train book.txt --kind gpt --set training.pieces=8 --out run4");
  c->add_option("text", command->text, "A file (plain, .gz or .zst), a folder, or - for standard input");
  command->out_given = c->add_option("--out", command->out,
                                     "The folder of the run, which keeps checkpoints, metrics and the model; "
                                     "a name that ends in .safetensors "
                                     "is a file that keeps the model alone, - standard output. An n-gram "
                                     "model is a file: ARPA text for .arpa "
                                     "and .gz, else binary");
  c->add_option("--resume", command->resume,
                "Go on with the run in this folder, to the same bits as if it had not been stopped");
  add_train_options(c, command->options);
  c->add_flag(
      "--find-lr", command->find_lr,
      "Train for a moment with a learning rate that rises, print the losses and a rate to begin with, "
      "and keep nothing");
  c->add_flag("--print-config", command->print_config, "Print all settings as TOML, and train nothing");
  add_threads(c, command->threads);
  add_json(c, command->json);
}

}  // namespace gradus::cli
