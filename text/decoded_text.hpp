#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.hpp"

namespace gradus {

/// The text of tokens that come one after another, each decoded behind the few before it.
class DecodedText {
 public:
  /// The vocabulary must outlive it.
  explicit DecodedText(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}
  /// All tokens so far, those that were given before among them.
  void add(std::span<const std::int32_t> tokens);
  const std::string& text() const { return text_; }

 private:
  const Vocabulary& vocabulary_;
  std::size_t done_ = 0;
  std::string text_;
};

/// Whether the last token of a text completes one of the stops.
bool ends_with_stop(const Vocabulary& vocabulary, std::span<const std::int32_t> tokens,
                    std::span<const std::string> stops);
/// A text up to the first of the stops in it.
std::string without_stop(std::string text, std::span<const std::string> stops);

/// Shows a text as it is written; what may turn out to begin a stop is held back.
class StreamedText {
 public:
  /// `show` is called with piece after piece. The vocabulary must outlive it.
  StreamedText(const Vocabulary& vocabulary, std::span<const std::string> stops,
               std::function<void(std::string_view)> show);
  /// All tokens so far, which complete none of the stops.
  void add(std::span<const std::int32_t> tokens);
  /// The whole text, up to a stop; shows what is left of it.
  void finish(std::string_view text);

 private:
  DecodedText decoded_;
  std::function<void(std::string_view)> show_;
  std::size_t held_ = 0, shown_ = 0;
};

}  // namespace gradus
