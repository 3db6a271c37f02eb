#include "models/constraint/constraint.hpp"

#include <algorithm>
#include <numeric>

#include "text/tokenizer.hpp"

namespace gradus::models {

namespace {

std::size_t common_beginning(std::string_view a, std::string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first - a.begin());
}

}  // namespace

Constraint::Constraint(TextAutomaton automaton, const Vocabulary& vocabulary, std::vector<std::int32_t> ends,
                       std::vector<std::int32_t> never, std::size_t kept_bytes)
    : automaton_(std::move(automaton)),
      ends_(std::move(ends)),
      words_(vocabulary.unit() == Unit::word),
      line_end_(vocabulary.line_end()),
      kept_bytes_(kept_bytes),
      first_(spellings(vocabulary, true, never)),
      later_(spellings(vocabulary, false, never)) {
  std::ranges::sort(
      ends_);  // is_end is asked for every token, and some tokenizers have hundreds that end a text
}

/// What a token adds to a text is what decoding says of it behind another one.
Constraint::Spellings Constraint::spellings(const Vocabulary& vocabulary, bool first,
                                            std::span<const std::int32_t> never) {
  Spellings out;
  const auto size = static_cast<std::int32_t>(vocabulary.size());
  std::int32_t before = -1;
  for (std::int32_t id = 0; id < size && before < 0; ++id) {
    if (id != vocabulary.line_end() && id != vocabulary.unknown() &&
        !decode(vocabulary, std::vector{id}).empty())
      before = id;
  }
  const std::string read = first || before < 0 ? "" : decode(vocabulary, std::vector{before});
  for (std::int32_t id = 0; id < size; ++id) {
    std::string text =
        read.empty() ? decode(vocabulary, std::vector{id}) : decode(vocabulary, std::vector{before, id});
    out.texts.push_back(text.substr(std::min(read.size(), text.size())));
  }
  for (const std::int32_t id : never) {  // what has no spelling is never allowed
    if (id >= 0 && id < size) out.texts[static_cast<std::size_t>(id)].clear();
  }
  out.order.resize(out.texts.size());
  std::iota(out.order.begin(), out.order.end(), 0);
  std::ranges::stable_sort(out.order, {}, [&](std::int32_t id) -> const std::string& {
    return out.texts[static_cast<std::size_t>(id)];
  });
  return out;
}

bool Constraint::is_end(std::int32_t token) const {
  return std::ranges::binary_search(ends_, token);
}

Constraint::Position Constraint::after(const Position& position, std::int32_t token) const {
  const Spellings& spelled = position.first ? first_ : later_;
  return {automaton_.after(position.state, spelled.texts.at(static_cast<std::size_t>(token))),
          words_ && token == line_end_};
}

std::shared_ptr<const NextTokens> Constraint::next(const Position& position) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(position);
  if (found != known_.end()) return found->second;
  // Most expressions have few states. One that has ever new ones would take all memory.
  if (known_bytes_ > kept_bytes_) {
    known_.clear();
    known_bytes_ = 0;
  }
  auto out = std::make_shared<const NextTokens>(next_tokens(position));
  known_bytes_ += out->allowed.size() / 8 + 4 * position.state.at.size() + 200;
  known_.emplace(position, out);
  return out;
}

std::size_t Constraint::known_bytes() const {
  const std::lock_guard lock(mutex_);
  return known_bytes_;
}

std::shared_ptr<const NextTokens> Constraint::after(std::span<const std::int32_t> text) const {
  Position position = start();
  for (const std::int32_t token : text) position = after(position, token);
  return next(position);
}

NextTokens Constraint::next_tokens(const Position& position) const {
  const Spellings& spelled = position.first ? first_ : later_;
  NextTokens out;
  out.allowed.resize(spelled.texts.size());
  out.complete = automaton_.accepts(position.state);
  // The states after each byte of the spelling before this one.
  std::vector<TextAutomaton::State> states{position.state};
  std::string_view last;
  for (const std::int32_t id : spelled.order) {
    const std::string& text = spelled.texts[static_cast<std::size_t>(id)];
    if (text.empty()) continue;  // a text could go on with it for ever
    const std::size_t common = common_beginning(last, text);
    states.resize(std::min(states.size(), common + 1));
    last = text;
    // Where a beginning has no states, they end there, and so does this token.
    if (states.back().at.empty()) continue;
    for (std::size_t i = states.size() - 1; i < text.size() && !states.back().at.empty(); ++i)
      states.push_back(automaton_.after(states.back(), std::string_view(text).substr(i, 1)));
    if (states.size() == text.size() + 1 && automaton_.is_alive(states.back())) {
      out.allowed[static_cast<std::size_t>(id)] = true;
      out.goes_on = true;
    }
  }
  return out;
}

}  // namespace gradus::models
