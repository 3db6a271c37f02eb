// A training run from a program of one's own: its settings, its folder, and what is kept when it is stopped.

#include <gradus.hpp>

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

using namespace gradus;

int main() {
  const auto folder = std::filesystem::temp_directory_path() / ("gradus_run_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string text = (folder / "text.txt").string();
  std::ofstream(text) << synthetic_corpus(1, 20000).text;

  // run begins
  models::RunConfig config;
  config.data.text = text;
  config.model.kind = "gru";
  config.model.width = 48;
  config.training.epochs = 3;
  models::merge_setting(config, "optimizer.lr=4e-3");  // as on the command line or in a file

  int updates = 0;
  const models::RunOptions interrupted{.folder = folder / "run", .stop = [&] { return ++updates == 20; }};
  models::train_run(config, interrupted);  // it is stopped after 20 updates
  const models::RunResult done = models::train_run({}, {.folder = folder / "run", .resume = true});
  std::printf("perplexity %.1f on the validation text\n", std::exp(*done.best_loss));
  // run ends

  const models::RunResult whole = models::train_run(config, {.folder = folder / "whole"});
  const bool same = whole.best_loss == done.best_loss;
  std::filesystem::remove_all(folder);
  return same ? 0 : 1;
}
