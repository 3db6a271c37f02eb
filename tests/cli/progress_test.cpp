#include "cli/progress.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "tests/support/catch.hpp"

using gradus::cli::progress_text;

TEST_CASE("progress says what is left by the pace of its phase, or how fast an unknown total goes", "[cli]") {
  CHECK(progress_text({.done = 25, .total = 100, .seconds = 5}) == "25%, 15 s left");
  CHECK(progress_text({.done = 100, .total = 100, .seconds = 5}) == "100%, 0 s left");
  CHECK(progress_text({.done = 30'000'000, .total = 0, .seconds = 4, .bytes = true}) == "30.0 MB, 7.5 MB/s");
  CHECK(progress_text({.done = 3'000'000, .total = 0, .seconds = 2}) == "3.0 million, 1.5 million a second");
}

namespace {

/// What a terminal was sent up to `end`, or, if that does not come, what came until nothing did for ten
/// seconds. The kernel hands on what is written to a terminal later, and in parts.
std::string shown_until(int master, std::string_view end) {
  std::string shown;
  for (pollfd waited{master, POLLIN, 0}; !shown.ends_with(end) && ::poll(&waited, 1, 10'000) == 1;) {
    std::array<char, 256> part{};
    const ssize_t got = ::read(master, part.data(), part.size());
    if (got <= 0) break;
    shown.append(part.data(), static_cast<std::size_t>(got));
  }
  return shown;
}

}  // namespace

TEST_CASE("progress is shown on a terminal and taken away at the end", "[cli]") {
  // A terminal in the place of stderr.
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) return;
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY), kept = ::dup(STDERR_FILENO);
  REQUIRE(terminal >= 0);
  ::dup2(terminal, STDERR_FILENO);
  {
    gradus::cli::Progress progress("counting");
    progress.phase("reading", true);
    std::this_thread::sleep_for(std::chrono::milliseconds(2050));
    progress.update(0, 100);  // nothing to go by
    progress.update(50, 100, "a note");
  }
  std::fflush(stderr);
  ::dup2(kept, STDERR_FILENO);
  const std::string end = "(end)";
  REQUIRE(::write(terminal, end.data(), end.size()) == static_cast<ssize_t>(end.size()));
  const std::string shown = shown_until(master, end);
  for (const int descriptor : {terminal, kept, master}) ::close(descriptor);
  const std::string clear = "\r\033[K";
  INFO(shown);
  CHECK(shown.starts_with(clear + "counting, reading: 50%, "));
  CHECK(shown.ends_with(" s left, a note" + clear + end));
}
