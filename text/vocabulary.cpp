#include "text/vocabulary.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "tensor/support/error.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"
#include "text/bpe.hpp"
#include "text/escapes.hpp"
#include "text/sentencepiece.hpp"
#include "text/text_check.hpp"
#include "text/tokenizer.hpp"

namespace gradus {

namespace {

constexpr std::array unit_names = {std::string_view("byte"), std::string_view("character"),
                                   std::string_view("word"), std::string_view("subword")};
constexpr std::string_view unit_list = "byte, character, word or subword";

Vocabulary build_subwords(std::string_view text, const VocabularyOptions& options, std::string_view name) {
  BpeTraining training{.min_count = std::max<std::int64_t>(options.min_count, 2)};
  if (options.max_size != 0) training.size = options.max_size;
  const auto bpe = std::make_shared<const Bpe>(Bpe::train(text, training, name));
  return Vocabulary::of(bpe, count_tokens(bpe->encode(text), bpe->size()));
}

/// The tokenizer that a vocabulary of subwords was written with.
std::shared_ptr<const Subwords> parse_subwords(std::vector<std::string> tokens, std::string_view text,
                                               std::string_view name) {
  constexpr std::string_view bpe = "gradus bpe ", sentencepiece = "gradus sentencepiece ";
  if (text.starts_with(bpe)) return std::make_shared<const Bpe>(Bpe::parse(std::move(tokens), text, name));
  if (text.starts_with(sentencepiece))
    return std::make_shared<const SentencePiece>(SentencePiece::parse(tokens, text, name));
  fail<DataError>("{}: '{}' where the tokenizer of subwords should begin; the kinds known are '{}' and '{}'",
                  name, text.substr(0, std::min<std::size_t>(text.find('\n'), 60)), bpe, sentencepiece);
}

}  // namespace

std::string_view name_of(Unit unit) {
  return unit_names[static_cast<std::size_t>(unit)];
}

Unit unit_named(std::string_view name) {
  const auto found = std::find(unit_names.begin(), unit_names.end(), name);
  if (found == unit_names.end()) fail<ArgumentError>("there is no unit '{}'; use {}", name, unit_list);
  return static_cast<Unit>(found - unit_names.begin());
}

Vocabulary Vocabulary::build(Unit unit, std::string_view text, const VocabularyOptions& options,
                             std::string_view name) {
  if (text.empty()) fail<DataError>("{} is empty; give a text to learn from", name);
  if (unit == Unit::subword) return build_subwords(text, options, name);
  // The keys are views of the text, which outlives them.
  std::unordered_map<std::string_view, std::size_t> seen;
  std::vector<std::string_view> symbols;
  std::vector<std::int64_t> counts;
  for_tokens(unit, text, name, [&](std::string_view symbol) {
    const auto [found, fresh] = seen.try_emplace(symbol, symbols.size());
    if (fresh) {
      symbols.push_back(symbol);
      counts.push_back(0);
    }
    ++counts[found->second];
  });
  return from_counts(unit, symbols, counts, options);
}

Vocabulary Vocabulary::from_counts(Unit unit, std::span<const std::string_view> symbols,
                                   std::span<const std::int64_t> counts, const VocabularyOptions& options) {
  if (options.min_count < 1 || options.max_size < 0 || options.max_size == 1) {
    fail<ArgumentError>(
        "Vocabulary: min_count {} and max_size {}; min_count starts at 1, max_size at 2 (0: no limit)",
        options.min_count, options.max_size);
  }
  if (unit == Unit::subword)
    fail<ArgumentError>("Vocabulary: subwords are learned from a text (build) or given (of), not counted");
  Vocabulary vocabulary;
  vocabulary.unit_ = unit;
  if (unit == Unit::byte) {
    for (int byte = 0; byte < 256; ++byte) vocabulary.add(std::string(1, static_cast<char>(byte)), 0);
    for (std::size_t i = 0; i < symbols.size(); ++i)
      vocabulary.counts_[static_cast<unsigned char>(symbols[i].front())] = counts[i];
    return vocabulary;
  }

  std::vector<std::size_t> sorted(symbols.size());
  std::iota(sorted.begin(), sorted.end(), std::size_t{0});
  std::sort(sorted.begin(), sorted.end(), [&](std::size_t a, std::size_t b) {
    return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
  });
  vocabulary.add(std::string(unknown_text), 0);
  std::int64_t room = options.max_size == 0 ? static_cast<std::int64_t>(sorted.size()) + 1 : options.max_size;
  room -= unit == Unit::word ? 2 : 1;  // for the unknown symbol and, for words, the line end
  for (const std::size_t i : sorted) {
    const bool unknown = unit == Unit::word && symbols[i] == unknown_text;
    // The line end is kept whatever its count, as no line could be encoded without it.
    if (unit == Unit::word && symbols[i] == line_end_text) {
      vocabulary.add(std::string(symbols[i]), counts[i]);
    } else if (!unknown && room > 0 && counts[i] >= options.min_count) {
      vocabulary.add(std::string(symbols[i]), counts[i]);
      --room;
    } else {
      vocabulary.counts_[0] += counts[i];
    }
  }
  return vocabulary;
}

Vocabulary Vocabulary::of(std::shared_ptr<const Subwords> subwords, std::span<const std::int64_t> counts) {
  const std::int64_t size = subwords->size();
  if (!counts.empty() && std::ssize(counts) != size)
    fail<ArgumentError>("Vocabulary: {} counts of {} subwords", counts.size(), size);
  Vocabulary vocabulary;
  vocabulary.unit_ = Unit::subword;
  for (std::int32_t id = 0; id < size; ++id) {
    vocabulary.add(std::string(subwords->token(id)),
                   counts.empty() ? 0 : counts[static_cast<std::size_t>(id)]);
  }
  vocabulary.line_end_ = subwords->line_end();
  vocabulary.subwords_ = std::move(subwords);
  return vocabulary;
}

bool Vocabulary::same_symbols(const Vocabulary& other) const {
  if (symbols_ != other.symbols_ || (subwords_ == nullptr) != (other.subwords_ == nullptr)) return false;
  return subwords_ == other.subwords_ || subwords_->serialize() == other.subwords_->serialize();
}

bool Vocabulary::add(std::string symbol, std::int64_t count) {
  const auto id = static_cast<std::int32_t>(symbols_.size());
  // An added token of a tokenizer may be spelled as another one.
  if (!ids_.emplace(symbol, id).second && unit_ != Unit::subword) return false;
  if (symbol == (unit_ == Unit::word ? line_end_text : std::string_view("\n"))) line_end_ = id;
  symbols_.push_back(std::move(symbol));
  counts_.push_back(count);
  return true;
}

const std::string& Vocabulary::symbol(std::int32_t id) const {
  if (id < 0 || id >= size())
    fail<ArgumentError>("Vocabulary: id {} of a vocabulary of {} symbols", id, size());
  return symbols_[static_cast<std::size_t>(id)];
}

std::int32_t Vocabulary::id(std::string_view symbol) const {
  const auto found = ids_.find(symbol);
  return found == ids_.end() ? unknown() : found->second;
}

std::int64_t Vocabulary::count(std::int32_t id) const {
  symbol(id);
  return counts_[static_cast<std::size_t>(id)];
}

Vocabulary Vocabulary::extended_by(const Vocabulary& other) const {
  if (unit_ != other.unit_ || unit_ == Unit::subword)
    fail<ArgumentError>("Vocabulary: one of {}s cannot be extended by one of {}s", name_of(unit_),
                        name_of(other.unit_));
  Vocabulary out = *this;
  for (std::size_t i = 0; i < other.symbols_.size(); ++i) {
    const std::string& symbol = other.symbols_[i];
    const auto found = out.ids_.find(symbol);
    if (found != out.ids_.end()) {
      out.counts_[static_cast<std::size_t>(found->second)] += other.counts_[i];
    } else {
      out.add(symbol, other.counts_[i]);
    }
  }
  return out;
}

std::string Vocabulary::serialize() const {
  std::string out = fmt::format("gradus vocabulary 1 {} {}\n", name_of(unit_), size());
  for (std::size_t id = 0; id < symbols_.size(); ++id) {
    out += fmt::format("{}\t{}\n", counts_[id], escaped(symbols_[id]));
  }
  if (subwords_ != nullptr) out += subwords_->serialize();
  return out;
}

Vocabulary Vocabulary::parse(std::string_view text, std::string_view name) {
  Vocabulary vocabulary;
  constexpr std::string_view head = "gradus vocabulary 1 ";
  const std::string_view first = take(text, '\n');
  const std::size_t space = first.rfind(' ');
  std::int64_t size = 0;
  if (!first.starts_with(head) || space < head.size() || !to_number(first.substr(space + 1), size) ||
      size < 0) {
    fail<DataError>("{}, line 1: not a vocabulary (it begins 'gradus vocabulary 1 <unit> <size>')", name);
  }
  const std::string_view unit = first.substr(head.size(), space - head.size());
  if (std::find(unit_names.begin(), unit_names.end(), unit) == unit_names.end()) {
    fail<DataError>("{}, line 1: there is no unit '{}'; it is {}", name, unit, unit_list);
  }
  vocabulary.unit_ = unit_named(unit);
  if (!text.empty() && text.back() != '\n')
    fail<DataError>("{}: its last line has no end; the file was cut short", name);
  for (std::int64_t id = 0; id < size; ++id) {
    if (text.empty())
      fail<DataError>("{} ends after {} of its {} symbols; the file was cut short", name, id, size);
    const std::string_view line = take(text, '\n');
    const std::size_t tab = line.find('\t');
    std::int64_t count = 0;
    std::string symbol;
    if (tab == line.npos || !to_number(line.substr(0, tab), count) || count < 0 ||
        !unescape(line.substr(tab + 1), symbol)) {
      fail<DataError>("{}, line {}: not '<count> tab <symbol>'", name, id + 2);
    }
    if (!vocabulary.add(std::move(symbol), count)) {
      fail<DataError>("{}, line {}: a symbol listed before", name, id + 2);
    }
  }
  if (vocabulary.unit_ == Unit::subword)
    return of(parse_subwords(std::move(vocabulary.symbols_), text, name), vocabulary.counts_);
  if (!text.empty())
    fail<DataError>("{}, line {}: more than the {} symbols that line 1 names", name, size + 2, size);
  const bool usable =
      vocabulary.unit_ == Unit::byte ? size == 256 : size == 0 || vocabulary.symbols_[0] == unknown_text;
  if (!usable) {
    fail<DataError>("{}: a vocabulary of {}s has {}", name, name_of(vocabulary.unit_),
                    vocabulary.unit_ == Unit::byte ? "256 symbols" : "<unk> as its first symbol");
  }
  return vocabulary;
}

void Vocabulary::save(const std::filesystem::path& file) const {
  write_file(file, serialize());
}

Vocabulary Vocabulary::load(const std::filesystem::path& file) {
  return parse(read_file(file), file.string());
}

}  // namespace gradus
