#include <fmt/format.h>

#include <filesystem>

#include "cli/commands.hpp"
#include "cli/ngram_commands.hpp"
#include "cli/usage.hpp"
#include "models/checkpoint.hpp"
#include "tensor/support/standard_output.hpp"
#include "tensor/support/write_file.hpp"

namespace gradus::cli {

bool is_arpa(const std::string& file) {
  const std::filesystem::path extension = std::filesystem::path(file).extension();
  return extension == ".arpa" || extension == ".gz";
}

std::optional<std::uint64_t> file_bytes(const std::string& file) {
  std::error_code error;
  if (is_standard_output(file) || !std::filesystem::is_regular_file(file, error)) return std::nullopt;
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  return error ? std::nullopt : std::optional<std::uint64_t>(size);
}

void Place::add_to(CLI::App* command) {
  command
      ->add_option("--out", file,
                   "The model's file: ARPA text for .arpa and .gz, else binary; - for standard output")
      ->required();
  layout_given_ =
      command
          ->add_option(
              "--layout", layout,
              "The layout of a binary file: fast, for the fastest queries, or compact; arpa: ARPA text "
              "whatever the name")
          ->check(CLI::IsMember({"fast", "compact", "arpa"}));
  quantize_given_ =
      command
          ->add_option("--quantize", quantize,
                       "Bits of a probability or backoff weight in the compact layout, 2 to 16; 0: exact")
          ->check(CLI::Range(0, 16));
}

PlaceWriter::PlaceWriter(const Place& place, const Vocabulary& vocabulary) {
  if (place.arpa()) {
    arpa_.emplace(place.file, vocabulary);
  } else {
    const auto layout = place.layout == "fast" ? models::NgramLayout::fast : models::NgramLayout::compact;
    binary_.emplace(place.file, vocabulary, models::NgramStorage{layout, place.quantize});
  }
}

models::NgramSink& PlaceWriter::sink() {
  if (arpa_) return *arpa_;
  return *binary_;
}

std::vector<std::uint64_t> PlaceWriter::order_bytes() {
  return binary_ ? binary_->model().order_bytes() : std::vector<std::uint64_t>();
}

void Place::check(const std::string& source) const {
  if (arpa() && ((layout_given_ != nullptr && given(layout_given_) && layout != "arpa") || quantize > 0))
    misuse("--layout and --quantize apply to binary files, and --out {} is ARPA text", file);
  if (file.empty()) misuse("--out is empty; name the file of the model");
  if (file.ends_with(".zst")) misuse("--out {}: models are compressed by gzip alone, as .arpa.gz", file);
  if (file.ends_with(".ARPA") || file.ends_with(".GZ"))
    misuse("--out {}: write .arpa or .gz in small letters", file);
  if (quantize == 1) misuse("--quantize 1: give 2 to 16 bits, or 0 for exact numbers");
  if (quantize > 0 && layout != "compact") misuse("--quantize {} goes with --layout compact", quantize);
  require_writable_out(file);
  std::error_code missing;
  if (!is_standard_output(file) && !is_special(file) && std::filesystem::equivalent(source, file, missing))
    fail<ArgumentError>("--out {} is the file that is read, which the model would replace; name another file",
                        file);
}

models::NgramProgress shown_by(Progress& progress) {
  return [&progress](std::string_view phase, std::int64_t done, std::int64_t total) {
    progress.phase(phase, phase == "counting");  // which is of the bytes of a text
    progress.update(done, total);
  };
}

std::string discounts_text(const models::Discounts& discounts) {
  return fmt::format("{:.6g}{}", fmt::join(discounts.amount, " "),
                     discounts.fallback ? " (fixed ones: too few counts of counts)" : "");
}

LoadedNgram load_ngram(const std::string& file, const models::ArpaOptions& options) {
  models::TrainedModel trained = models::load_model(file, options);
  const auto* const ngrams = trained.model.get_if<models::NgramModel>();
  if (ngrams == nullptr)
    fail<DataError>("{} holds a neural model of the kind {}, not an n-gram model", file, trained.kind);
  return {*ngrams, std::move(trained.vocabulary), trained.arpa};
}

void add_ngram(CLI::App& app) {
  CLI::App* n = app.add_subcommand("ngram", "Build, describe, convert, prune and interpolate n-gram models");
  n->require_subcommand(1);
  add_ngram_build(*n);
  add_ngram_info(*n);
  add_ngram_export(*n);
  add_ngram_prune(*n);
  add_ngram_interpolate(*n);
}

}  // namespace gradus::cli
