#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/checkpoint.hpp"
#include "models/generate.hpp"

namespace gradus {

/// A token and its log-probability in nats.
struct ScoredToken {
  std::string token;
  double log_prob;
};

/// How a text is generated: models::GenerateOptions, and
struct TextOptions : models::GenerateOptions {
  std::vector<std::string> stops = {};  // the text ends before the first of these
  bool allow_unknown = false;           // whether "<unk>" may be drawn
  /// Called with the text piece by piece, as it is written; false ends it.
  std::function<bool(std::string_view piece)> stream = {};
};

/// A trained model that takes and gives text: of any kind, behind the concept LanguageModel. Several threads
/// may use one.
///
///   const TextModel model = load("book");
///   std::cout << model.generate("Once upon a time", {}) << model.log_prob("the end .\n") << '\n';
class TextModel {
 public:
  explicit TextModel(models::TrainedModel trained) : trained_(std::move(trained)) {}

  const Vocabulary& vocabulary() const { return trained_.vocabulary; }
  /// The model itself, over ids.
  const models::ErasedModel& model() const { return trained_.model; }
  const std::string& kind() const { return trained_.kind; }
  /// All that was read of it.
  const models::TrainedModel& trained() const { return trained_; }

  /// log p in nats of a text as the first that is read: of all its tokens, and of each. A line of words ends
  /// where the text does, only if it has a line end. Throws DataError for what is no text.
  double log_prob(std::string_view text) const;
  std::vector<ScoredToken> score(std::string_view text) const;
  /// The k likeliest tokens after a text, the likeliest first.
  std::vector<ScoredToken> next(std::string_view context, std::int64_t k = 10) const;
  /// What the model writes after a prompt, without it; the same seed gives the same text.
  std::string generate(std::string_view prompt, const TextOptions& options) const;

 private:
  models::TrainedModel trained_;
};

/// A constraint of what a model writes (GenerateOptions::constraint): a text that is complete may end with a
/// line end or, of a model that reads documents apart, with what ends one. It has none of the tokens of
/// ids_without_text.
std::shared_ptr<const models::Constraint> constrained(const models::TrainedModel& trained,
                                                      models::TextAutomaton texts,
                                                      bool allow_unknown = false);

/// The spelling of a token; empty for one that a model of others has more than its tokenizer.
std::string symbol_of(const Vocabulary& vocabulary, std::int32_t token);

/// The ids that no generated text should have: of "<unk>" unless it is allowed, and those that a model of
/// others has more than its tokenizer.
std::vector<std::int32_t> ids_without_text(const models::TrainedModel& trained, bool allow_unknown);

/// Any model that models::load_model reads. Throws as it does.
TextModel load(const std::filesystem::path& file);

}  // namespace gradus
