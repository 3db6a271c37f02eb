#include "cli/text_blocks.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/usage.hpp"
#include "tensor/support/write_file.hpp"
#include "text/tokenizer.hpp"

namespace gradus::cli {

TextBlocks::TextBlocks(const std::string& path, const Vocabulary& vocabulary, bool skip_marks)
    : vocabulary_(vocabulary), blocks_(path, {.unit = vocabulary.unit(), .skip_marks = skip_marks}) {
  require_marks_of_words(skip_marks, vocabulary.unit());
}

bool TextBlocks::next(std::vector<std::int32_t>& ids) {
  ids.clear();
  if (vocabulary_.subwords() != nullptr) return next_subwords(ids);
  const std::optional<BlockReader::Block> block = blocks_.next_checked();
  if (!block) return false;
  ids = encode(vocabulary_, block->text, blocks_.name(*block), block->first_line);
  count(block->text);
  done_ = block->done;
  return true;
}

/// A block is cut where that changes no token; where no such place is known, the whole text is one.
bool TextBlocks::next_subwords(std::vector<std::int32_t>& ids) {
  std::string text = std::exchange(rest_, {});
  std::size_t cut = 0;
  while (cut == 0) {
    const std::optional<BlockReader::Block> block = blocks_.next_checked();
    if (!block) break;
    text += block->text;
    done_ = block->done;
    cut = vocabulary_.subwords()->last_cut(text);
  }
  if (cut > 0) {
    rest_ = text.substr(cut);
    text.resize(cut);
  }
  ids = encode(vocabulary_, text);
  count(text);
  return !text.empty();
}

void TextBlocks::count(std::string_view text) {
  const auto size = static_cast<std::int64_t>(text.size());
  bytes_ += size;
  characters_ += vocabulary_.unit() == Unit::byte ? size : count_characters(text);
  words_ += count_words(text, in_word_);
}

std::int64_t count_words(std::string_view text, bool& in_word) {
  std::int64_t out = 0;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!space && !in_word) ++out;
    if (c == '\n') ++out;
    in_word = !space;
  }
  return out;
}

std::vector<std::int32_t> read_tokens(const std::string& path, const Vocabulary& vocabulary,
                                      bool skip_marks) {
  std::vector<std::int32_t> out = with_context(vocabulary, {}), ids;
  for (TextBlocks blocks(path, vocabulary, skip_marks); blocks.next(ids);)
    out.insert(out.end(), ids.begin(), ids.end());
  return out;
}

TextLines::TextLines(const std::string& path, const Vocabulary& vocabulary, bool skip_marks)
    : vocabulary_(vocabulary),
      blocks_(path, {.unit = vocabulary.unit(), .skip_marks = skip_marks, .eager = is_stream(path)}) {
  require_marks_of_words(skip_marks, vocabulary.unit());
}

bool TextLines::next(std::vector<std::int32_t>& ids) {
  line_.clear();
  for (;;) {
    const std::string_view text = block_.text;
    const std::size_t end = std::min(text.find('\n', at_), text.size() - 1) + 1;
    line_ += text.substr(at_, end - at_);
    at_ = end;
    if (line_.ends_with('\n')) break;
    // The block is at its end; of bytes, the line may go on in the next one of the same file.
    std::optional<BlockReader::Block> more = blocks_.next_checked();
    if ((!more || more->file_start) && !line_.empty()) {
      ids = encode(vocabulary_, line_, blocks_.name(block_), number_);
      block_ = more ? std::move(*more) : BlockReader::Block{.text = {}, .file = block_.file};
      at_ = 0;
      number_ = block_.first_line;
      return true;
    }
    if (!more) return false;
    block_ = std::move(*more);
    at_ = 0;
    number_ = block_.first_line;
  }
  ids = encode(vocabulary_, line_, blocks_.name(block_), number_++);
  return true;
}

LineSpool::LineSpool() : file_(std::tmpfile()) {
  if (!file_) failed();
}

void LineSpool::failed() {
  fail<DataError>("the temporary file of the text's tokens cannot be used ({}); free some space in {}",
                  std::strerror(errno), P_tmpdir);
}

void LineSpool::add(std::span<const std::int32_t> ids) {
  const std::size_t count = ids.size();
  if (std::fwrite(&count, sizeof count, 1, file_.get()) != 1 ||
      std::fwrite(ids.data(), sizeof(std::int32_t), count, file_.get()) != count)
    failed();
}

bool LineSpool::next(std::vector<std::int32_t>& ids) {
  if (!reading_ && std::fseek(file_.get(), 0, SEEK_SET) != 0) failed();
  reading_ = true;
  std::size_t count = 0;
  if (std::fread(&count, sizeof count, 1, file_.get()) != 1) {
    if (std::ferror(file_.get()) != 0) failed();
    return false;
  }
  ids.resize(count);
  if (std::fread(ids.data(), sizeof(std::int32_t), count, file_.get()) != count) failed();
  return true;
}

bool is_stream(const std::string& path) {
  return is_standard_input(path) || is_special(path);
}

void require_marks_of_words(bool skip_marks, Unit unit) {
  if (skip_marks && unit != Unit::word) misuse("--skip-marks is of words, not of {}s", name_of(unit));
}

}  // namespace gradus::cli
