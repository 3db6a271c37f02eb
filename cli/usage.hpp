#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/together.hpp"
#include "models/checkpoint.hpp"
#include "models/evaluate.hpp"
#include "tensor/support/standard_output.hpp"
#include "tensor/support/write_file.hpp"
#include "text/text_check.hpp"

namespace gradus::cli {

/// Ends the command as wrong usage, before any work: exit code 2.
template <class... Args>
[[noreturn]] void misuse(fmt::format_string<Args...> format, Args&&... args) {
  throw CLI::ValidationError(fmt::format(format, std::forward<Args>(args)...));
}

/// Checks that an option is a finite number of at least 0.
inline CLI::Validator zero_or_more() {
  return {[](std::string& text) {
            double number = -1;
            return CLI::detail::lexical_cast(text, number) && number >= 0 && std::isfinite(number)
                       ? std::string()
                       : fmt::format("{}: give a number of 0 or more", text);
          },
          "0 OR MORE"};
}

/// Checks that an option is a whole number that fits into 64 bits; CLI11 would wrap others.
inline CLI::Validator whole_number() {
  return {[](std::string& text) {
            std::uint64_t number = 0;
            return to_number(text, number) ? std::string()
                                           : fmt::format("{}: give a whole number from 0 to 2^64-1", text);
          },
          "0 TO 2^64-1"};
}

/// Checks that an option is a number of at least 0 and below 1.
inline CLI::Validator share_below_one() {
  return {[](std::string& text) {
            double number = 0;
            return CLI::detail::lexical_cast(text, number) && number >= 0 && number < 1
                       ? std::string()
                       : fmt::format("{}: give a number from 0 to below 1", text);
          },
          "0 TO BELOW 1"};
}

/// Checks that an option is a number above 0 and at most 1.
inline CLI::Validator share_of_one() {
  return {[](std::string& text) {
            double number = 0;
            return CLI::detail::lexical_cast(text, number) && number > 0 && number <= 1
                       ? std::string()
                       : fmt::format("{}: give a number above 0 and at most 1", text);
          },
          "ABOVE 0, AT MOST 1"};
}

/// Where the report of a command that writes to `out` goes: to stderr when the output is there already.
inline std::FILE* report_stream(const std::string& out) {
  return is_standard_output(out) ? stderr : stdout;
}
/// Throws DataError, before the work, when `out` could not be written.
inline void require_writable_out(const std::string& out) {
  if (!is_standard_output(out)) require_writable(out);
}
/// JSON as text. What is no UTF-8, such as a file's name may hold, is replaced by U+FFFD.
inline std::string json_text(const nlohmann::json& json, int indent = 2) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// A warning, on stderr.
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "gradus: warning: {}\n", fmt::format(format, std::forward<Args>(args)...));
}

/// Whether a network never saw <unk> in training, so that its probability of it is what chance left there. An
/// n-gram model gives <unk> a share on purpose.
inline bool unknown_is_untrained(const models::TrainedModel& trained) {
  const Vocabulary& v = trained.vocabulary;
  return trained.kind != "ngram" && v.unknown() >= 0 && v.count(v.unknown()) == 0;
}
/// Of a model of which that is so.
inline void warn_of_chance(const std::string& model, Unit unit) {
  warn(
      "{} never saw <unk> in training, so what it says of unknown {}s is chance: look at the numbers without "
      "them, or train with --min-count 2, which makes the rare ones <unk>",
      model, name_of(unit));
}
inline void warn_of_untrained_unknown(const models::TrainedModel& trained, const std::string& model) {
  if (unknown_is_untrained(trained)) warn_of_chance(model, trained.vocabulary.unit());
}

inline bool given(const CLI::Option* option) {
  return option->count() > 0;
}

