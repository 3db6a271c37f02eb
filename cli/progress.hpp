#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace gradus::cli {

/// How far one phase of some work is. `total` is 0 when it is not known, as of what comes from a pipe.
struct ProgressPart {
  std::int64_t done = 0, total = 0;
  double seconds = 0;  // since the phase began
  bool bytes = false;  // what is counted; else things of some kind
};
/// "40%, 12 s left", or, of an unknown total, how much is done and how fast: "120.5 MB, 3.2 MB/s".
std::string progress_text(const ProgressPart& part);

/// A line of progress on stderr, rewritten in place; silent when stderr is no terminal, and for the first two
/// seconds. Each phase has its own clock.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// What follows is of another phase, unless it has the name of the one at hand.
  void phase(std::string_view name, bool bytes = false);
  void update(std::int64_t done, std::int64_t total, const std::string& note = {});
  /// update, as a callback for work of a known size.
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
