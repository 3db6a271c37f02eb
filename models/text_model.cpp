#include "models/text_model.hpp"

#include "text/decoded_text.hpp"
#include "text/prompt.hpp"
#include "text/tokenizer.hpp"

namespace gradus {

using models::ErasedModel;

std::vector<ScoredToken> TextModel::score(std::string_view text) const {
  const std::vector<std::int32_t> ids = prompt_ids(vocabulary(), text);
  std::vector<ScoredToken> out;
  const std::vector<double> log_probs = models::score(model(), ids);
  for (std::size_t i = 0; i < log_probs.size(); ++i)
    out.push_back({vocabulary().symbol(ids[i + 1]), log_probs[i]});
  return out;
}

double TextModel::log_prob(std::string_view text) const {
  double total = 0;
  for (const double one : models::score(model(), prompt_ids(vocabulary(), text))) total += one;
  return total;
}

std::vector<ScoredToken> TextModel::next(std::string_view context, std::int64_t k) const {
  const std::vector<std::int32_t> ids = prompt_ids(vocabulary(), context);
  const auto state = models::advance(model(), model().start(), std::span<const std::int32_t>(ids));
  std::vector<ScoredToken> out;
  for (const models::Candidate& one : models::top_k(model(), state, k)) {
    out.push_back({symbol_of(vocabulary(), one.token), one.log_prob});
  }
  return out;
}

std::string TextModel::generate(std::string_view prompt, const TextOptions& options) const {
  const Vocabulary& v = vocabulary();
  models::GenerateOptions how = options;
  for (const std::int32_t id : ids_without_text(trained_, options.allow_unknown)) how.banned.push_back(id);
  bool goes_on = true;
  StreamedText shown(v, options.stops, [&](std::string_view piece) {
    if (options.stream && goes_on) goes_on = options.stream(piece);
  });
  how.until = [&](std::span<const std::int32_t> tokens) {
    if (options.until && options.until(tokens)) return true;
    if (!options.stops.empty() && ends_with_stop(v, tokens, options.stops)) return true;
    if (options.stream) shown.add(tokens);
    return !goes_on;
  };
  const std::vector<std::int32_t> tokens = models::generate(model(), prompt_ids(v, prompt), how);
  const std::string text = without_stop(decode(v, tokens), options.stops);
  if (options.stream && goes_on) shown.finish(text);
  return text;
}

std::shared_ptr<const models::Constraint> constrained(const models::TrainedModel& trained,
                                                      models::TextAutomaton texts, bool allow_unknown) {
  const auto document_end = static_cast<std::int32_t>(trained.document_end);
  const std::int32_t line_end = trained.vocabulary.line_end();
  std::vector<std::int32_t> ends, never = ids_without_text(trained, allow_unknown);
  if (line_end >= 0) ends.push_back(line_end);
  if (document_end >= 0 && document_end != line_end) {
    ends.push_back(document_end);
    never.push_back(document_end);  // its spelling is no text
  }
  if (trained.vocabulary.subwords() != nullptr) {
    for (const std::int32_t id : trained.vocabulary.subwords()->special()) {
      ends.push_back(id);
      never.push_back(id);
    }
  }
  return std::make_shared<const models::Constraint>(std::move(texts), trained.vocabulary, std::move(ends),
                                                    std::move(never));
}

std::string symbol_of(const Vocabulary& vocabulary, std::int32_t token) {
  return token < vocabulary.size() ? vocabulary.symbol(token) : std::string();
}

std::vector<std::int32_t> ids_without_text(const models::TrainedModel& trained, bool allow_unknown) {
  std::vector<std::int32_t> out;
  const Vocabulary& v = trained.vocabulary;
  if (!allow_unknown && v.unknown() >= 0) out.push_back(v.unknown());
  for (auto id = static_cast<std::int32_t>(v.size()); id < trained.model.vocab_size(); ++id)
    out.push_back(id);
  return out;
}

TextModel load(const std::filesystem::path& file) {
  return TextModel(models::load_model(file));
}

}  // namespace gradus