/// The numbers of a list such as "0,0,1". Ends the command as wrong usage, naming the option, where one is
/// not a number.
template <class T>
std::vector<T> numbers_of(std::string_view text, std::string_view option) {
  std::vector<T> out;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find(',', from), text.size());
    const std::string_view field = text.substr(from, end - from);
    if (!to_number(field, out.emplace_back()))
      misuse("{} {}: '{}' is not a number; give numbers separated by commas", option, text, field);
    from = end + 1;
  }
  return out;
}

/// A subcommand and its options, an object that `run` is called on. Each default is shown by --help.
template <class Command, class Run>
std::pair<CLI::App*, std::shared_ptr<Command>> subcommand(CLI::App& app, const std::string& name, Run run,
                                                          const std::string& about,
                                                          const std::string& examples) {
  auto options = std::make_shared<Command>();
  CLI::App* const out = app.add_subcommand(name, about);
  out->option_defaults()->always_capture_default();
  out->footer(examples);
  out->callback([options, run, name] {
    require_one_process(name);
    std::invoke(run, *options);
  });
  return {out, std::move(options)};
}

// Options that several commands have.
inline void add_text(CLI::App* command, std::string& text) {
  command->add_option("text", text, "A file (plain, .gz or .zst), a folder, or - for standard input")
      ->required();
}
/// The values of --unit, some of them with the subwords of a byte-level BPE, which are learned first.
inline CLI::Validator plain_units() {
  return CLI::IsMember({"word", "character", "byte"});
}
inline CLI::Validator all_units() {
  return CLI::IsMember({"word", "character", "byte", "bpe"});
}
inline Unit unit_of(std::string_view option) {
  return option == "bpe" ? Unit::subword : unit_named(option);
}
inline CLI::Option* add_unit(CLI::App* command, std::string& unit, const CLI::Validator& units) {
  return command->add_option("--unit", unit, "What a token is")->check(units);
}
inline void add_skip_marks(CLI::App* command, bool& skip) {
  command->add_flag("--skip-marks", skip,
                    "Read the words <s> and </s> in a text as spaces; without it they are refused");
}
inline void add_threads(CLI::App* command, int& threads) {
  command->add_option("--threads", threads, "Threads to use; 0: one for each core")
      ->check(CLI::Range(0, 1024));
}
inline void add_json(CLI::App* command, bool& json) {
  command->add_flag("--json", json, "Print JSON");
}

/// The option --unknown of the commands that score a text.
struct UnknownOption {
  std::string convention = "kenlm";

  void add_to(CLI::App* command) {
    command
        ->add_option(
            "--unknown", convention,
            "kenlm: <unk> is predicted and read like any word; srilm: unknown words are not scored, and "
            "contexts of n-grams end at them")
        ->check(CLI::IsMember({"kenlm", "srilm"}));
  }
  bool skipped() const { return convention == "srilm"; }
  /// The model with the convention: unknown words end the contexts of an n-gram model, or not.
  models::ErasedModel applied_to(const models::TrainedModel& trained) const {
    const auto* const ngrams = trained.model.get_if<models::NgramModel>();
    if (ngrams == nullptr || !skipped()) return trained.model;
    return models::ErasedModel(models::UnknownEndsContext(*ngrams, trained.vocabulary.unknown()));
  }
};

/// The perplexities of a text with and without its unknown words. Where these are left out, the first is
/// infinite.
struct Perplexities {
  double with_unknown, without_unknown;

  Perplexities(const models::Evaluation& e, bool skipped)
      : with_unknown(skipped && e.unknown > 0 ? std::numeric_limits<double>::infinity() : e.perplexity()),
        without_unknown(e.perplexity_known()) {}
  nlohmann::json json() const {
    return {{"perplexity_with_unknown", with_unknown}, {"perplexity_without_unknown", without_unknown}};
  }
};

/// "infinite" when the model gives some token a probability of 0, "nothing" when there was nothing to
/// predict.
inline std::string number_text(double x) {
  return std::isnan(x) ? "nothing" : std::isinf(x) ? "infinite" : fmt::format("{:.4f}", x);
}

}  // namespace gradus::cli
