#include "distributed/team.hpp"

#include <algorithm>
#include <filesystem>

#include "models/ngram/estimate/text_source.hpp"
#include "models/ngram/ngram.hpp"
#include "models/ngram/sort/shuffle.hpp"
#include "models/ngram/store/writer.hpp"
#include "tensor/random.hpp"
#include "tests/distributed/world.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

// These run in 1, 2 and 4 processes, all of which make the same calls.

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;
using distributed::Failure;
using distributed::ProcessTeam;
using gradus::test::Folder;
using gradus::test::read_bytes;
using gradus::test::world;

namespace {

std::shared_ptr<ProcessTeam> team_of_world() {
  return std::make_shared<ProcessTeam>(world());
}

const auto described = [](const std::exception_ptr& exception) -> Failure {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return {7, error.what()};
  }
};

/// Sentences of random words, some of them empty, and some words in one place only.
std::string random_text(std::uint64_t seed, int lines) {
  Rng rng(seed);
  std::string out;
  for (int i = 0; i < lines; ++i) {
    const int words = static_cast<int>(rng.uniform() * 9);
    for (int n = 0; n < words; ++n) {
      const double u = rng.uniform();
      out += "w" + std::to_string(static_cast<int>(u * u * u * 300)) + " ";
    }
    if (i % 50 == 7) out += "rare" + std::to_string(i);
    out += "\n";
  }
  return out;
}

struct Case {
  NgramOptions options{};
  ngram::BuildOptions build{};
  ngram::TextOptions reading{};
  NgramStorage storage{};
};

/// Builds a model, and gives the bytes of its file at rank 0 and what the build said of itself everywhere.
std::pair<std::string, NgramSummary> built(const std::filesystem::path& text, const Case& wanted,
                                           const std::shared_ptr<Team>& team) {
  const Folder folder;
  const std::filesystem::path file = folder.path() / "m.ngram";
  Case c = wanted;
  c.build.team = c.reading.team = team;
  ngram::TextSource source(text, c.reading);
  std::optional<NgramWriter> writer;
  NgramSummary summary = ngram::estimate(source, c.options, c.build, [&]() -> NgramSink& {
    return writer.emplace(file, source.vocabulary(), c.storage);
  });
  CHECK(writer.has_value() == team->leads());
  writer.reset();
  return {team->leads() ? read_bytes(file) : std::string(), std::move(summary)};
}

/// Expects the file that one process makes.
void expect_same(const std::filesystem::path& text, const Case& c) {
  const auto team = team_of_world();
  const auto [bytes, summary] = built(text, c, team);
  if (!team->leads()) return;
  const auto [expected, of_one] = built(text, c, std::make_shared<Team>());
  INFO("order " << c.options.order << ", " << name_of(c.options.method) << ", memory " << c.build.memory);
  CHECK(bytes.size() > 1000);
  CHECK((bytes == expected));
  CHECK(summary.counts == of_one.counts);
  CHECK(summary.distinct == of_one.distinct);
  CHECK(summary.tokens == of_one.tokens);
  CHECK(summary.sentences == of_one.sentences);
}

