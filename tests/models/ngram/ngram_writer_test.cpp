#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/estimate/estimate.hpp"
#include "models/ngram/estimate/text_source.hpp"
#include "models/ngram/store/compact_layout.hpp"
#include "models/ngram/store/fast_builder.hpp"
#include "models/ngram/store/writer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using namespace gradus;
using namespace gradus::models;

// Models whose files are larger than the part that may be in memory at a time.

namespace {

constexpr std::int32_t vocab = 20'000, continued = 70;

Vocabulary numbered() {
  std::vector<std::string> symbols{"</s>"};
  for (std::int32_t i = 1; i < vocab - 1; ++i) symbols.push_back("w" + std::to_string(i));
  const std::vector<std::string_view> views(symbols.begin(), symbols.end());
  return Vocabulary::from_counts(Unit::word, views, std::vector<std::int64_t>(views.size(), 1));
}

/// A model where `continued` words follow each word, and as many follow one of these bigrams.
void write_large(NgramSink& sink, std::int32_t end) {
  const auto log_prob = [](std::int32_t i) { return -1 - static_cast<float>(i % 997) / 100; };
  sink.describe({.order = 3, .vocab = vocab, .sentence_end = end, .method = "made up"});
  sink.begin_order(1, vocab + 1);
  for (std::int32_t i = 0; i <= vocab; ++i) sink.add(std::vector{i}, log_prob(i), -0.5F);
  const std::int32_t step = vocab / continued;
  sink.begin_order(2, std::int64_t{vocab} * continued);
  for (std::int32_t i = 0; i < vocab; ++i) {
    for (std::int32_t j = 0; j < continued; ++j)
      sink.add(std::vector{i, j * step + i % step}, log_prob(i + j), -0.25F * static_cast<float>(j % 5));
  }
  sink.begin_order(3, std::int64_t{vocab} * continued);
  for (std::int32_t i = 0; i < vocab; ++i) {
    for (std::int32_t j = 0; j < continued; ++j)
      sink.add(std::vector{i, i % step, j * step + 1}, log_prob(2 * i + j), 0);
  }
  sink.finish();
}

/// A sink that builds an image in memory.
class InMemory : public NgramSink {
 public:
  InMemory(const Vocabulary& vocabulary, NgramStorage storage)
      : text_(vocabulary.serialize()), storage_(storage) {}

  void describe(const NgramDescription& about) override {
    about_ = about;
    begin(image_, NgramLayout::fast);
    builder_.emplace(image_);
  }
  void begin_order(int order, std::int64_t count) override { builder_->begin_order(order, count); }
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) override {
    builder_->add(ngram, log_prob, backoff);
  }
  void finish() override {
    builder_->finish();
    ngram::Mapping mapping = image_.finish();
    if (storage_.layout == NgramLayout::compact) {
      const ngram::Image fast(std::move(mapping), "in memory");
      ngram::ImageWriter compact{ngram::Mapping::memory()};
      begin(compact, NgramLayout::compact);
      ngram::write_compact(fast, compact, storage_.quantize);
      mapping = compact.finish();
    }
    const auto made = mapping.bytes();
    bytes.assign(reinterpret_cast<const char*>(made.data()), made.size());
  }
  std::string bytes;

 private:
  void begin(ngram::ImageWriter& image, NgramLayout layout) const {
    image.describe(about_, layout);
    const auto to = image.add<char>(text_.size(), ngram::Part::vocabulary);
    std::copy(text_.begin(), text_.end(), to.begin());
  }
  std::string text_;
  NgramStorage storage_;
  NgramDescription about_;
  ngram::ImageWriter image_{ngram::Mapping::memory()};
  std::optional<ngram::FastBuilder> builder_;
};

/// The MB of mapped files that are in memory; -1 where the system does not say.
double mapped_files() {
  std::ifstream status("/proc/self/status");
  for (std::string line, name; std::getline(status, line);) {
    double kilobytes = 0;
    if (std::istringstream words(line); words >> name >> kilobytes && name == "RssFile:")
      return kilobytes / 1024;
  }
  return -1;
}

