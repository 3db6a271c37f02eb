#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/ngram/ngram.hpp"
#include "models/ngram/sink.hpp"
#include "text/vocabulary.hpp"

/// n-gram models as ARPA text (Doug Paul's format; SRILM's ngram-format(5)): log10 probabilities and backoff
/// weights, which every toolkit reads.
namespace gradus::models {

namespace ngram {
struct ArpaContent;
}

/// The first line of our own ARPA files. More lines that begin with "#", which other readers skip, follow it:
/// the sentence end, the method, and the vocabulary with its unit and counts.
inline constexpr std::string_view arpa_head = "# gradus n-gram model";

struct ArpaOptions {
  /// log10 p(<unk>) for a file without <unk>: -100 as in KenLM, or -infinity as in SRILM.
  double missing_unknown = -100;
  /// Whether a file of another toolkit without </s>, which is refused otherwise, gets one, with the
  /// probability of <unk> (as KenLM scores it where the missing mark is allowed).
  bool add_sentence_end = false;
};

/// The n-grams of an ARPA file, plain or compressed by gzip, from any toolkit:
///   - fields are separated by tabs or spaces, lines end with "\n" or "\r\n", any text may precede \data\;
///   - n-grams may come in any order, and backoff weights of 0 may be missing;
///   - <s> may have any probability, as it is never predicted, or be missing if no n-gram begins with it;
///   - the unknown word is <unk> or, as in KenLM, <UNK>;
///   - n-grams with <s> behind another word, such as "</s> <s>", are left out, as no sentence uses them;
///   - the log10 probabilities -99 and "-inf" mean the probability 0 (SRILM).
///
/// A file of another toolkit is a model of words. Its vocabulary has <unk> first and then the other unigrams
/// in the order of the file. Where the context of an n-gram (all but the last word) or its suffix (all but
/// the first) is not listed, as after pruning by SRILM, it is inserted with the probability that backing off
/// gives and the backoff weight 1, which leaves the distributions as they are. (KenLM does the same for
/// suffixes, but refuses a file that lacks a context.)
///
/// All n-grams are held in memory, with 4 n + 8 bytes for each of order n, and 4 more in sections that are
/// not sorted.
class ArpaFile {
 public:
  /// Throws DataError naming the file and the line, for counts that differ from the header, a file that was
  /// cut short, malformed numbers, probabilities above 1, n-grams listed twice, words without a unigram, and
  /// a missing </s>.
  explicit ArpaFile(const std::filesystem::path& file, const ArpaOptions& options = {});
  /// Reads text in memory, which errors call `name`.
  ArpaFile(std::string_view text, std::string_view name, const ArpaOptions& options = {});

  const Vocabulary& vocabulary() const;
  NgramDescription description() const;
  /// The number of n-grams of each order, including those that were inserted.
  std::vector<std::int64_t> counts() const;
  /// The number of contexts and suffixes that the file did not list.
  std::int64_t inserted() const;
  void write_to(NgramSink& sink) const;

 private:
  std::shared_ptr<const ngram::ArpaContent> content_;  // of all copies
};

/// Whether a file with these first bytes may be an ARPA file: they are those of one of ours, hold the line
/// \data\, or are those of gzip.
bool looks_like_arpa(std::string_view first_bytes);

/// Writes the n-grams that it receives as an ARPA file, which appears complete or not at all. n-grams are
/// written as they come; only the words are held in memory. The file is compressed by gzip when its name ends
/// in ".gz"; "-" is the standard output. Every number is read back as it was, up to one rounding. Throws
/// ArgumentError for methods without a backoff form (add-k and maximum likelihood), for a vocabulary of
/// another size, and when expect() was not called, as the counts come first in the file; DataError when the
/// file cannot be written.
class ArpaWriter : public NgramSink {
 public:
  /// The vocabulary must outlive the writer.
  ArpaWriter(const std::filesystem::path& file, const Vocabulary& vocabulary);
  /// Appends to a text in memory instead.
  ArpaWriter(std::string& text, const Vocabulary& vocabulary);
  ~ArpaWriter() override;

  void describe(const NgramDescription& description) override;
  void expect(std::span<const std::int64_t> counts) override;
  void begin_order(int order, std::int64_t count) override;
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) override;
  void finish() override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// Writes a model as an ARPA file.
void write_arpa(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary);

struct ArpaModel {
  Vocabulary vocabulary;
  NgramModel model;
};

/// Writes a model as ARPA text in memory, and reads such text.
std::string to_arpa(const NgramModel& model, const Vocabulary& vocabulary);
ArpaModel from_arpa(std::string_view text, std::string_view name, const ArpaOptions& options = {});

}  // namespace gradus::models
