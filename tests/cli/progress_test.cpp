#include "cli/progress.hpp"

#include "tests/support/catch.hpp"

using gradus::cli::progress_text;

TEST_CASE("progress says what is left by the pace of its phase, or how fast an unknown total goes", "[cli]") {
  CHECK(progress_text({.done = 25, .total = 100, .seconds = 5}) == "25%, 15 s left");
  CHECK(progress_text({.done = 100, .total = 100, .seconds = 5}) == "100%, 0 s left");
  CHECK(progress_text({.done = 30'000'000, .total = 0, .seconds = 4, .bytes = true}) == "30.0 MB, 7.5 MB/s");
  CHECK(progress_text({.done = 3'000'000, .total = 0, .seconds = 2}) == "3.0 million, 1.5 million a second");
}
