#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/checkpoint.hpp"
#include "models/run/config.hpp"
#include "models/run/metrics.hpp"

namespace gradus::cli {

/// What a report shows of one run.
struct ReportedRun {
  std::string name;
  models::RunConfig config;
  std::string config_text;
  std::vector<models::MetricsLine> metrics;
  std::optional<models::LoadedNetwork> model;  // where one was kept already
};

struct ReportOptions {
  std::string sentence;  // that attention and gates are shown of; empty: the beginning of the first sample
  std::string prompt;    // of samples
  std::int64_t samples = 3, tokens = 80;
  std::uint64_t seed = 1;
};

/// One HTML page with curves, samples, the embeddings, attention or gates, and the settings of each run,
/// which needs no other file. Throws DataError for a sentence that the model cannot read.
std::string report_page(const std::vector<ReportedRun>& runs, const ReportOptions& options);

}  // namespace gradus::cli
