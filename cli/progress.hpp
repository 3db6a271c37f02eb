#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace gradus::cli {

/// A line of progress on stderr with the remaining time, rewritten in place; silent when stderr is no
/// terminal, and for the first two seconds.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::int64_t done, std::int64_t all, const std::string& note = {});
  /// update, as a callback for work of a known size.
  auto reporter(std::size_t all) {
    return [this, all](std::int64_t done) { update(done, static_cast<std::int64_t>(all)); };
  }
  double seconds() const;

 private:
  std::string what_;
  bool shown_ = false;
  bool terminal_;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace gradus::cli
