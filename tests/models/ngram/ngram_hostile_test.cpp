#include "tests/models/ngram/ngram_hostile.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using namespace gradus;
using gradus::test::reseal;
using gradus::test::Survival;
using gradus::test::survives;

// Thousands of files that are damaged on purpose. Anything may come of them except a crash, an endless loop,
// or an error that is not ours. Work that is linear in the size of the file cannot be endless.

namespace {

using test::Header;
using test::Section;

template <class T>
void put(std::string& bytes, std::size_t at, T value) {
  if (at + sizeof value <= bytes.size()) std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// Numbers at or near limits.
std::uint64_t edge(Rng& rng) {
  constexpr std::uint64_t one = 1;
  switch (rng.below(6)) {
    case 0:
      return rng.below(9);
    case 1:
      return (one << rng.below(64)) - rng.below(2);
    case 2:
      return std::numeric_limits<std::uint64_t>::max() - rng.below(3);
    case 3:
      return 64 * rng.below(2000);
    default:
      return rng.below(one << (1 + rng.below(20)));
  }
}

float odd_float(Rng& rng) {
  const float all[] = {NAN, INFINITY, -INFINITY, 0, 1, -1e30f, 3e38f, -1e-40f};
  return all[rng.below(8)];
}

/// A part of a random section that is not empty; of the header if there is none.
std::pair<std::size_t, std::size_t> some_section(const std::string& bytes, Rng& rng) {
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::vector<std::pair<std::size_t, std::size_t>> found;
  for (const Section* section : test::sections(header)) {
    if (section->size > 0 && section->offset < bytes.size() &&
        section->size <= bytes.size() - section->offset)
      found.emplace_back(section->offset, section->size);
  }
  if (found.empty()) return {0, sizeof header};
  return found[rng.below(found.size())];
}

/// One number of the header that describes the model.
void damage_header(std::string& bytes, Rng& rng) {
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  const std::uint64_t value = edge(rng);
  auto& level =
      header.levels[rng.below(rng.below(4) == 0 ? models::ngram::max_order : header.order % 21 + 1) %
                    models::ngram::max_order];
  const std::vector<Section*> all = test::sections(header);
  Section& section = *all[rng.below(all.size())];
  switch (rng.below(15)) {
    case 0:
      header.order = static_cast<std::uint32_t>(rng.below(23));
      break;
    case 1:
      header.vocab = static_cast<std::int32_t>(value);
      header.levels[0].count = (value & 0x7FFFFFFF) + 1;
      break;
    case 2:
      header.sentence_end = static_cast<std::int32_t>(rng.below(100)) - 1;
      break;
    case 3:
      header.fallback = static_cast<std::uint32_t>(rng.below(4));
      break;
    case 4:
      header.layout = static_cast<std::uint32_t>(rng.below(3));
      break;
    case 5:
      level.count = value;
      break;
    case 6:
      level.count += rng.below(2) == 0 ? 1 : ~std::uint64_t{0};
      break;
    case 7:
      level.log_prob_bits = static_cast<std::uint8_t>(rng.below(40));
      break;
    case 8:
      level.backoff_bits = static_cast<std::uint8_t>(rng.below(40));
      break;
    case 9:
      section.offset = rng.below(2) == 0 ? value : all[rng.below(all.size())]->offset;
      break;
    case 10:
      section.size = rng.below(2) == 0 ? value : section.size / 2;
      break;
    case 11:
      level.discounts = static_cast<std::uint8_t>(rng.below(256));
      header.part(models::ngram::Part::discounts).size = 8 * rng.below(20);
      break;
    case 12:
      header.method = static_cast<std::uint32_t>(rng.below(9));
      header.estimated = static_cast<std::uint32_t>(rng.below(3));
      break;
    case 13:
      header.impossible = static_cast<std::int32_t>(value);
      header.katz_cutoff = static_cast<std::int32_t>(edge(rng));
      header.add = static_cast<double>(odd_float(rng));
      break;
    default:
      std::swap(section, *all[rng.below(all.size())]);
  }
  std::memcpy(bytes.data(), &header, sizeof header);
}

void damage(std::string& bytes, const std::string& other, Rng& rng) {
  const auto [begin, size] = some_section(bytes, rng);
  const std::size_t at = begin + rng.below(size), word = begin + rng.below(size) / 4 * 4;
  switch (rng.below(9)) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.below(8)));
      break;
    case 1:
      put(bytes, word, static_cast<std::uint32_t>(edge(rng)));
      break;
    case 2:
      put(bytes, word, odd_float(rng));
      break;
    case 3:
      damage_header(bytes, rng);
      break;
    case 4: {  // bytes of another file
      const std::size_t from = rng.below(other.size());
      const std::size_t length =
          std::min({std::size_t{1} << rng.below(12), other.size() - from, bytes.size() - at});
      bytes.replace(at, length, other, from, length);
      break;
    }
    case 5: {  // its own bytes in another place
      const std::size_t from = begin + rng.below(size) / 16 * 16, to = begin + rng.below(size) / 16 * 16;
      const std::size_t length =
          std::min({std::size_t{16} << rng.below(7), begin + size - from, begin + size - to});
      bytes.replace(to, length, bytes.substr(from, length));
      break;
    }
    case 6:  // all of one number
      for (std::size_t i = 0, to = std::min(size / 4, rng.below(600)); i < to; ++i)
        put(bytes, begin + 4 * i, static_cast<std::uint32_t>(rng.below(2) * 0xFFFFFFFF));
      break;
    case 7:
      for (std::size_t i = 0; i < 8; ++i)
        put(bytes, begin + rng.below(size) / 4 * 4, static_cast<std::uint32_t>(edge(rng)));
      break;
    default:
      if (rng.below(4) == 0) bytes.resize(sizeof(Header) + rng.below(bytes.size() - sizeof(Header)));
      put(bytes, at, static_cast<std::uint16_t>(edge(rng)));
  }
}

