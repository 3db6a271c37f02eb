#include <cstring>
#include <numeric>

#include "tests/distributed/world.hpp"
#include "tests/support/catch.hpp"

// These run in 1, 2 and 4 processes, all of which make the same calls.

using namespace gradus;
using gradus::test::world;

namespace {

std::vector<std::byte> pattern(std::size_t size, int seed) {
  std::vector<std::byte> out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::byte>((i * 31 + static_cast<std::size_t>(seed) * 7) % 251);
  return out;
}

}  // namespace

TEST_CASE("each process knows its own rank and the names of all", "[communicator]") {
  const auto& all = world();
  REQUIRE(all.size() >= 1);
  CHECK(all.alone() == (all.size() == 1));
  const std::vector<double> ranks = all.gather_all(static_cast<double>(all.rank()));
  REQUIRE(std::ssize(ranks) == all.size());
  for (int r = 0; r < all.size(); ++r) {
    CHECK(ranks[static_cast<std::size_t>(r)] == r);
    CHECK(all.name(r).find("rank " + std::to_string(r) + " (process ") == 0);
  }
  CHECK(all.lost() == -1);
}

TEST_CASE("texts and bytes of any length come from the process that has them", "[communicator]") {
  const auto& all = world();
  for (int from = 0; from < all.size(); ++from) {
    CHECK(all.broadcast(std::string("of ") + std::to_string(all.rank()), from) ==
          "of " + std::to_string(from));
    for (const std::size_t size : {0UL, 1UL, 70'000UL, 9'000'000UL}) {
      const auto sent = all.rank() == from ? pattern(size, from) : std::vector<std::byte>();
      CHECK(all.broadcast(std::span(sent), from) == pattern(size, from));
    }
  }
  const std::vector<std::string> words =
      all.gather_all(std::string(static_cast<std::size_t>(all.rank()) * 1000, 'x'));
  for (int r = 0; r < all.size(); ++r)
    CHECK(words[static_cast<std::size_t>(r)].size() == static_cast<std::size_t>(r) * 1000);
}

TEST_CASE("each process gets what each other one has for it", "[communicator]") {
  const auto& all = world();
  for (const std::size_t unit : {0UL, 3UL, 200'000UL}) {
    std::vector<std::vector<std::byte>> to_each;
    for (int to = 0; to < all.size(); ++to)
      to_each.push_back(pattern(unit * static_cast<std::size_t>(to + 1), 10 * all.rank() + to));
    const auto came = all.exchange(to_each);
    REQUIRE(std::ssize(came) == all.size());
    for (int from = 0; from < all.size(); ++from)
      CHECK(came[static_cast<std::size_t>(from)] ==
            pattern(unit * static_cast<std::size_t>(all.rank() + 1), 10 * from + all.rank()));
  }
  CHECK_THROWS_AS(all.exchange(std::vector<std::vector<std::byte>>(static_cast<std::size_t>(all.size()) + 1)),
                  ArgumentError);
}

TEST_CASE("messages arrive while something else is done", "[communicator]") {
  const auto& all = world();
  const int next = (all.rank() + 1) % all.size(), before = (all.rank() + all.size() - 1) % all.size();
  const auto sent = pattern(3'000'000, all.rank());
  std::vector<std::byte> got(sent.size());
  distributed::Transfers transfers;
  CHECK(transfers.empty());
  if (all.alone()) {
    CHECK_THROWS_AS(all.send(sent, next, 5, transfers), ArgumentError);
    return;
  }
  all.receive(got, before, 5, transfers);
  all.send(sent, next, 5, transfers);
  CHECK_FALSE(transfers.empty());
  all.wait(transfers);
  CHECK(transfers.empty());
  CHECK(got == pattern(3'000'000, before));
}
