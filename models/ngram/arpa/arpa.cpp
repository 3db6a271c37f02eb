#include "models/ngram/arpa/arpa.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/ngram/arpa/lines.hpp"
#include "models/ngram/arpa/section.hpp"
#include "models/ngram/store/writer.hpp"
#include "text/text_check.hpp"
#include "text/tokenizer.hpp"

namespace gradus::models {

using namespace ngram;

/// What a file holds.
struct ngram::ArpaContent {
  Vocabulary vocabulary;
  std::int32_t sentence_end = -1;
  std::string method = "unknown (ARPA)";
  std::vector<ArpaSection> sections;
  std::int64_t added = 0;
};

namespace {

const double ln10 = std::log(10.0);
constexpr float impossible = -std::numeric_limits<float>::infinity();

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/// Removes and returns the next field, which tabs or spaces end; empty at the end of the line.
std::string_view take_field(std::string_view& text) {
  const auto begin = std::find_if_not(text.begin(), text.end(), is_blank);
  const auto end = std::find_if(begin, text.end(), is_blank);
  const std::string_view out(begin, end);
  text = {end, text.end()};
  return out;
}

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
  return line;
}

/// Like SRILM, ignores the case of markers.
bool is_marker(std::string_view line, std::string_view marker) {
  line = trimmed(line);
  return std::equal(line.begin(), line.end(), marker.begin(), marker.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

/// How much of a line an error shows.
std::string_view shown(std::string_view text) {
  return text.substr(0, 60);
}

/// Reads a file into an ArpaContent.
class Reader {
 public:
  Reader(ArpaLines& lines, const ArpaOptions& options) : lines_(lines), options_(options) {}
  ArpaContent read();

 private:
  struct Fields {
    float log_prob = 0, backoff = 0;
  };

  void read_head();
  void read_own_head();
  void read_counts();
  void read_section(std::size_t n);
  void read_unigrams();
  void make_vocabulary(std::vector<std::string> words);
  void place_unigrams();
  template <class Word>
  Fields read_ngram(std::string_view line, std::size_t order, Word&& word);

  std::int32_t begin_symbol() const { return static_cast<std::int32_t>(out_.vocabulary.size()); }

  ArpaLines& lines_;
  const ArpaOptions& options_;
  ArpaContent out_;
  bool ours_ = false;                               // the file begins with our own lines
  std::vector<std::int64_t> claimed_, claimed_in_;  // the header's counts, and the lines they stand in
  WordIds ids_;
};

ArpaContent Reader::read() {
  read_head();
  read_counts();
  for (std::size_t n = 0; n < claimed_.size(); ++n) read_section(n);
  if (!is_marker(lines_.need_content("\\end\\"), "\\end\\")) {
    lines_.wrong("'\\end\\' should stand here; are there more {}-grams than the {} that line {} names?",
                 claimed_.size(), claimed_.back(), claimed_in_.back());
  }
  std::string_view line;
  while (lines_.next(line)) {
    if (!trimmed(line).empty()) lines_.wrong("'{}' after \\end\\", shown(line));
  }
  for (ArpaSection& section : out_.sections) section.sort(lines_.name());
  place_unigrams();
  out_.added = complete(out_.sections, lines_.name());
  return std::move(out_);
}

void Reader::read_head() {
  std::string_view line = lines_.need("\\data\\");
  ours_ = line == arpa_head;
  if (ours_) return read_own_head();
  constexpr int most = 10'000;
  for (int others = 0; !is_marker(line, "\\data\\"); line = lines_.need("\\data\\")) {
    if (!line.starts_with('#') && ++others > most)
      lines_.wrong("no \\data\\ in {} lines; this is no ARPA file", most);
  }
}

void Reader::read_own_head() {
  std::string_view line = lines_.need("the sentence end");
  constexpr std::string_view end_words = "# sentence end ", method_words = "# method ";
  if (!line.starts_with(end_words) || !to_number(line.substr(end_words.size()), out_.sentence_end))
    lines_.wrong("'# sentence end <id>' should stand here");
  line = lines_.need("the method");
  if (!line.starts_with(method_words)) lines_.wrong("'# method <name>' should stand here");
  out_.method = line.substr(method_words.size());
  std::string text;
  const std::string vocabulary_name = fmt::format("{}, its vocabulary from line 4 on", lines_.name());
  for (line = lines_.need("the vocabulary"); line.starts_with("# "); line = lines_.need("\\data\\")) {
    text += line.substr(2);
    text += '\n';
  }
  out_.vocabulary = Vocabulary::parse(text, vocabulary_name);
  if (out_.sentence_end < -1 || out_.sentence_end >= out_.vocabulary.size()) {
    fail<DataError>("{}, line 2: the sentence end {} is no id of the vocabulary, which has 0..{}",
                    lines_.name(), out_.sentence_end, out_.vocabulary.size() - 1);
  }
  while (!is_marker(line, "\\data\\")) {
    if (!trimmed(line).empty()) lines_.wrong("'{}' where \\data\\ should stand", shown(line));
    line = lines_.need("\\data\\");
  }
}

void Reader::read_counts() {
  for (;;) {
    std::string_view line = trimmed(lines_.need("the counts of n-grams"));
    if (line.empty()) break;
    const std::string_view whole = line;
    int order = 0;
    std::int64_t count = 0;
    const bool named = is_marker(take_field(line), "ngram");
    if (!named || !to_number(trimmed(take(line, '=')), order) || !to_number(trimmed(line), count) ||
        count < 0)
      lines_.wrong("'{}', where 'ngram <order>=<count>' or a blank line should stand", shown(whole));
    if (order != static_cast<int>(claimed_.size()) + 1)
      lines_.wrong("the count of order {} where that of order {} should stand", order, claimed_.size() + 1);
    if (order > NgramModel::max_order)
      lines_.wrong("order {}; n-gram models go up to {}", order, NgramModel::max_order);
    claimed_.push_back(count);
    claimed_in_.push_back(lines_.number());
  }
  if (claimed_.empty()) lines_.wrong("no counts of n-grams");
  out_.sections.resize(claimed_.size());
}

/// Reads a line: returns its numbers, and calls word(i, text) for each of its words.
template <class Word>
Reader::Fields Reader::read_ngram(std::string_view line, std::size_t order, Word&& word) {
  Fields out;
  double log10 = 0, backoff = 0;
  const std::string_view prob_text = take_field(line);
  if (!to_number(prob_text, log10) || std::isnan(log10))
    lines_.wrong("'{}' where the log10 of a probability should stand", shown(prob_text));
  for (std::size_t i = 0; i < order; ++i) {
    const std::string_view text = take_field(line);
    if (text.empty()) lines_.wrong("{} words in a {}-gram", i, order);
    word(i, text);
  }
  const std::string_view backoff_text = take_field(line);
  if (!backoff_text.empty() && (!to_number(backoff_text, backoff) || !std::isfinite(backoff)))
    lines_.wrong("'{}' where the log10 of a backoff weight or nothing should stand after {} words",
                 shown(backoff_text), order);
  if (!trimmed(line).empty()) lines_.wrong("'{}' after the backoff weight", shown(trimmed(line)));
  if (order == claimed_.size() && backoff != 0)
    lines_.wrong("a backoff weight of {} in the highest order, where nothing uses it", backoff_text);
  // Rounding may make a probability of 1 slightly larger.
  out.log_prob =
      log10 == log_zero ? impossible : static_cast<float>(log10 > 0 && log10 <= 1e-6 ? 0 : log10 * ln10);
  // We write -99 for the logarithm of a backoff weight of 0; in other toolkits' files it is an ordinary
  // number.
  if (ours_ && backoff == log_zero) {
    out.backoff = impossible;
    return out;
  }
  out.backoff = static_cast<float>(backoff * ln10);
  if (!std::isfinite(out.backoff)) lines_.wrong("a backoff weight of {}, out of range", backoff_text);
  return out;
}

void Reader::read_section(std::size_t n) {
  const std::string title = fmt::format("\\{}-grams:", n + 1);
  const std::string_view found = lines_.need_content(title);
  if (!is_marker(found, title)) {
    if (n == 0) lines_.wrong("'{}' where '{}' should stand", shown(found), title);
    lines_.wrong("'{}' where '{}' should stand; are there more {}-grams than the {} that line {} names?",
                 shown(found), title, n, claimed_[n - 1], claimed_in_[n - 1]);
  }
  ArpaSection& section = out_.sections[n];
  section.order = static_cast<int>(n) + 1;
  section.first_line = lines_.number() + 1;
  if (n == 0) return read_unigrams();
  std::vector<std::int32_t> ngram(n + 1);
  bool left_out = false;
  for (std::int64_t i = 0; i < claimed_[n]; ++i) {
    const std::string_view line = lines_.need("an n-gram");
    if (trimmed(line).empty() || line.front() == '\\')
      lines_.wrong("{} {}-grams; line {} names {}", i, n + 1, claimed_in_[n], claimed_[n]);
    const Fields fields = read_ngram(line, n + 1, [&](std::size_t at, std::string_view text) {
      ngram[at] = ids_.find(text);
      if (ngram[at] < 0) lines_.wrong("the word '{}', which has no unigram", shown(text));
    });
    // Such as "</s> <s>". No sentence has <s> behind a word, so nothing is ever scored by it.
    if (std::find(ngram.begin() + 1, ngram.end(), begin_symbol()) != ngram.end()) {
      for (std::size_t k = 0; !left_out && k < section.size(); ++k)
        section.lines.push_back(static_cast<std::uint32_t>(k));
      left_out = true;
      continue;
    }
    if (fields.log_prob > 0) lines_.wrong("a log10 of a probability above 0");
    section.add(ngram, fields.log_prob, fields.backoff);
    if (left_out) section.lines.push_back(static_cast<std::uint32_t>(i));
  }
}

/// In our own files the ids are known. In others, words are numbered by their lines until all words are
/// known.
void Reader::read_unigrams() {
  ArpaSection& section = out_.sections.front();
  std::vector<std::string> words;
  if (ours_) ids_ = own_words(out_.vocabulary);
  for (std::int64_t i = 0; i < claimed_.front(); ++i) {
    const std::string_view line = lines_.need("a unigram");
    if (trimmed(line).empty() || line.front() == '\\')
      lines_.wrong("{} unigrams; line {} names {}", i, claimed_in_.front(), claimed_.front());
    std::int32_t id = static_cast<std::int32_t>(i);
    bool begins = false;
    const Fields fields = read_ngram(line, 1, [&](std::size_t, std::string_view text) {
      begins = text == "<s>";
      if (ours_) {
        id = ids_.find(text);
        if (id < 0) lines_.wrong("the word '{}', which the vocabulary does not have", shown(text));
        return;
      }
      require_utf8(text, lines_.name(), lines_.number());
      if (const std::int32_t before = ids_.find(text); before >= 0)
        lines_.wrong("the word '{}', which stands in line {} already", shown(text),
                     section.first_line + before);
      ids_.add(text, id);
      words.emplace_back(text);
    });
    // <s> is never predicted: some toolkits write 0 for it, some -99, some a probability from its count.
    if (!begins && fields.log_prob > 0) lines_.wrong("a log10 of a probability above 0");
    section.add({&id, 1}, begins ? impossible : fields.log_prob, fields.backoff);
    if (i + 1 >= std::numeric_limits<std::int32_t>::max() - 2) lines_.wrong("too many words");
  }
  if (!ours_) make_vocabulary(std::move(words));
}

/// The vocabulary of a file that is not ours, and the ids in the unigrams that go with it.
void Reader::make_vocabulary(std::vector<std::string> words) {
  const std::string_view unknown = ids_.find("<unk>") >= 0 ? "<unk>" : "<UNK>";
  ArpaSection& section = out_.sections.front();
  if (options_.add_sentence_end && ids_.find(Vocabulary::line_end_text) < 0) {
    const std::int32_t like = ids_.find(unknown), id = static_cast<std::int32_t>(words.size());
    section.add({&id, 1},
                like >= 0 ? section.log_prob[static_cast<std::size_t>(like)]
                          : static_cast<float>(options_.missing_unknown * ln10),
                0);
    words.emplace_back(Vocabulary::line_end_text);
  }
  const std::size_t others = words.size() - (ids_.find("<s>") >= 0) - (ids_.find(unknown) >= 0);
  std::string text = fmt::format("gradus vocabulary 1 word {}\n0\t<unk>\n", others + 1);
  ids_ = {};
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::int32_t& id = section.ids[i];
    if (words[i] == "<s>") {
      id = static_cast<std::int32_t>(others) + 1;
    } else if (words[i] == unknown) {
      id = 0;
    } else {
      id = static_cast<std::int32_t>(ids_.size()) + 1;
      text += "0\t";
      for (const char c : words[i]) text.append(c == '\\' ? 2 : 1, c);
      text += '\n';
      ids_.add(words[i], id);
    }
  }
  ids_.add(unknown, 0);
  ids_.add("<s>", static_cast<std::int32_t>(others) + 1);
  out_.vocabulary = Vocabulary::parse(
      text, fmt::format("{}, the words from line {} on", lines_.name(), out_.sections.front().first_line));
  out_.sentence_end = out_.vocabulary.line_end();
  if (out_.sentence_end < 0) {
    lines_.wrong(
        "no unigram </s>, without which no line could be scored; `gradus ngram export "
        "--add-sentence-end` adds one with the probability of <unk>");
  }
}

/// Inserts missing unigrams of <s> and <unk>, and checks that every id and the begin symbol has one.
void Reader::place_unigrams() {
  ArpaSection& listed = out_.sections.front();
  const auto has = [&](std::int32_t id) { return listed.find({&id, 1}) >= 0; };
  const auto insert = [&](std::int32_t id, float log_prob) {
    listed.add({&id, 1}, log_prob, 0);
    listed.sort(lines_.name());
  };
  if (!has(begin_symbol())) insert(begin_symbol(), impossible);
  if (!ours_ && !has(0)) insert(0, static_cast<float>(options_.missing_unknown * ln10));
  for (std::size_t i = 0; i < listed.size(); ++i) {
    if (listed.ids[i] != static_cast<std::int32_t>(i)) {
      fail<DataError>("{}, line {}: no unigram from here on is of '{}', which the vocabulary lists",
                      lines_.name(), listed.first_line,
                      spelled(out_.vocabulary.symbol(static_cast<std::int32_t>(i))));
    }
  }
}

}  // namespace

ArpaFile::ArpaFile(const std::filesystem::path& file, const ArpaOptions& options) {
  ArpaLines lines(file);
  content_ = std::make_shared<const ArpaContent>(Reader(lines, options).read());
}

ArpaFile::ArpaFile(std::string_view text, std::string_view name, const ArpaOptions& options) {
  ArpaLines lines(text, name);
  content_ = std::make_shared<const ArpaContent>(Reader(lines, options).read());
}

const Vocabulary& ArpaFile::vocabulary() const {
  return content_->vocabulary;
}

NgramDescription ArpaFile::description() const {
  return {.order = static_cast<int>(content_->sections.size()),
          .vocab = static_cast<std::int32_t>(content_->vocabulary.size()),
          .sentence_end = content_->sentence_end,
          .fallback = NgramFallback::shorter,
          .method = content_->method};
}

std::vector<std::int64_t> ArpaFile::counts() const {
  std::vector<std::int64_t> out;
  for (const ArpaSection& section : content_->sections)
    out.push_back(static_cast<std::int64_t>(section.size()));
  return out;
}

std::int64_t ArpaFile::inserted() const {
  return content_->added;
}

void ArpaFile::write_to(NgramSink& sink) const {
  sink.describe(description());
  sink.expect(counts());
  for (const ArpaSection& section : content_->sections) {
    sink.begin_order(section.order, static_cast<std::int64_t>(section.size()));
    for (std::size_t i = 0; i < section.size(); ++i)
      sink.add(section.ngram(i), section.log_prob[i], section.backoff[i]);
  }
  sink.finish();
}

bool looks_like_arpa(std::string_view first_bytes) {
  if (first_bytes.starts_with(byte_order_mark)) first_bytes.remove_prefix(byte_order_mark.size());
  if (first_bytes.starts_with("\x28\xB5\x2F\xFD")) return true;
  if (first_bytes.starts_with("\x1f\x8b") || first_bytes.starts_with(arpa_head)) return true;
  while (!first_bytes.empty()) {
    std::string_view line = take(first_bytes, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (is_marker(line, "\\data\\")) return true;
  }
  return false;
}

ArpaModel from_arpa(std::string_view text, std::string_view name, const ArpaOptions& options) {
  const ArpaFile file(text, name, options);
  NgramWriter writer;
  file.write_to(writer);
  return {file.vocabulary(), writer.model()};
}

}  // namespace gradus::models
