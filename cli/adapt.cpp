#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/adapt_options.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/evaluate.hpp"

// The command that reads a text as it comes, adapts to it, and shows what that gains.
namespace gradus::cli {

namespace {

using models::ErasedModel;

/// What one of the two models said, of all tokens and since the last line.
struct Said {
  models::Evaluation all, since;
};

struct AdaptCommand : ModelOptions {
  std::string text = "-", out;
  std::int64_t every = 1000;
  bool skip_marks = false;
  AdaptFlags flags;

  void run() const;
  void read(const models::TrainedModel& trained, const models::AdaptOptions& how) const;
  void print(const Said& plain, const Said& adapting) const;
  void save(const Safetensors& learned) const;
};

void AdaptCommand::print(const Said& plain, const Said& adapting) const {
  if (json) {
    fmt::print("{}\n", json_text({{"tokens", plain.all.tokens},
                                  {"perplexity", plain.all.perplexity()},
                                  {"adapted_perplexity", adapting.all.perplexity()},
                                  {"recent_perplexity", plain.since.perplexity()},
                                  {"recent_adapted_perplexity", adapting.since.perplexity()}},
                                 -1));
  } else {
    fmt::print("{:>9}  {:>11.3f} {:>11.3f} {:>8.2f}%  {:>11.3f} {:>11.3f} {:>8.2f}%\n", plain.all.tokens,
               plain.since.perplexity(), adapting.since.perplexity(),
               100 * (adapting.since.perplexity() / plain.since.perplexity() - 1), plain.all.perplexity(),
               adapting.all.perplexity(), 100 * (adapting.all.perplexity() / plain.all.perplexity() - 1));
  }
  std::fflush(stdout);
}

/// The network as it has become, in a file of its own.
void AdaptCommand::save(const Safetensors& learned) const {
  const models::LoadedNetwork loaded = models::load_network(model);
  loaded.network->set_weights(learned, model);
  models::save_network(out, *loaded.network, loaded.vocabulary);
}

void AdaptCommand::read(const models::TrainedModel& trained, const models::AdaptOptions& how) const {
  const Vocabulary& v = trained.vocabulary;
  const ErasedModel adapting = models::adapted(trained.model, how);
  ErasedModel::State plain_state = trained.model.start(), state = adapting.start();
  Said plain, adapted;
  bool first = true;
  const auto take = [&](std::span<const std::int32_t> ids) {
    const std::size_t skipped = first ? 1 : 0;
    first = false;
    const std::vector<double> before = trained.model.score(plain_state, ids),
                              after = adapting.score(state, ids);
    for (const auto& [said, scores] : {std::pair(&plain, &before), std::pair(&adapted, &after)}) {
      said->all.add(std::span(*scores).subspan(skipped), ids.subspan(skipped), v.unknown());
      said->since.add(std::span(*scores).subspan(skipped), ids.subspan(skipped), v.unknown());
    }
  };
  const auto take_all = [&](std::vector<std::int32_t> ids) {
    if (first) ids = with_context(v, std::move(ids));
    for (std::span<const std::int32_t> rest = ids; !rest.empty();) {
      const auto room = static_cast<std::size_t>(every - plain.since.tokens) + (first ? 1 : 0);
      const auto part = rest.first(std::min(rest.size(), room));
      take(part);
      rest = rest.subspan(part.size());
      if (plain.since.tokens < every) continue;
      print(plain, adapted);
      plain.since = adapted.since = {};
    }
  };
  if (!json) {
    fmt::print("{}: {}\n   tokens  {:>33}  {:>33}\n           {:>11} {:>11} {:>9}  {:>11} {:>11} {:>9}\n",
               model, adaptation_text(how), fmt::format("perplexity of the last {}", every), "of all so far",
               "as it was", "adapted", "change", "as it was", "adapted", "change");
  }
  std::vector<std::int32_t> ids;
  if (is_stream(text)) {  // each line is read when it comes
    for (TextLines lines(text, v, skip_marks); lines.next(ids);) take_all(ids);
  } else {
    for (TextBlocks blocks(text, v, skip_marks); blocks.next(ids);) take_all(ids);
  }
  if (plain.since.tokens > 0) print(plain, adapted);
  if (plain.all.tokens == 0) fail<DataError>("{}: there is nothing to predict", text_name(text));
  if (!out.empty()) save(*models::learned_weights(adapting, state));
}

void AdaptCommand::run() const {
  flags.check();
  if (is_standard_input(model) && is_standard_input(text))
    misuse("standard input can be the model or the text, not both");
  if (flags.dynamic > 0 && !quantize.empty())
    misuse("--quantize: rounded weights do not learn; give --dynamic or --quantize");
  if (!out.empty() && (flags.dynamic == 0 || flags.counts > 0 || flags.cache > 0))
    misuse("--out keeps the weights that --dynamic learned; give that alone");
  if (!out.empty()) require_writable_out(out);
  const models::TrainedModel trained = load();
  models::AdaptOptions how = flags.options(trained, skip_marks);
  // Where nothing is said, what every model can do.
  if (!how.any()) how.counts.emplace();
  read(trained, how);
}

}  // namespace

void add_adapt(CLI::App& app) {
  const auto [c, options] = subcommand<AdaptCommand>(
      app, "adapt", &AdaptCommand::run, "Read a text as it comes, adapt to it, and show what that gains",
      "Examples:\n  tail -f notes.txt | gradus adapt --model book.ngram --counts 3\n"
      "  gradus adapt --model run1 other.txt --neural-cache 0.1 --theta 0.3\n"
      "  gradus adapt --model run1 other.txt --dynamic 0.1 --decay 1e-3 --out learned.safetensors");
  c->add_option("text", options->text,
                "A file, plain or compressed; without it, or with -, lines of standard input");
  options->add_to(c);
  c->add_option("--every", options->every, "Tokens of which each line tells")->check(CLI::Range(1, 1 << 30));
  c->add_option("--out", options->out, "A file for the network as --dynamic has made it");
  options->flags.add_to(c);
  add_skip_marks(c, options->skip_marks);
}

}  // namespace gradus::cli
