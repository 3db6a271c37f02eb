#include "cli/commands.hpp"
namespace gradus::cli {
void add_train(CLI::App&) {}
void add_eval(CLI::App&) {}
void add_generate(CLI::App&) {}
void add_score(CLI::App&) {}
}  // namespace gradus::cli
