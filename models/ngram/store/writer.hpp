#pragma once

#include <filesystem>
#include <memory>

#include "models/ngram/ngram.hpp"

namespace gradus::models {

/// Stores the n-grams that it receives as an NgramModel, in memory or in a file, which appears whole or not
/// at all. Memory stays bounded when writing a file, whose pages the system takes back as it likes; the
/// compact layout needs room for the fast one in a temporary file beside it.
///
/// Throws ArgumentError for n-grams that break the order that NgramSink describes, DataError when the file
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
  /// What was written, after finish(), once.
  NgramModel model();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace gradus::models
