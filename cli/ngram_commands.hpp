#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/progress.hpp"
#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/ngram.hpp"
#include "models/ngram/store/writer.hpp"
#include "text/vocabulary.hpp"

/// What the commands on n-gram models share.
namespace gradus::cli {

/// Each adds one subcommand of `gradus ngram`.
void add_ngram_build(CLI::App& ngram);
void add_ngram_info(CLI::App& ngram);
void add_ngram_export(CLI::App& ngram);
void add_ngram_prune(CLI::App& ngram);
void add_ngram_interpolate(CLI::App& ngram);

bool is_arpa(const std::string& file);

/// The bytes of a file; nothing for a pipe or a device.
std::optional<std::uint64_t> file_bytes(const std::string& file);

/// Where a model is to be stored, and how.
struct Place {
  std::string file, layout = "fast";  // a layout of a binary file, or "arpa"
  int quantize = 0;

  void add_to(CLI::App* command);
  bool arpa() const { return layout == "arpa" || is_arpa(file); }
  /// Before the work: that the options go together, and that the place can be written to. `source`: what is
  /// read.
  void check(const std::string& source) const;

 private:
  CLI::Option* layout_given_ = nullptr;
  CLI::Option* quantize_given_ = nullptr;
};

/// Writes a model to a place in the form that is asked for: ARPA text or a binary file.
class PlaceWriter {
 public:
  /// The vocabulary must outlive it.
  PlaceWriter(const Place& place, const Vocabulary& vocabulary);
  models::NgramSink& sink();
  /// After the sink's finish(): the bytes of each order; none in ARPA files, which do not keep orders apart.
  std::vector<std::uint64_t> order_bytes();

 private:
  std::optional<models::ArpaWriter> arpa_;
  std::optional<models::NgramWriter> binary_;
};

/// Reports the phases of work on a model to a Progress, which must outlive the result.
models::NgramProgress shown_by(Progress& progress);

/// For people: the discounts of one order, and whether they are the fixed ones.
std::string discounts_text(const models::Discounts& discounts);

struct LoadedNgram {
  models::NgramModel model;
  Vocabulary vocabulary;
  bool arpa;  // whether the file is ARPA text
};
/// An n-gram model of a file, with its vocabulary. Throws DataError for a file of another kind.
LoadedNgram load_ngram(const std::string& file, const models::ArpaOptions& options = {});

}  // namespace gradus::cli