/// A text that all processes see.
class SharedText {
 public:
  explicit SharedText(int lines) {
    const auto team = team_of_world();
    if (team->leads()) {
      for (int part = 0; part < 5; ++part)
        folder_.write("part" + std::to_string(part), random_text(static_cast<std::uint64_t>(part), lines));
      folder_.write("part1a", "a last line without an end");
      folder_.write("part1b", "\xEF\xBB\xBF" + random_text(9, lines / 4));
      std::string returns = random_text(8, lines / 8);
      std::replace(returns.begin(), returns.end(), '\n', '\r');
      folder_.write("part2a", returns);
    }
    path_ = team->broadcast(folder_.path().string());
  }
  // Until all have read it.
  ~SharedText() { world().barrier(); }
  SharedText(const SharedText&) = delete;
  SharedText& operator=(const SharedText&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  Folder folder_;
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("a team adds up, collects and hands out", "[team]") {
  const auto team = team_of_world();
  const auto size = static_cast<std::uint64_t>(team->size()), rank = static_cast<std::uint64_t>(team->rank());
  for (const std::size_t length : {0U, 1U, 3U, 1000U}) {
    std::vector<std::uint64_t> numbers(length);
    for (std::size_t i = 0; i < length; ++i) numbers[i] = i * (rank + 1);
    team->sum(numbers);
    for (std::size_t i = 0; i < length; ++i) REQUIRE(numbers[i] == i * size * (size + 1) / 2);
  }
  CHECK(team->most(10 + rank) == 9 + size);
  CHECK(team->broadcast("of " + std::to_string(rank), team->size() - 1) == "of " + std::to_string(size - 1));
  Team::Bytes own;
  put_text(own, std::string(rank * 100, 'x'));
  const auto all = team->collect(own);
  for (std::size_t r = 0; team->leads() && r < size; ++r)
    CHECK(TeamReader(all[r]).get_text() == std::string(r * 100, 'x'));
  CHECK_THROWS_AS(TeamReader(std::span(own).first(5)).get_text(), DataError);
  std::vector<std::span<const std::byte>> too_many(size + 1);
  CHECK_THROWS_AS(team->exchange(too_many), ArgumentError);
}

TEST_CASE("records are shuffled to the members that their buckets belong to", "[team]") {
  const auto team = team_of_world();
  // So small that most records go to the disk.
  ngram::SegmentPool pool(1 << 14, 64, {});
  constexpr std::size_t buckets = 7, width = 3;
  std::vector<ngram::RecordStore> stores;
  for (int i = 0; i < 2; ++i) stores.emplace_back(pool, width, buckets);
  const auto rank = static_cast<std::uint64_t>(team->rank());
  for (std::size_t s = 0; s < stores.size(); ++s) {
    ngram::RecordWriter writer(stores[s]);
    for (std::uint64_t i = 0; i < 20000; ++i) {
      std::uint64_t* const to = writer.add(i % buckets);
      to[0] = i;
      to[1] = s;
      to[2] = rank + 1;
    }
    writer.flush();
  }
  ngram::shuffle(stores, *team);
  CHECK(pool.spilled > 0);
  ngram::WordBuffer buffer;
  const auto members = static_cast<std::uint64_t>(team->size());
  for (std::size_t s = 0; s < stores.size(); ++s) {
    for (std::size_t b = 0; b < buckets; ++b) {
      const auto records = stores[s].take(b, buffer);
      if (ngram::owner_of(b, *team) != team->rank()) {
        CHECK(records.empty());
        continue;
      }
      std::vector<std::uint64_t> ranks(20000);
      for (std::size_t i = 0; i < records.size(); i += width) {
        REQUIRE(records[i] % buckets == b);
        REQUIRE(records[i + 1] == s);
        ranks.at(records[i]) += records[i + 2];
      }
      for (std::uint64_t i = 0; i < ranks.size(); ++i)
        REQUIRE(ranks[i] == (i % buckets == b ? members * (members + 1) / 2 : 0));
    }
  }
}

TEST_CASE("a team's model has the bits of one process's, for every method, order and bound of memory",
          "[team][ngram]") {
  const SharedText text(300);
  for (const NgramMethod method :
       {NgramMethod::maximum_likelihood, NgramMethod::add_k, NgramMethod::kneser_ney,
        NgramMethod::absolute_discounting, NgramMethod::witten_bell, NgramMethod::katz,
        NgramMethod::stupid_backoff}) {
    for (const int order : {1, 2, 3, 6})
      expect_same(text.path(), {.options = {.order = order, .method = method}});
    Case small{.options = {.order = 4, .method = method}};
    small.build.memory = 1 << 17;
    expect_same(text.path(), small);
  }
}

TEST_CASE("a team's model has the bits of one process's, for every vocabulary, unit, pruning and layout",
          "[team][ngram]") {
  const SharedText text(200);
  Case c{.options = {.order = 4}};
  c.build.prune = {0, 0, 1};
  expect_same(text.path(), c);
  c.storage = {.layout = NgramLayout::compact, .quantize = 5};
  expect_same(text.path(), c);
  c.reading.vocabulary = {.min_count = 3};
  expect_same(text.path(), c);
  c.reading.vocabulary = {.max_size = 40};
  expect_same(text.path() / "part3", c);
  c.reading.vocabulary = {};
  for (const Unit unit : {Unit::character, Unit::byte}) {
    c.reading.unit = unit;
    expect_same(text.path(), c);
  }
  c.reading.unit = Unit::word;
  std::vector<std::string_view> words{"w1", "w2", "w7", "</s>"};
  c.reading.known = Vocabulary::from_counts(Unit::word, words, std::vector<std::int64_t>(words.size(), 1));
  expect_same(text.path(), c);
  // Fewer lines than processes.
  Case few{.options = {.order = 2}};
  expect_same(text.path() / "part1a", few);
}

TEST_CASE("a build of little memory spills in every member, and says how much", "[team][ngram]") {
  const SharedText text(1500);
  Case c{.options = {.order = 5}};
  c.build.memory = 1 << 17;
  const auto team = team_of_world();
  const auto of_all = built(text.path(), c, team).second.temporary_bytes;
  CHECK(of_all > 1000);
  expect_same(text.path(), c);
}

TEST_CASE("where one member fails, all end and say why", "[team]") {
  const auto team = team_of_world();
  const int last = team->size() - 1;
  const auto result = distributed::work_together(
      *team, "same",
      [&](Team& all) {
        all.sum(1);
        if (all.rank() == last) fail<DataError>("there is no such text");
        all.sum(1);
        all.sum(1);
      },
      described);
  REQUIRE(result);
  CHECK(result->code == 7);
  CHECK_THAT(result->message, Contains("there is no such text"));
  if (last > 0) CHECK(result->message.starts_with(world().name(last) + ": "));

  // The same of all is said without a name, and the team goes on afterwards.
  const auto alike = distributed::work_together(
      *team, "same", [](Team&) { fail<DataError>("all see it"); }, described);
  REQUIRE(alike);
  CHECK(alike->message == "all see it");
  // What fails at the very end, too.
  const auto late = distributed::work_together(
      *team, "same",
      [&](Team& all) {
        all.sum(1);
        if (all.leads()) fail<DataError>("the disk is full");
      },
      described);
  REQUIRE(late);
  CHECK_THAT(late->message, Contains("the disk is full"));
  CHECK_FALSE(distributed::work_together(
      *team, "same", [](Team& all) { all.sum(1); }, described));
}

TEST_CASE("members refuse each other with other programs or options, and end together when interrupted",
          "[team]") {
  const auto team = team_of_world();
  if (team->alone()) return;
  const int last = team->size() - 1;
  bool worked = false;
  const auto result = distributed::work_together(
      *team, team->rank() == last ? "version 1\norder 4" : "version 1\norder 5",
      [&](Team& all) {
        all.sum(1);
        worked = true;
      },
      described);
  REQUIRE(result);
  CHECK_FALSE(worked);
  CHECK_THAT(result->message, Contains(world().name(last)) && Contains("'order 4'") && Contains("'order 5'"));

  ProcessTeam stopped(world(), [&] { return world().rank() == last ? 130 : 0; });
  const auto interrupted = distributed::work_together(
      stopped, "same", [](Team& all) { all.sum(1); }, described);
  REQUIRE(interrupted);
  CHECK(interrupted->code == 130);
}

TEST_CASE("bad text in the part of one member is named with its line, and leaves no model", "[team][ngram]") {
  const auto team = team_of_world();
  const Folder folder;
  std::string bad = random_text(3, 400) + "this is \xFF not UTF-8\n" + random_text(4, 3);
  if (team->leads()) folder.write("bad", bad);
  const std::filesystem::path path = team->broadcast((folder.path() / "bad").string());
  const auto result = distributed::work_together(
      *team, "same", [&](Team&) { static_cast<void>(built(path, {.options = {.order = 3}}, team)); },
      described);
  REQUIRE(result);
  CHECK_THAT(result->message, Contains("bad, line 401, byte 9: not valid UTF-8"));
  if (!team->alone()) CHECK_THAT(result->message, Contains(world().name(team->size() - 1)));
}
