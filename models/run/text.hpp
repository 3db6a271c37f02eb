#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/run/config.hpp"
#include "text/corpus.hpp"

namespace gradus::models {

/// The text of a run as tokens. Without a validation text that part is empty.
struct RunText {
  Vocabulary vocabulary;
  CorpusPart train, valid;

  /// Of all tokens, so that a run that is resumed can tell whether it is the same text.
  std::uint64_t checksum() const;
};

/// Called while subwords are learned.
using SubwordReport = std::function<void(std::int64_t done, std::int64_t total)>;

/// Reads the text and the validation text, or splits that off, and cuts them into tokens: by the vocabulary
/// given, or else by one that is built from the text to train on, as data.unit and so on say. A split of less
/// than 50 tokens is not made. Throws DataError as load_text and Vocabulary::build do, and for a text of one
/// word alone.
RunText read_run_text(const RunConfig::Data& data, const std::optional<Vocabulary>& vocabulary = {},
                      const SubwordReport& report = {});

/// Throws DataError, naming `name`, when the text to train on is shorter than one batch of a network.
void require_batch(const CorpusPart& train, Unit unit, const std::string& name);

/// The unit of data.unit and data.tokenizer.
Unit unit_of(const RunConfig::Data& data);

}  // namespace gradus::models