/// Inconsistent ARPA lines, which random changes of bytes seldom make.
std::string damaged_arpa(const std::string& from, const std::string& other, Rng& rng) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < from.size();) {
    const std::size_t end = std::min(from.find('\n', at), from.size() - 1);
    lines.push_back(from.substr(at, end + 1 - at));
    at = end + 1;
  }
  for (std::uint64_t changes = 1 + rng.below(3); changes > 0; --changes) {
    const std::size_t at = rng.below(lines.size()), to = rng.below(lines.size());
    const auto set_count = [&](std::uint64_t count) {
      for (std::string& line : lines) {
        if (line.starts_with("ngram ") && rng.below(2) == 0)
          line = line.substr(0, line.find('=') + 1) + std::to_string(count) + "\n";
      }
    };
    switch (rng.below(9)) {
      case 0:
        lines[at] = lines[to];
        break;
      case 1:
        lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 2:
        std::swap(lines[at], lines[to]);
        break;
      case 3:
        set_count(edge(rng));
        break;
      case 4: {
        const std::size_t begin = rng.below(other.size());
        lines[at] += other.substr(begin, rng.below(300));
        break;
      }
      case 5: {  // a number of the line
        const char* const numbers[] = {"0",    "-99", "-0",    "38.5", "-1e38", "1e-7",
                                       "-inf", "nan", "0x1p3", "+1",   "",      "1e400"};
        const std::size_t tab = lines[at].rfind('\t');
        if (tab == std::string::npos) break;
        lines[at] = rng.below(2) == 0 ? numbers[rng.below(12)] + lines[at].substr(lines[at].find('\t'))
                                      : lines[at].substr(0, tab + 1) + numbers[rng.below(12)] + "\n";
        break;
      }
      case 6: {  // a word of the line, taken from another
        const std::size_t space = lines[at].find(' '), their = lines[to].find(' ');
        if (space != std::string::npos && their != std::string::npos)
          lines[at] = lines[at].substr(0, space) + lines[to].substr(their);
        break;
      }
      case 7: {
        std::string& line = lines[at];
        line[rng.below(line.size())] = static_cast<char>(rng.below(256));
        break;
      }
      default:
        if (rng.below(3) == 0) lines.resize(1 + at);
    }
    if (lines.empty()) return {};
  }
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}

}  // namespace

