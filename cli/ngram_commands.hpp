#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cli/progress.hpp"
#include "models/ngram/ngram.hpp"
#include "models/ngram/store/storage.hpp"
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
  std::string file, layout = "fast";
  int quantize = 0;

  void add_to(CLI::App* command);
  /// Before the work: that the options go together, and that the place can be written to. `source`: what is
  /// read.
  void check(const std::string& source) const;
  /// Of the file, in the form that is asked for. The place and the vocabulary must outlive it.
  std::unique_ptr<models::NgramSink> writer(const Vocabulary& vocabulary) const;
  void save(const models::NgramModel& model, const Vocabulary& vocabulary, Progress& progress) const;

 private:
  CLI::Option* layout_given_ = nullptr;
  CLI::Option* quantize_given_ = nullptr;
};

/// Hands n-grams on, and shows how many.
class ReportingSink : public models::NgramSink {
 public:
  /// `total`: the n-grams to come.
  ReportingSink(models::NgramSink& to, Progress& progress, std::int64_t total)
      : to_(to), progress_(progress), total_(total) {}

  void describe(const models::NgramDescription& description) override { to_.describe(description); }
  void expect(std::span<const std::int64_t> counts) override { to_.expect(counts); }
  void begin_order(int order, std::int64_t count) override { to_.begin_order(order, count); }
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) override {
    to_.add(ngram, log_prob, backoff);
    if (++done_ % 65536 == 0) progress_.update(done_, total_);
  }
  void finish() override { to_.finish(); }

 private:
  models::NgramSink& to_;
  Progress& progress_;
  std::int64_t total_, done_ = 0;
};

/// For people: the discounts of one order, and whether they are the fixed ones.
std::string discounts_text(const models::Discounts& discounts);

/// An n-gram model of a file, with its vocabulary. Throws DataError for a file of another kind.
std::pair<models::NgramModel, Vocabulary> load_ngram(const std::string& file);

}  // namespace gradus::cli
