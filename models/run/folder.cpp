#include "models/run/folder.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <vector>

#include "tensor/support/error.hpp"
#include "tensor/support/write_file.hpp"

namespace gradus::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* config_name = "config.toml";
constexpr const char* vocabulary_name = "vocabulary.txt";
constexpr const char* lock_name = ".lock";
constexpr const char* checkpoints_name = "checkpoints";

/// The checkpoints of a run, the newest first.
std::vector<fs::path> checkpoints_in(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.ends_with(".safetensors")) out.push_back(entry.path());
  }
  std::ranges::sort(out, std::greater<>());
  return out;
}

}  // namespace

RunFolder::RunFolder(fs::path folder, Lock lock) : folder_(std::move(folder)) {
  if (lock == Lock::none) return;
  const fs::path file = folder_ / lock_name;
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) fail<DataError>("{}: cannot be written: {}", folder_.string(), std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(lock_);
    fail<DataError>("{}: another process trains in this folder; wait for it, or end it", folder_.string());
  }
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : folder_(std::move(other.folder_)), lock_(std::exchange(other.lock_, -1)) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

bool RunFolder::is_run(const fs::path& folder) {
  std::error_code none;
  return fs::is_regular_file(folder / config_name, none);
}

void RunFolder::require_new(const fs::path& folder) {
  if (folder.empty()) fail<ArgumentError>("the name of the folder for the run is empty; name one");
  if (is_run(folder)) {
    fail<DataError>(
        "{}: there is a run in this folder already; go on with it by --resume {}, or choose another folder",
        folder.string(), folder.string());
  }
  std::error_code none;
  if (fs::exists(folder, none) && !fs::is_directory(folder, none))
    fail<DataError>("{}: this is no folder, which a run is kept in; choose another name", folder.string());
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    // What a run leaves that was killed before it began.
    const std::string name = entry.path().filename().string();
    const bool own = name == lock_name || name == vocabulary_name || name.find(".gradus-part") != name.npos ||
                     (name == checkpoints_name && checkpoints_in(entry.path()).empty());
    if (!own) {
      fail<DataError>(
          "{}: there is {} in this folder, which is no run's; choose an empty folder or a new one",
          folder.string(), name);
    }
  }
  // The folder, or the nearest one above it that there is.
  fs::path above = fs::absolute(folder, none);
  while (!fs::exists(above, none) && above.has_relative_path()) above = above.parent_path();
  if (::access(above.c_str(), W_OK | X_OK) != 0)
    fail<DataError>("{}: cannot be written: {}; choose another place", folder.string(), std::strerror(errno));
}

RunFolder RunFolder::create(const fs::path& folder) {
  require_new(folder);
  std::error_code error;
  fs::create_directories(folder / checkpoints_name, error);
  if (error)
    fail<DataError>("{}: the folder of the run cannot be made: {}", folder.string(), error.message());
  return RunFolder(folder);
}

namespace {

void require_run(const fs::path& folder) {
  if (!RunFolder::is_run(folder))
    fail<DataError>(
        "{}: there is no run in it, which would have a {}; give a folder that `gradus train --out` made",
        folder.string(), config_name);
}

}  // namespace

RunFolder RunFolder::open(const fs::path& folder) {
  require_run(folder);
  return RunFolder(folder);
}

RunFolder RunFolder::read(const fs::path& folder) {
  require_run(folder);
  return RunFolder(folder, Lock::none);
}

void RunFolder::save_config(const RunConfig& config) const {
  write_file(folder_ / config_name, to_toml(config));
}
RunConfig RunFolder::load_config() const {
  RunConfig out;
  merge_toml_file(out, folder_ / config_name);
  return out;
}
void RunFolder::save_vocabulary(const Vocabulary& vocabulary) const {
  vocabulary.save(folder_ / vocabulary_name);
}
Vocabulary RunFolder::load_vocabulary() const {
  return Vocabulary::load(folder_ / vocabulary_name);
}

void RunFolder::save_checkpoint(const optim::RunState& state, std::int64_t step, std::int64_t keep) const {
  const fs::path folder = folder_ / checkpoints_name;
  state.save(folder / fmt::format("step-{:010}.safetensors", step));
  const std::vector<fs::path> all = checkpoints_in(folder);
  for (std::size_t i = static_cast<std::size_t>(keep); i < all.size(); ++i) {
    std::error_code none;  // one that stays is only in the way
    fs::remove(all[i], none);
  }
}

bool RunFolder::has_checkpoint() const {
  return !checkpoints_in(folder_ / checkpoints_name).empty();
}

std::optional<RunFolder::Loaded> RunFolder::newest_checkpoint(
    const std::function<void(const std::string&)>& warn) const {
  const std::vector<fs::path> all = checkpoints_in(folder_ / checkpoints_name);
  for (const fs::path& file : all) {
    try {
      return Loaded{optim::RunState::load(file), file};
    } catch (const Error& error) {
      warn(fmt::format("{}; the checkpoint before it is tried", error.what()));
    }
  }
  if (all.empty()) return std::nullopt;
  fail<DataError>(
      "{}: none of its {} checkpoints is whole, so the run cannot go on; begin it anew in another folder",
      folder_.string(), all.size());
}

void RunFolder::log(const std::string& line) const {
  std::ofstream out(folder_ / "log.txt", std::ios::app);
  out << fmt::format("{:%Y-%m-%d %H:%M:%S} ", fmt::localtime(std::time(nullptr))) << line << '\n';
}

}  // namespace gradus::models
