#include "models/ngram/arpa.hpp"

#include <charconv>
#include <cmath>
#include <unordered_map>

namespace gradus::models {

namespace {

const double ln10 = std::log(10.0);

/// Lines of a text, counted, for errors that name them.
class Lines {
 public:
  Lines(std::string_view text, std::string_view name) : text_(text), name_(name) {}
  bool next(std::string_view& line) {
    if (text_.empty()) return false;
    const std::size_t end = text_.find('\n');
    line = text_.substr(0, end);
    text_.remove_prefix(end == text_.npos ? text_.size() : end + 1);
    ++number_;
    return true;
  }
  std::string_view need(const char* what) {
    std::string_view line;
    if (!next(line))
      fail<DataError>("{}: ends after line {}, where {} should follow; it was cut short", name_, number_,
                      what);
    return line;
  }
  [[noreturn]] void wrong(std::string_view what) const {
    fail<DataError>("{}, line {}: {}", name_, number_, what);
  }

 private:
  std::string_view text_, name_;
  std::int64_t number_ = 0;
};

template <class T>
bool to_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

/// What stands before a separator, which is taken off as well.
std::string_view take(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view out = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return out;
}

/// A symbol as a word of the file: characters that would part words or lines are written \xHH, and so is the
/// first of a word <s>, which is the file's own mark for a sentence's begin.
std::string spelled(const std::string& symbol) {
  if (symbol == "<s>") return "\\x3cs>";
  std::string out;
  for (const char c : symbol) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 127 || c == '\\') {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

/// The header: how many n-grams of each order.
std::vector<std::int64_t> read_counts(Lines& lines) {
  std::vector<std::int64_t> counts;
  for (;;) {
    std::string_view line = lines.need("the counts of n-grams");
    if (line.empty()) return counts;
    int order = 0;
    std::int64_t count = 0;
    if (!line.starts_with("ngram ")) lines.wrong("'ngram <order>=<count>' or a blank line should stand here");
    line.remove_prefix(6);
    if (!to_number(take(line, '='), order) || order != static_cast<int>(counts.size()) + 1 ||
        !to_number(line, count) || count < 0) {
      lines.wrong("'ngram <order>=<count>' with the next order should stand here");
    }
    counts.push_back(count);
  }
}

}  // namespace

std::string to_arpa(const NgramModel& model, const Vocabulary& vocabulary) {
  if (model.options().method != NgramMethod::kneser_ney) {
    fail<ArgumentError>("only Kneser-Ney n-gram models can be kept: the others have no backoff form");
  }
  std::string out = fmt::format("{}\n# sentence end {}\n{}\n\\data\\\n", arpa_head,
                                model.options().sentence_end, vocabulary.serialize());
  const std::vector<std::int64_t> counts = model.counts();
  for (std::size_t n = 0; n < counts.size(); ++n) out += fmt::format("ngram {}={}\n", n + 1, counts[n]);
  std::vector<std::string> words;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) words.push_back(spelled(vocabulary.symbol(id)));
  words.emplace_back("<s>");
  for (int order = 1; order <= model.options().order; ++order) {
    out += fmt::format("\n\\{}-grams:\n", order);
    model.visit_entries(order, [&](std::span<const std::int32_t> ngram, double log_prob, double backoff) {
      // <s> is never predicted; -99 is ARPA's customary sign for that.
      fmt::format_to(std::back_inserter(out), "{:.9g}\t", std::isinf(log_prob) ? -99 : log_prob / ln10);
      for (std::size_t i = 0; i < ngram.size(); ++i) {
        if (i > 0) out += ' ';
        out += words[static_cast<std::size_t>(ngram[i])];
      }
      if (order < model.options().order) fmt::format_to(std::back_inserter(out), "\t{:.9g}", backoff / ln10);
      out += '\n';
    });
  }
  return out + "\n\\end\\\n";
}

ArpaModel from_arpa(std::string_view text, std::string_view name) {
  const std::size_t data = text.find("\n\\data\\\n");
  std::string_view head = text.substr(0, data == text.npos ? 0 : data);
  if (!head.starts_with(arpa_head)) {
    fail<DataError>(
        "{}: an ARPA file without the lines that `gradus train` puts before \\data\\; only its own are read",
        name);
  }
  take(head, '\n');
  std::string_view end_line = take(head, '\n');
  std::int32_t sentence_end = -1;
  if (!end_line.starts_with("# sentence end ") || !to_number(end_line.substr(15), sentence_end)) {
    fail<DataError>("{}, line 2: '# sentence end <id>' should stand here", name);
  }
  Vocabulary vocabulary = Vocabulary::parse(std::string(head), fmt::format("{}, its vocabulary", name));
  if (sentence_end < -1 || sentence_end >= vocabulary.size()) {
    fail<DataError>("{}, line 2: the sentence end {} is no id of the vocabulary, which has 0..{}", name,
                    sentence_end, vocabulary.size() - 1);
  }
  std::unordered_map<std::string, std::int32_t> ids;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) ids.emplace(spelled(vocabulary.symbol(id)), id);
  ids.emplace("<s>", static_cast<std::int32_t>(vocabulary.size()));

  Lines lines(text, name);
  while (lines.need("\\data\\") != "\\data\\") {
  }
  const std::vector<std::int64_t> counts = read_counts(lines);
  if (counts.empty()) lines.wrong("no counts of n-grams");
  std::vector<std::vector<NgramModel::Entry>> orders(counts.size());
  for (std::size_t n = 0; n < counts.size(); ++n) {
    if (lines.need("a section") != fmt::format("\\{}-grams:", n + 1))
      lines.wrong(fmt::format("'\\{}-grams:' should stand here", n + 1));
    for (std::int64_t i = 0; i < counts[n]; ++i) {
      std::string_view line = lines.need("an n-gram");
      if (line.empty())
        lines.wrong(fmt::format("{} n-grams of order {}; the header names {}", i, n + 1, counts[n]));
      NgramModel::Entry entry;
      double log10 = 0, backoff = 0;
      if (!to_number(take(line, '\t'), log10) || !(log10 <= 1e-6))
        lines.wrong("a log10 probability of 0 or less should stand first");
      std::string_view ngram = take(line, '\t');
      while (!ngram.empty()) {
        const auto found = ids.find(std::string(take(ngram, ' ')));
        if (found == ids.end()) lines.wrong("a word that the vocabulary does not have");
        entry.ngram.push_back(found->second);
      }
      if (entry.ngram.size() != n + 1)
        lines.wrong(fmt::format("{} words; {} should stand here", entry.ngram.size(), n + 1));
      if (!line.empty() && (!to_number(line, backoff) || !std::isfinite(backoff)))
        lines.wrong("a backoff that is no number");
      entry.log_prob = log10 == -99 ? -std::numeric_limits<double>::infinity() : log10 * ln10;
      entry.backoff = backoff * ln10;
      orders[n].push_back(std::move(entry));
    }
    if (!lines.need("a blank line").empty())
      lines.wrong("more n-grams than the header names, or no blank line");
  }
  if (lines.need("\\end\\") != "\\end\\") lines.wrong("'\\end\\' should stand here");
  const auto size = static_cast<std::int32_t>(vocabulary.size());
  try {
    return {std::move(vocabulary), NgramModel(std::move(orders), size, sentence_end)};
  } catch (const ArgumentError& error) {
    fail<DataError>("{}: {}", name, error.what());
  }
}

}  // namespace gradus::models
