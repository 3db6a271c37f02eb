#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace gradus::cli {

/// The progress of one phase of some work. `total` is 0 when it is not known, as with a pipe.
struct ProgressPart {
  std::int64_t done = 0, total = 0;
  double seconds = 0;  // since the phase began
  bool bytes = false;  // whether bytes are counted, or other things
};
/// "40%, 12 s left" or, when the total is not known, how much is done and how fast: "120.5 MB, 3.2 MB/s".
std::string progress_text(const ProgressPart& part);

/// A line of progress on stderr, rewritten in place. Nothing is shown in the first two seconds, or when
/// stderr is not a terminal. The time left is estimated for each phase separately.
class Progress {
 public:
  /// `shown`: whether it is shown at all.
  explicit Progress(std::string what, bool shown = true);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Begins a new phase, unless the current one has this name.
  void phase(std::string_view name, bool bytes = false);
  void update(std::int64_t done, std::int64_t total, const std::string& note = {});
  /// Removes the line of progress, until the next update.
  void clear();
  /// A line above that of the progress, on a terminal alone.
  void say(const std::string& line);
  /// A callback that calls update, for work of a known size.
  auto reporter(std::size_t total) {
    return [this, total](std::int64_t done) { update(done, static_cast<std::int64_t>(total)); };
  }
  /// Since the work began.
  double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_, phase_;
  bool bytes_ = false, shown_ = false, terminal_;
  Clock::time_point start_, phase_start_, last_;
};

}  // namespace gradus::cli
