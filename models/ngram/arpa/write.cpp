#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cmath>
#include <optional>
#include <utility>

#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/arpa/lines.hpp"
#include "tensor/support/standard_output.hpp"
#include "tensor/support/write_file.hpp"
#include "text/text_check.hpp"

namespace gradus::models {

using namespace ngram;

namespace ngram {

namespace {

/// What separates words and lines in an ARPA file, for KenLM too, and the zero byte.
bool separates(unsigned char byte) {
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == 0;
}

/// Whether a text begins as an escape does, so that it must be escaped itself.
bool begins_as_escape(std::string_view text) {
  unsigned byte = 0;
  if (!text.starts_with("\\x") || text.size() < 4 || !to_number(text.substr(2, 2), byte, 16)) return false;
  return byte <= ' ' || byte == '<' || byte == '\\' || byte == 127;
}

/// How files were spelled that older versions wrote: every backslash and every control character escaped.
std::string spelled_before(const std::string& symbol) {
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

}  // namespace

std::string spelled(const std::string& symbol) {
  if (symbol == "<s>") return "\\x3cs>";
  std::string out;
  for (std::size_t at = 0; at < symbol.size(); ++at) {
    const auto byte = static_cast<unsigned char>(symbol[at]);
    if (separates(byte) || begins_as_escape(std::string_view(symbol).substr(at))) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += symbol[at];
    }
  }
  return out;
}

WordIds own_words(const Vocabulary& vocabulary) {
  WordIds out;
  const auto size = static_cast<std::int32_t>(vocabulary.size());
  for (std::int32_t id = 0; id < size; ++id) out.add(spelled(vocabulary.symbol(id)), id);
  out.add("<s>", size);
  // Where the two differ, the earlier spelling is that of no other symbol.
  for (std::int32_t id = 0; id < size; ++id) {
    if (vocabulary.symbol(id) != "<s>") out.add(spelled_before(vocabulary.symbol(id)), id);
  }
  return out;
}

}  // namespace ngram

namespace {

/// A gzip file, or a plain one through the same calls, on a descriptor of its own.
class Output {
 public:
  Output(const std::filesystem::path& path, int descriptor) : path_(path) {
    if (descriptor >= 0) file_.reset(gzdopen(descriptor, path.extension() == ".gz" ? "wb6" : "wbT"));
    if (!file_) {
      if (descriptor >= 0) ::close(descriptor);
      failed();
    }
    gzbuffer(file_.get(), 1 << 18);
  }
  void write(std::string_view bytes) {
    if (gzwrite(file_.get(), bytes.data(), static_cast<unsigned>(bytes.size())) == 0) failed();
  }
  void close() {
    if (gzclose(file_.release()) != Z_OK) failed();
  }

