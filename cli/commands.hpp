#pragma once

#include <CLI/CLI.hpp>

namespace gradus::cli {

/// Each adds one subcommand, which throws gradus::Error for what the user can correct.
void add_demo(CLI::App& app);
void add_train(CLI::App& app);
void add_eval(CLI::App& app);
void add_adapt(CLI::App& app);
void add_compare(CLI::App& app);
void add_generate(CLI::App& app);
void add_score(CLI::App& app);
void add_next(CLI::App& app);
void add_serve(CLI::App& app);
void add_report(CLI::App& app);
void add_ngram(CLI::App& app);

}  // namespace gradus::cli
