#include <fmt/core.h>

#include <filesystem>
#include <set>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/report_page.hpp"
#include "cli/usage.hpp"
#include "models/kinds.hpp"
#include "models/run/folder.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"

// The command that shows training runs on one page.
namespace gradus::cli {

namespace {

namespace fs = std::filesystem;

struct ReportCommand {
  std::vector<std::string> runs;
  std::string out = "report.html";
  ReportOptions options;

  void run() const;
};

ReportedRun read_run(const std::string& folder) {
  if (!models::RunFolder::is_run(folder))
    fail<DataError>("{}: there is no run in it; give the folder that `gradus train --out` named", folder);
  ReportedRun out;
  out.config_text = read_file(fs::path(folder) / "config.toml");
  models::merge_toml(out.config, out.config_text, folder + "/config.toml");
  std::error_code none;
  if (fs::exists(fs::path(folder) / "metrics.jsonl", none)) out.metrics = models::read_metrics(folder);
  if (fs::exists(fs::path(folder) / "model.safetensors", none)) out.model = models::load_network(folder);
  return out;
}

/// The folders' own names or, where two are alike, as they were given.
std::vector<std::string> names_of(const std::vector<std::string>& folders) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const std::string& folder : folders) {
    const fs::path path = fs::absolute(folder).lexically_normal();
    out.push_back((path.has_filename() ? path : path.parent_path()).filename().string());
    seen.insert(out.back());
  }
  return seen.size() == folders.size() ? out : folders;
}

void ReportCommand::run() const {
  require_writable_out(out);
  std::vector<ReportedRun> all;
  const std::vector<std::string> names = names_of(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    all.push_back(read_run(runs[i]));
    all.back().name = names[i];
  }
  const Progress progress("report");
  const std::string page = report_page(all, options);
  if (is_standard_output(out)) {
    fmt::print("{}", page);
    return;
  }
  write_file(out, page);
  fmt::print("{}: open it in a browser\n", out);
}

}  // namespace

void add_report(CLI::App& app) {
  const auto [c, options] = subcommand<ReportCommand>(
      app, "report", &ReportCommand::run, "Show training runs on one HTML page, which needs no network",
      "Examples:\n  gradus report run1\n  gradus report run1 run2 --out both.html\n"
      "  gradus report run1 --prompt 'Once upon a time' --sentence 'the king has a crown .'");
  c->add_option("runs", options->runs, "Folders of runs; several are compared")
      ->required()
      ->expected(1, 32)
      ->default_str("");
  c->add_option("--out", options->out, "The page; - for the standard output");
  c->add_option("--sentence", options->options.sentence,
                "A text that attention and gates are shown of; by default the beginning of the first sample");
  c->add_option("--prompt", options->options.prompt, "What samples go on from");
  c->add_option("--samples", options->options.samples, "How many samples to write")
      ->check(CLI::Range(0, 100));
  c->add_option("--tokens", options->options.tokens,
                "The length of each, in words; three times as many of other tokens")
      ->check(CLI::Range(1, 10'000));
  c->add_option("--seed", options->options.seed, "Of the samples")->check(whole_number());
}

}  // namespace gradus::cli
