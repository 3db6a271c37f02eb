#include "cli/progress.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

namespace gradus::cli {

namespace {

double between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

std::string amount(double count, bool bytes) {
  return fmt::format("{:.1f}{}{}", count / 1e6, bytes ? " M" : " million", bytes ? "B" : "");
}

}  // namespace

std::string progress_text(const ProgressPart& part) {
  const auto done = static_cast<double>(part.done), total = static_cast<double>(part.total);
  if (part.total > 0) {
    // Assumes that the rest goes as fast as what is done.
    return fmt::format("{:.0f}%, {:.0f} s left", 100 * done / total, part.seconds * (total - done) / done);
  }
  return fmt::format("{}, {}{}", amount(done, part.bytes), amount(done / part.seconds, part.bytes),
                     part.bytes ? "/s" : " a second");
}

Progress::Progress(std::string what, bool shown)
    : what_(std::move(what)),
      terminal_(shown && isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      phase_start_(start_),
      last_(start_) {}

Progress::~Progress() {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

void Progress::phase(std::string_view name, bool bytes) {
  if (name == phase_) return;
  phase_ = name;
  bytes_ = bytes;
  phase_start_ = Clock::now();
}

void Progress::update(std::int64_t done, std::int64_t total, const std::string& note) {
  const auto now = Clock::now();
  const double seconds = between(phase_start_, now);
  // Too early in a phase to estimate its speed.
  if (!terminal_ || done <= 0 || seconds < 0.2 || between(start_, now) < 2 || between(last_, now) < 0.2)
    return;
  last_ = now;
  shown_ = true;
  fmt::print(stderr, "\r\033[K{}{}{}: {}{}{}", what_, phase_.empty() ? "" : ", ", phase_,
             progress_text({done, total, seconds, bytes_}), note.empty() ? "" : ", ", note);
  std::fflush(stderr);
}

void Progress::clear() {
  if (terminal_ && shown_) fmt::print(stderr, "\r\033[K");
}

void Progress::say(const std::string& line) {
  if (terminal_) fmt::print(stderr, "\r\033[K{}\n", line);
}

double Progress::seconds() const {
  return between(start_, Clock::now());
}

}  // namespace gradus::cli