/// The maximum of mapped_files() while work() runs, minus its value before.
template <class Work>
double most_mapped(Work&& work) {
  const double before = mapped_files();
  std::atomic<bool> done = false;
  double most = before;
  std::thread watch([&] {
    while (!done) {
      most = std::max(most, mapped_files());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  work();
  done = true;
  watch.join();
  return most - before;
}

}  // namespace

TEST_CASE("an image that holds more n-grams than it names is not made compact", "[ngram]") {
  ngram::ImageWriter image{ngram::Mapping::memory()}, compact{ngram::Mapping::memory()};
  const NgramDescription about{.order = 2, .vocab = 2, .sentence_end = 0, .method = "made up"};
  image.describe(about, NgramLayout::fast);
  compact.describe(about, NgramLayout::compact);
  ngram::FastBuilder builder(image);
  builder.begin_order(1, 3);
  for (std::int32_t i = 0; i < 3; ++i) builder.add(std::vector{i}, -1, 0);
  builder.begin_order(2, 2);
  for (std::int32_t i = 0; i < 2; ++i) builder.add(std::vector{1, i}, -1, 0);
  builder.finish();
  image.header().level(2).count = 1;
  CHECK_THROWS_WITH(
      [&] {
        const ngram::Image fast(image.finish(), "a model");
        ngram::write_compact(fast, compact, 0);
      }(),
      Catch::Contains("more 2-grams than the 1 it names"));
}

TEST_CASE("a model's file is written a few MB at a time, with the bytes it has in memory", "[ngram]") {
  const test::Folder folder;
  const Vocabulary words = numbered();
  REQUIRE(words.size() == vocab);
  for (const NgramStorage storage :
       {NgramStorage{}, NgramStorage{NgramLayout::compact, 0}, NgramStorage{NgramLayout::compact, 8}}) {
    INFO("layout " << static_cast<int>(storage.layout) << ", " << storage.quantize << " bits");
    InMemory expected(words, storage);
    write_large(expected, words.line_end());
    const auto file = folder.path() / "model";
    const double most = most_mapped([&] {
      NgramWriter writer(file, words, storage);
      write_large(writer, words.line_end());
    });
    // The fast layout takes over 30 MB, in a temporary file when the model is compact.
    if (mapped_files() >= 0) CHECK(most < 20);
    const std::string written = test::read_bytes(file);
    CHECK(written.size() == expected.bytes.size());
    CHECK((written == expected.bytes));
    CHECK_NOTHROW(NgramModel::open(file).verify());
  }
}

TEST_CASE("an ARPA file is written as a model is estimated", "[ngram][estimate]") {
  const test::Folder folder;
  const auto text = folder.write("text", "the cat sat\nthe dog sat\na cat\nthe cat ran and ran\n");
  ngram::TextSource source(text, {});
  const auto made = folder.path() / "made.arpa", written = folder.path() / "written.arpa";
  // The vocabulary is known once the text has been read.
  std::optional<ArpaWriter> made_writer;
  ngram::estimate(source, {.order = 3, .method = NgramMethod::witten_bell}, {},
                  [&]() -> NgramSink& { return made_writer.emplace(made, source.vocabulary()); });

  const ArpaFile read(made);
  NgramWriter writer;
  read.write_to(writer);
  const NgramModel model = writer.model();
  CHECK(model.counts() == read.counts());
  write_arpa(written, model, read.vocabulary());
  CHECK(test::read_bytes(made) == to_arpa(model, read.vocabulary()));
  CHECK(test::read_bytes(written) == to_arpa(model, read.vocabulary()));
}

TEST_CASE("an ARPA file begins with its counts, and appears whole or not at all", "[ngram]") {
  const test::Folder folder;
  const Vocabulary words = Vocabulary::from_counts(Unit::word, std::vector<std::string_view>{"</s>", "a"},
                                                   std::vector<std::int64_t>{1, 1});
  const NgramDescription about{.order = 1,
                               .vocab = static_cast<std::int32_t>(words.size()),
                               .sentence_end = words.line_end(),
                               .method = "made up"};
  const std::vector<std::int64_t> counts{words.size() + 1};
  const auto file = folder.path() / "model.arpa";
  {
    ArpaWriter writer(file, words);
    writer.describe(about);
    CHECK_THROWS_AS(writer.begin_order(1, counts[0]), ArgumentError);
  }
  {
    ArpaWriter writer(file, words);
    writer.describe(about);
    writer.expect(counts);
    CHECK_THROWS_AS(writer.begin_order(1, counts[0] + 1), ArgumentError);
    writer.begin_order(1, counts[0]);
    writer.add(std::vector{0}, -1, 0);
  }
  CHECK(folder.files() == 0);
  NgramDescription other = about;
  other.fallback = NgramFallback::uniform;
  CHECK_THROWS_AS(ArpaWriter(file, words).describe(other), ArgumentError);
  other = about;
  ++other.vocab;
  CHECK_THROWS_AS(ArpaWriter(file, words).describe(other), ArgumentError);
  CHECK(folder.files() == 0);
}

TEST_CASE("a writer refuses what is no description of a model", "[ngram]") {
  const test::Folder folder;
  const Vocabulary words = Vocabulary::build(Unit::word, "a b\n");  // <unk>, a, b, </s>
  const NgramDescription about{.order = 2, .vocab = 4, .sentence_end = words.line_end(), .method = "made up"};
  REQUIRE(words.size() == 4);
  const auto refused = [&](const auto& change, const std::string& text) {
    NgramDescription other = about;
    change(other);
    CHECK_THROWS_WITH(NgramWriter(folder.path() / "m", words, {}).describe(other), Catch::Contains(text));
    CHECK_THROWS_AS(NgramWriter(folder.path() / "m", words, {}).describe(other), ArgumentError);
  };
  const std::string limits = ": orders are 1 to ";
  refused([](NgramDescription& d) { d.order = 0; }, "an n-gram model of order 0 over 4 words");
  refused([](NgramDescription& d) { d.order = 21; }, limits);
  refused([](NgramDescription& d) { d.vocab = 0; }, limits);
  refused([](NgramDescription& d) { d.sentence_end = 4; }, "with the sentence end 4" + limits);
  refused([](NgramDescription& d) { d.sentence_end = -2; }, "with the sentence end -2" + limits);
  refused([](NgramDescription& d) { d.discounts.resize(3); },
          "an n-gram model of order 2 with the discounts of 3 orders, each of at most 255");
  refused([](NgramDescription& d) { d.discounts = {{std::vector<double>(256, 0.5)}}; },
          "with the discounts of 1 orders, each of at most 255");
  for (const std::int32_t word : {-2, 4}) {
    refused([&](NgramDescription& d) { d.options = NgramOptions{.order = 2, .impossible = word}; },
            fmt::format("the unknown word {} is not in 0..3", word));
  }
  refused([](NgramDescription& d) { d.vocab = 5; },
          "an n-gram model over 5 words to be written with a vocabulary of 4");
  CHECK(folder.files() == 0);
  NgramWriter(folder.path() / "m", words, {}).describe(about);
  CHECK(folder.files() == 0);  // nothing is left of one that was not finished
}
