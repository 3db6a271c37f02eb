#pragma once

#include <filesystem>
#include <memory>

#include "models/ngram/ngram.hpp"

namespace gradus::models {

/// Stores the n-grams that it receives as an NgramModel, in memory or in a file, which appears complete or
/// not at all. Writing a file takes bounded memory. A file of the compact layout also needs room for a
/// temporary file of the fast layout beside it.
/// The file "-" is the standard output.
///
/// Throws ArgumentError for n-grams that violate the order that NgramSink describes, DataError when the file
/// cannot be written.
class NgramWriter : public NgramSink {
 public:
  explicit NgramWriter(NgramStorage storage = {});
  NgramWriter(const std::filesystem::path& file, const Vocabulary& vocabulary, NgramStorage storage = {});
  ~NgramWriter() override;

  void describe(const NgramDescription& description) override;
  void begin_order(int order, std::int64_t count) override;
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) override;
  void finish() override;
  /// The model, to be called once, after finish().
  NgramModel model();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace gradus::models
