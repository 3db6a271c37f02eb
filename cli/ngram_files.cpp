#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/ngram_commands.hpp"
#include "cli/usage.hpp"
#include "models/ngram/prune.hpp"

// The commands on existing n-gram models: info, export, prune.
namespace gradus::cli {

namespace {

using models::NgramModel;

struct InfoCommand {
  std::string model;
  bool verify = false, json = false;

  void run() const;
};

void InfoCommand::run() const {
  const auto [loaded, vocabulary, arpa] = load_ngram(model);  // in ARPA text orders are not kept apart
  if (verify) loaded.verify();
  const models::NgramDescription d = loaded.description();
  const std::vector<std::int64_t> counts = loaded.counts();
  const std::vector<std::uint64_t> bytes = loaded.order_bytes();
  const std::string_view layout = arpa                                           ? "ARPA"
                                  : loaded.layout() == models::NgramLayout::fast ? "fast"
                                                                                 : "compact";
  const std::optional<std::uint64_t> size = file_bytes(model);
  const auto discounts = loaded.discounts();
  if (json) {
    nlohmann::json orders = nlohmann::json::array();
    for (std::size_t n = 0; n < counts.size(); ++n) {
      nlohmann::json order{{"order", n + 1},
                           {"ngrams", counts[n]},
                           {"bytes", arpa ? nlohmann::json() : nlohmann::json(bytes[n])}};
      if (n < discounts.size()) {
        order["discounts"] = discounts[n].amount;
        order["fallback"] = discounts[n].fallback;
      }
      orders.push_back(std::move(order));
    }
    fmt::print("{}\n", json_text({{"order", d.order},
                                  {"method", d.method},
                                  {"vocabulary", d.vocab},
                                  {"unit", name_of(vocabulary.unit())},
                                  {"layout", layout},
                                  {"ngrams", counts},
                                  {"orders", orders},
                                  {"bytes", size ? nlohmann::json(*size) : nlohmann::json()}}));
    return;
  }
  fmt::print("{}: {}, order {}, {} {}s, {} {}{}\n", model, d.method, d.order, d.vocab,
             name_of(vocabulary.unit()), layout, arpa ? "text" : "layout",
             size ? fmt::format(", {} bytes", *size) : "");
  fmt::print("{:>5} {:>12} {:>14}  discounts\n", "order", "n-grams", "bytes");
  for (std::size_t n = 0; n < counts.size(); ++n) {
    fmt::print("{:>5} {:>12} {:>14}  {}\n", n + 1, counts[n], arpa ? "" : fmt::to_string(bytes[n]),
               n < discounts.size() ? discounts_text(discounts[n]) : "");
  }
}

struct ExportCommand {
  std::string model;
  Place place;
  bool add_sentence_end = false;

  void run() const {
    place.check(model);
    const auto [loaded, vocabulary, arpa] = load_ngram(model, {.add_sentence_end = add_sentence_end});
    Progress progress("exporting");
    PlaceWriter writer(place, vocabulary);
    loaded.write_to(writer.sink(), shown_by(progress));
  }
};

struct PruneCommand {
  std::string model;
  double threshold = 1e-8;
  Place place;
  bool json = false;

  void run() const {
    place.check(model);
    const auto [loaded, vocabulary, arpa] = load_ngram(model);
    Progress progress("pruning");
    PlaceWriter writer(place, vocabulary);
    const models::PruneSummary summary = models::prune(loaded, threshold, writer.sink(), shown_by(progress));
    std::FILE* const to = report_stream(place.file);
    nlohmann::json orders = nlohmann::json::array();
    for (std::size_t n = 0; n < summary.before.size(); ++n) {
      orders.push_back({{"order", n + 1}, {"before", summary.before[n]}, {"ngrams", summary.after[n]}});
      if (!json)
        fmt::print(to, "order {}: {} of {} n-grams kept\n", n + 1, summary.after[n], summary.before[n]);
    }
    if (!json) return;
    const std::optional<std::uint64_t> size = file_bytes(place.file);
    fmt::print(to, "{}\n",
               json_text({{"threshold", threshold},
                          {"orders", orders},
                          {"bytes", size ? nlohmann::json(*size) : nlohmann::json()}}));
  }
};

}  // namespace

void add_ngram_info(CLI::App& ngram) {
  const auto [c, o] =
      subcommand<InfoCommand>(ngram, "info", &InfoCommand::run, "Describe what a model's file holds",
                              "Example:\n  gradus ngram info book.ngram --verify");
  c->add_option("model", o->model, "An n-gram model")->required();
  c->add_flag("--verify", o->verify, "Read the whole file and report any damage");
  add_json(c, o->json);
}

void add_ngram_export(CLI::App& ngram) {
  const auto [c, o] =
      subcommand<ExportCommand>(ngram, "export", &ExportCommand::run,
                                "Write a model in another form: ARPA text, or binary in another layout",
                                "Example:\n  gradus ngram export book.ngram --out book.arpa");
  c->add_option("model", o->model, "An n-gram model")->required();
  c->add_flag("--add-sentence-end", o->add_sentence_end,
              "Give a model without </s>, which is refused otherwise, one with the probability of <unk>");
  o->place.add_to(c);
}

void add_ngram_prune(CLI::App& ngram) {
  const auto [c, o] = subcommand<PruneCommand>(
      ngram, "prune", &PruneCommand::run,
      "Remove the n-grams that contribute least to a model, by relative entropy (Stolcke 1998)",
      "Example:\n  gradus ngram prune book.ngram --threshold 1e-7 --out small.ngram");
  c->add_option("model", o->model, "An n-gram model that backs off")->required();
  c->add_option("--threshold", o->threshold,
                "Remove each n-gram whose removal raises the perplexity by less than this fraction")
      ->check(zero_or_more());
  o->place.add_to(c);
  add_json(c, o->json);
}

}  // namespace gradus::cli
