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

/// The first line of our own ARPA files. The sentence end, the method and the vocabulary, with its unit and
/// counts, follow it, also behind "#", which other readers skip.
inline constexpr std::string_view arpa_head = "# gradus n-gram model";

struct ArpaOptions {
  /// log10 p(<unk>) where a file lists no <unk>: -100 as KenLM has it, or -infinity as SRILM.
  double missing_unknown = -100;
};

/// The n-grams of an ARPA file, plain or packed by gzip, from any toolkit:
///   - fields parted by tabs or spaces, lines ended by "\n" or "\r\n", any text before the line \data\;
///   - n-grams in any order, backoff weights left out where they are 0;
///   - <s> with whatever probability: it is never predicted. A file without it has no n-gram beginning so;
///   - <unk> or, as KenLM takes it, <UNK> for the unknown word;
///   - the log10 probabilities -99 and "-inf" are those of what cannot be (SRILM).
///
/// Files that are not ours are models of words, their vocabulary the unigrams in the order of the file after
/// <unk>. n-grams whose context (all but the last word) or suffix (all but the first) is not listed, as
/// SRILM's pruning leaves them, have it inserted with the probability that backing off gives and the backoff
/// weight 1, so the distributions stay as they were. (KenLM does the same for suffixes, and refuses a file
/// that lacks a context.)
///
/// All n-grams are held in memory, in 4 n + 8 bytes for each of order n, and 4 more in sections that are not
/// sorted.
class ArpaFile {
 public:
  /// Throws DataError naming the file and the line: counts that contradict the header, a file cut short,
  /// numbers that are none, probabilities above 1, n-grams listed twice, words without a unigram, no </s>.
  explicit ArpaFile(const std::filesystem::path& file, const ArpaOptions& options = {});
  /// Of text in memory that errors call `name`.
  ArpaFile(std::string_view text, std::string_view name, const ArpaOptions& options = {});
  ~ArpaFile();
  ArpaFile(ArpaFile&&) noexcept;
  ArpaFile& operator=(ArpaFile&&) noexcept;

  const Vocabulary& vocabulary() const;
  NgramDescription description() const;
  /// The n-grams of each order, those inserted included.
  std::vector<std::int64_t> counts() const;
  /// Contexts and suffixes that the file did not list.
  std::int64_t inserted() const;
  void write_to(NgramSink& sink) const;

 private:
  std::unique_ptr<ngram::ArpaContent> content_;
};

/// Whether a file that begins so may be an ARPA file: ours, \data\ in sight, or gzip.
bool looks_like_arpa(std::string_view first_bytes);

/// Writes the n-grams that it receives as an ARPA file, whole or not at all, as they come: in memory are the
/// words. Packed by gzip when the file's name ends in ".gz". Every float is read back as it was, up to one
/// rounding. Throws ArgumentError for methods without a backoff form (add-k and maximum likelihood), for a
/// vocabulary of another size, and when it was not told the counts (NgramSink::expect), which stand first in
/// the file; DataError when the file cannot be written.
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

/// Writes a model by an ArpaWriter.
void write_arpa(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary);

struct ArpaModel {
  Vocabulary vocabulary;
  NgramModel model;
};

/// The same as text in memory.
std::string to_arpa(const NgramModel& model, const Vocabulary& vocabulary);
ArpaModel from_arpa(std::string_view text, std::string_view name, const ArpaOptions& options = {});

}  // namespace gradus::models
