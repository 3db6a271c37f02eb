#include "cli/progress.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

namespace gradus::cli {

namespace {
using Clock = std::chrono::steady_clock;
double between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}
}  // namespace

Progress::Progress(std::string what)
    : what_(std::move(what)), terminal_(isatty(STDERR_FILENO) != 0), start_(Clock::now()), last_(start_) {}

Progress::~Progress() {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

void Progress::update(std::int64_t done, std::int64_t all, const std::string& note) {
  const auto now = Clock::now();
  if (!terminal_ || done == 0 || between(start_, now) < 2 || between(last_, now) < 0.2) return;
  last_ = now;
  shown_ = true;
  const double left = between(start_, now) * static_cast<double>(all - done) / static_cast<double>(done);
  fmt::print(stderr, "\r\033[K{}: {:.0f}%, {:.0f} s left{}{}", what_,
             100.0 * static_cast<double>(done) / static_cast<double>(all), left, note.empty() ? "" : ", ",
             note);
  std::fflush(stderr);
}

double Progress::seconds() const {
  return between(start_, Clock::now());
}

}  // namespace gradus::cli
