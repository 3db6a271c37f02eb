#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cmath>
#include <optional>
#include <utility>

#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/arpa/words.hpp"
#include "tensor/support/write_file.hpp"

namespace gradus::models {

using namespace ngram;

namespace ngram {

std::string spelled(const std::string& symbol) {
  if (symbol == "<s>") return "\\x3cs>";
  std::string out;
  for (const char c : symbol) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 127 || c == '\\') {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

WordIds own_words(const Vocabulary& vocabulary) {
  WordIds out;
  const auto size = static_cast<std::int32_t>(vocabulary.size());
  for (std::int32_t id = 0; id < size; ++id) out.add(spelled(vocabulary.symbol(id)), id);
  out.add("<s>", size);
  return out;
}

}  // namespace ngram

namespace {

/// A model as text, which whoever has it takes away as it comes.
class ArpaText {
 public:
  explicit ArpaText(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  void describe(const NgramDescription& about) {
    if (about.fallback != NgramFallback::shorter) {
      fail<ArgumentError>(
          "an n-gram model of the method {} has no backoff form, which is all that ARPA holds", about.method);
    }
    if (about.vocab != vocabulary_.size())
      fail<ArgumentError>("an n-gram model over {} words to be written with a vocabulary of {}", about.vocab,
                          vocabulary_.size());
    highest_ = about.order;
    text = fmt::format("{}\n# sentence end {}\n# method {}\n", arpa_head, about.sentence_end, about.method);
    const std::string listed = vocabulary_.serialize();
    for (std::size_t from = 0; from < listed.size();) {
      const std::size_t end = listed.find('\n', from);
      text += "# ";
      text.append(listed, from, end + 1 - from);
      from = end + 1;
    }
    for (std::int32_t id = 0; id < about.vocab; ++id) words_.push_back(spelled(vocabulary_.symbol(id)));
    words_.emplace_back("<s>");
  }
  void expect(std::span<const std::int64_t> counts) {
    counts_.assign(counts.begin(), counts.end());
    text += "\n\\data\\\n";
    for (std::size_t n = 0; n < counts.size(); ++n) text += fmt::format("ngram {}={}\n", n + 1, counts[n]);
  }
  void begin_order(int order, std::int64_t count) {
    if (counts_.size() != static_cast<std::size_t>(highest_) || order < 1 || order > highest_ ||
        counts_[static_cast<std::size_t>(order - 1)] != count) {
      fail<ArgumentError>("an ARPA file of {} {}-grams, whose number was to be told before the first of all",
                          count, order);
    }
    order_ = order;
    text += fmt::format("\n\\{}-grams:\n", order);
  }
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) {
    fmt::format_to(std::back_inserter(text), "{:.9g}\t", log10(log_prob));
    for (std::size_t i = 0; i < ngram.size(); ++i) {
      if (i > 0) text += ' ';
      text += words_[static_cast<std::size_t>(ngram[i])];
    }
    if (order_ < highest_) fmt::format_to(std::back_inserter(text), "\t{:.9g}", log10(backoff));
    text += '\n';
  }
  void finish() { text += "\n\\end\\\n"; }

  std::string text;  // to be handed on

 private:
  static double log10(float x) {
    static const double ln10 = std::log(10.0);
    return std::isinf(x) ? log_zero : static_cast<double>(x) / ln10;
  }
  const Vocabulary& vocabulary_;
  int highest_ = 0, order_ = 0;
  std::vector<std::int64_t> counts_;
  std::vector<std::string> words_;  // by id
};

/// Keeps the text.
class TextSink : public NgramSink {
 public:
  explicit TextSink(const Vocabulary& vocabulary) : arpa(vocabulary) {}
  void describe(const NgramDescription& about) override { arpa.describe(about); }
  void expect(std::span<const std::int64_t> counts) override { arpa.expect(counts); }
  void begin_order(int order, std::int64_t count) override { arpa.begin_order(order, count); }
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) override {
    arpa.add(ngram, log_prob, backoff);
  }
  void finish() override { arpa.finish(); }
  ArpaText arpa;
};

/// A gzip file, or a plain one through the same calls, on a descriptor of its own.
class Output {
 public:
  Output(const std::filesystem::path& path, int descriptor) : path_(path) {
    if (descriptor >= 0) file_ = gzdopen(descriptor, path.extension() == ".gz" ? "wb6" : "wbT");
    if (file_ == nullptr) {
      if (descriptor >= 0) ::close(descriptor);
      failed();
    }
    gzbuffer(file_, 1 << 18);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() {
    if (file_ != nullptr) gzclose(file_);
  }
  void write(std::string_view bytes) {
    if (gzwrite(file_, bytes.data(), static_cast<unsigned>(bytes.size())) == 0) failed();
  }
  void close() {
    const int error = gzclose(file_);
    file_ = nullptr;
    if (error != Z_OK) failed();
  }

 private:
  [[noreturn]] void failed() const {
    const int error = errno;
    fail<DataError>("{}: cannot be written: {}; {}", path_.string(), std::strerror(error),
                    error == ENOSPC ? "free some space" : "choose another place");
  }
  std::filesystem::path path_;
  gzFile file_ = nullptr;
};

}  // namespace

struct ArpaWriter::Parts {
  std::filesystem::path file;
  ArpaText arpa;
  std::optional<FileReplacement> replacement;
  std::optional<Output> out;

  void hand_on() {
    out->write(arpa.text);
    arpa.text.clear();
  }
};

ArpaWriter::ArpaWriter(const std::filesystem::path& file, const Vocabulary& vocabulary)
    : parts_(new Parts{file, ArpaText(vocabulary), {}, {}}) {}

ArpaWriter::~ArpaWriter() = default;

void ArpaWriter::describe(const NgramDescription& description) {
  Parts& p = *parts_;
  p.arpa.describe(description);
  if (!is_special(p.file)) p.replacement.emplace(p.file);
  p.out.emplace(p.file, p.replacement ? ::dup(p.replacement->descriptor())
                                      : ::open(p.file.c_str(), O_WRONLY | O_CLOEXEC));
}

void ArpaWriter::expect(std::span<const std::int64_t> counts) {
  parts_->arpa.expect(counts);
}

void ArpaWriter::begin_order(int order, std::int64_t count) {
  parts_->arpa.begin_order(order, count);
}

void ArpaWriter::add(std::span<const std::int32_t> ngram, float log_prob, float backoff) {
  parts_->arpa.add(ngram, log_prob, backoff);
  if (parts_->arpa.text.size() > std::size_t{1} << 16) parts_->hand_on();
}

void ArpaWriter::finish() {
  Parts& p = *parts_;
  p.arpa.finish();
  p.hand_on();
  p.out->close();
  if (p.replacement) p.replacement->commit();
}

void write_arpa(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary) {
  ArpaWriter writer(file, vocabulary);
  model.write_to(writer);
}

std::string to_arpa(const NgramModel& model, const Vocabulary& vocabulary) {
  TextSink sink(vocabulary);
  model.write_to(sink);
  return std::move(sink.arpa.text);
}

}  // namespace gradus::models