TEST_CASE("undamaged n-gram files pass everything that is done with them", "[hostile][ngram]") {
  for (const std::string& file : test::sound_files(90, 900)) {
    const Survival survival = survives(file);
    CHECK(survival.opened);
    CHECK(survival.sound);
    std::string same = file;
    reseal(same);
    CHECK(same == file);
  }
  for (const std::string& file : test::sound_arpa(90, 900)) CHECK(survives(file).sound);
}

TEST_CASE("hostile binary n-gram files give errors of ours or answers", "[hostile][ngram]") {
  std::vector<std::string> files = test::sound_files(90, 900);
  for (std::string& file : test::sound_files(6, 60)) files.push_back(std::move(file));
  Rng rng(11);
  int opened = 0, sound = 0, sealed = 0, sealed_sound = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t chosen = rng.below(files.size());
    std::string bytes = files[chosen];
    for (std::uint64_t changes = 1 + rng.below(3); changes > 0; --changes)
      damage(bytes, files[rng.below(files.size())], rng);
    const bool seal = rng.below(8) > 0;
    if (seal) reseal(bytes);
    INFO("file " << i << ", from " << chosen);
    const Survival survival = survives(bytes);
    opened += survival.opened;
    sound += survival.sound;
    sealed += seal && survival.opened;
    sealed_sound += seal && survival.sound;
    if (!seal && bytes != files[chosen]) CHECK_FALSE(survival.sound);
  }
  INFO(opened << " opened, " << sound << " sound, " << sealed << " opened with right checksums, of which "
              << sealed_sound << " sound");
  // In enough files the damage reached the numbers inside, and verify() found most of it.
  CHECK(sealed > 1000);
  CHECK(sealed_sound < sealed / 2);
}

TEST_CASE("hostile ARPA files give errors of ours or answers", "[hostile][arpa]") {
  const std::vector<std::string> files = test::sound_arpa(12, 150);
  Rng rng(12);
  int opened = 0;
  for (int i = 0; i < 1000; ++i) {
    INFO("file " << i);
    opened +=
        survives(damaged_arpa(files[rng.below(files.size())], files[rng.below(files.size())], rng)).opened;
  }
  CHECK(opened > 50);
  CHECK(opened < 900);
}

TEST_CASE("verify names places that are claimed twice or wrong", "[hostile][ngram]") {
  using models::ngram::LevelPart;
  const auto refusal = [](const models::NgramStorage& storage, LevelPart part, auto&& change) {
    const Vocabulary vocabulary = Vocabulary::build(Unit::word, test::words_text(90));
    const test::Folder folder;
    models::NgramWriter writer(folder.path() / "m", vocabulary, storage);
    test::random_ngrams(5,
                        {.order = 3,
                         .vocab = static_cast<std::int32_t>(vocabulary.size()),
                         .sentence_end = vocabulary.line_end(),
                         .method = "random"},
                        3000)
        .write_to(writer);
    std::string bytes = test::read_bytes(folder.path() / "m");
    Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    change(bytes.data() + header.part(part == LevelPart::child_bits ? 2 : 1, part).offset);
    reseal(bytes);
    const models::NgramModel model = models::NgramModel::open(folder.write("damaged", bytes));
    try {
      model.verify();
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  const models::NgramStorage fast{}, compact{models::NgramLayout::compact, 0};
  CHECK_THAT(refusal(fast, LevelPart::entries,
                     [](char* entries) { std::memcpy(entries + 16 * 60, entries + 16 * 61, 16); }),
             Catch::Contains("claimed twice"));
  CHECK_THAT(refusal(fast, LevelPart::masses, [](char* masses) { masses[7] ^= 1; }),
             Catch::Contains("wrong sums of probabilities"));
  CHECK_THAT(refusal(compact, LevelPart::child_samples, [](char* samples) { samples[4 * 60 + 1] ^= 0x10; }),
             Catch::Contains("continuations"));
  CHECK_THAT(refusal(compact, LevelPart::child_bits, [](char* bits) { std::fill_n(bits + 8, 8, '\xFF'); }),
             Catch::Contains("wrong places of the continuations"));
}
