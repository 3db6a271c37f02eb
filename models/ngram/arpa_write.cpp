#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cmath>
#include <optional>

#include "models/ngram/arpa.hpp"
#include "models/ngram/arpa_words.hpp"
#include "tensor/write_file.hpp"

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

/// The model as text, handed to write(piece) in pieces of some 64 KB.
template <class Write>
void write_text(const NgramModel& model, const Vocabulary& vocabulary, Write&& write) {
  const NgramDescription about = model.description();
  if (about.fallback != NgramFallback::shorter) {
    fail<ArgumentError>("an n-gram model of the method {} has no backoff form, which is all that ARPA holds",
                        about.method);
  }
  if (about.vocab != vocabulary.size())
    fail<ArgumentError>("an n-gram model over {} words to be written with a vocabulary of {}", about.vocab,
                        vocabulary.size());
  std::string out =
      fmt::format("{}\n# sentence end {}\n# method {}\n", arpa_head, about.sentence_end, about.method);
  const std::string listed = vocabulary.serialize();
  for (std::size_t from = 0; from < listed.size();) {
    const std::size_t end = listed.find('\n', from);
    out += "# ";
    out.append(listed, from, end + 1 - from);
    from = end + 1;
  }
  out += "\n\\data\\\n";
  const std::vector<std::int64_t> counts = model.counts();
  for (std::size_t n = 0; n < counts.size(); ++n) out += fmt::format("ngram {}={}\n", n + 1, counts[n]);
  std::vector<std::string> words;
  for (std::int32_t id = 0; id < about.vocab; ++id) words.push_back(spelled(vocabulary.symbol(id)));
  words.emplace_back("<s>");
  const double ln10 = std::log(10.0);
  const auto log10 = [&](double x) { return std::isinf(x) ? log_zero : x / ln10; };
  for (int order = 1; order <= about.order; ++order) {
    out += fmt::format("\n\\{}-grams:\n", order);
    model.visit_entries(order, [&](std::span<const std::int32_t> ngram, double log_prob, double backoff) {
      fmt::format_to(std::back_inserter(out), "{:.9g}\t", log10(log_prob));
      for (std::size_t i = 0; i < ngram.size(); ++i) {
        if (i > 0) out += ' ';
        out += words[static_cast<std::size_t>(ngram[i])];
      }
      if (order < about.order) fmt::format_to(std::back_inserter(out), "\t{:.9g}", log10(backoff));
      out += '\n';
      if (out.size() > std::size_t{1} << 16) {
        write(std::string_view(out));
        out.clear();
      }
    });
  }
  write(std::string_view(out + "\n\\end\\\n"));
}

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

void write_arpa(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary) {
  std::optional<FileReplacement> replacement;
  if (!is_special(file)) replacement.emplace(file);
  Output out(file,
             replacement ? ::dup(replacement->descriptor()) : ::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  write_text(model, vocabulary, [&](std::string_view piece) { out.write(piece); });
  out.close();
  if (replacement) replacement->commit();
}

std::string to_arpa(const NgramModel& model, const Vocabulary& vocabulary) {
  std::string out;
  write_text(model, vocabulary, [&](std::string_view piece) { out += piece; });
  return out;
}

}  // namespace gradus::models