 private:
  [[noreturn]] void failed() const {
    const int error = errno;
    fail<DataError>("{}: cannot be written: {}; {}", path_.string(), std::strerror(error),
                    error == ENOSPC ? "free some space" : "choose another place");
  }
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace

struct ArpaWriter::Parts {
  const Vocabulary& vocabulary;
  std::filesystem::path file{};  // empty: the text stays in memory
  std::string buffer{};          // text that is not in the file yet
  std::string* text = &buffer;   // where text is added
  int highest = 0, order = 0;
  std::vector<std::int64_t> counts{};
  std::vector<std::string> words{};  // by id
  std::optional<FileReplacement> replacement{};
  std::optional<Output> out{};

  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    // Not by format_to: clang gives it another name than g++, which the system's libfmt is built with.
    *text += fmt::format(format, std::forward<Args>(args)...);
  }
  void flush() {
    out->write(buffer);
    buffer.clear();
  }
  static double log10(float x) {
    static const double ln10 = std::log(10.0);
    return std::isinf(x) ? log_zero : static_cast<double>(x) / ln10;
  }
};

ArpaWriter::ArpaWriter(const std::filesystem::path& file, const Vocabulary& vocabulary)
    : parts_(new Parts{.vocabulary = vocabulary, .file = file}) {}

ArpaWriter::ArpaWriter(std::string& text, const Vocabulary& vocabulary)
    : parts_(new Parts{.vocabulary = vocabulary, .text = &text}) {}

ArpaWriter::~ArpaWriter() = default;

void ArpaWriter::describe(const NgramDescription& about) {
  Parts& p = *parts_;
  if (about.fallback != NgramFallback::shorter) {
    fail<ArgumentError>("an n-gram model of the method {} has no backoff form, which is all that ARPA holds",
                        about.method);
  }
  if (about.vocab != p.vocabulary.size())
    fail<ArgumentError>("an n-gram model over {} words to be written with a vocabulary of {}", about.vocab,
                        p.vocabulary.size());
  for (std::int32_t id = 0; id < about.vocab; ++id) {
    const std::string& symbol = p.vocabulary.symbol(id);
    if (p.vocabulary.id(symbol) != id) {
      fail<ArgumentError>(
          "the ids {} and {} are both spelled '{}', which ARPA cannot tell apart; write a binary file",
          p.vocabulary.id(symbol), id, symbol);
    }
  }
  p.highest = about.order;
  p.add("{}\n# sentence end {}\n# method {}\n", arpa_head, about.sentence_end, about.method);
  const std::string listed = p.vocabulary.serialize();
  for (std::size_t from = 0; from < listed.size();) {
    const std::size_t end = listed.find('\n', from);
    p.add("# {}", std::string_view(listed).substr(from, end + 1 - from));
    from = end + 1;
  }
  for (std::int32_t id = 0; id < about.vocab; ++id) p.words.push_back(spelled(p.vocabulary.symbol(id)));
  p.words.emplace_back("<s>");
  if (p.file.empty()) return;
  if (is_standard_output(p.file)) {
    p.out.emplace("the standard output", ::dup(STDOUT_FILENO));
    return;
  }
  if (!is_special(p.file)) p.replacement.emplace(p.file);
  p.out.emplace(p.file, p.replacement ? ::dup(p.replacement->descriptor())
                                      : ::open(p.file.c_str(), O_WRONLY | O_CLOEXEC));
}

void ArpaWriter::expect(std::span<const std::int64_t> counts) {
  parts_->counts.assign(counts.begin(), counts.end());
  parts_->add("\n\\data\\\n");
  for (std::size_t n = 0; n < counts.size(); ++n) parts_->add("ngram {}={}\n", n + 1, counts[n]);
}

void ArpaWriter::begin_order(int order, std::int64_t count) {
  Parts& p = *parts_;
  if (p.counts.size() != static_cast<std::size_t>(p.highest) || order < 1 || order > p.highest ||
      p.counts[static_cast<std::size_t>(order - 1)] != count) {
    fail<ArgumentError>("an ARPA file of {} {}-grams, whose number was to be told before the first of all",
                        count, order);
  }
  p.order = order;
  p.add("\n\\{}-grams:\n", order);
}

void ArpaWriter::add(std::span<const std::int32_t> ngram, float log_prob, float backoff) {
  Parts& p = *parts_;
  p.add("{:.9g}\t", Parts::log10(log_prob));
  for (std::size_t i = 0; i < ngram.size(); ++i) {
    if (i > 0) *p.text += ' ';
    *p.text += p.words[static_cast<std::size_t>(ngram[i])];
  }
  if (p.order < p.highest) p.add("\t{:.9g}", Parts::log10(backoff));
  *p.text += '\n';
  if (p.buffer.size() > std::size_t{1} << 16) p.flush();
}

void ArpaWriter::finish() {
  Parts& p = *parts_;
  p.add("\n\\end\\\n");
  if (!p.out) return;
  p.flush();
  p.out->close();
  if (p.replacement) p.replacement->commit();
}

void write_arpa(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary) {
  ArpaWriter writer(file, vocabulary);
  model.write_to(writer);
}

std::string to_arpa(const NgramModel& model, const Vocabulary& vocabulary) {
  std::string text;
  ArpaWriter writer(text, vocabulary);
  model.write_to(writer);
  return text;
}

}  // namespace gradus::models
