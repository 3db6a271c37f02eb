#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "models/run/config.hpp"
#include "optim/run_state.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models {

/// What a training run keeps on the disk:
///
///   config.toml                  all settings
///   vocabulary.txt               the tokens, or the tokenizer
///   model.safetensors            the best model on the validation text, which every command reads
///   checkpoints/step-*.safetensors   all that the run goes on from, the newest ones
///   metrics.jsonl, events.out.tfevents.*   the numbers of the log, as JSON lines and for TensorBoard
///   log.txt                      what was said
///
/// Every file but the logs is replaced whole or not at all. One process may train in a folder at a time: a
/// lock is held while an object of this class lives.
class RunFolder {
 public:
  /// Throws DataError where a new run could not be kept in a folder: there is a run already, or other files,
  /// or it cannot be made. Nothing is made, so that long work can find out before it begins.
  static void require_new(const std::filesystem::path& folder);
  /// Makes a new folder, or takes an empty one. Throws as require_new.
  static RunFolder create(const std::filesystem::path& folder);
  /// Takes the folder of a run. Throws DataError where there is none, or another process trains in it.
  static RunFolder open(const std::filesystem::path& folder);
  /// The same to read alone, beside the process that trains in it. Throws DataError where there is none.
  static RunFolder read(const std::filesystem::path& folder);
  /// Whether a folder holds a run.
  static bool is_run(const std::filesystem::path& folder);

  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();

  const std::filesystem::path& path() const { return folder_; }
  std::filesystem::path model_file() const { return folder_ / "model.safetensors"; }

  void save_config(const RunConfig& config) const;
  RunConfig load_config() const;
  void save_vocabulary(const Vocabulary& vocabulary) const;
  Vocabulary load_vocabulary() const;

  /// Writes a checkpoint, and removes older ones than the `keep` newest. Throws DataError where it cannot be
  /// written; those that are there stay.
  void save_checkpoint(const optim::RunState& state, std::int64_t step, std::int64_t keep) const;
  struct Loaded {
    optim::RunState state;
    std::filesystem::path file;
  };
  bool has_checkpoint() const;
  /// The newest checkpoint that is whole; `warn` is told of each that is not. Nothing where there was none at
  /// all. Throws DataError where there are some and none is whole.
  std::optional<Loaded> newest_checkpoint(const std::function<void(const std::string&)>& warn) const;

  /// Appends a line to log.txt; what cannot be written is left out.
  void log(const std::string& line) const;

 private:
  enum class Lock { taken, none };
  explicit RunFolder(std::filesystem::path folder, Lock lock = Lock::taken);

  std::filesystem::path folder_;
  int lock_ = -1;
};

}  // namespace gradus::models
