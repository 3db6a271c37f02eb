#include "cli/text_blocks.hpp"

#include "text/tokenizer.hpp"

namespace gradus::cli {

namespace {
constexpr std::int64_t block_size = std::int64_t{1} << 20;
constexpr std::int64_t max_line = std::int64_t{16} << 20;
}  // namespace

TextBlocks::TextBlocks(const std::string& path, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), blocks_(path, vocabulary.unit(), block_size, max_line) {}

bool TextBlocks::next(std::vector<std::int32_t>& ids) {
  ids.clear();
  const std::optional<BlockReader::Block> block = blocks_.next();
  if (!block) return false;
  const std::string& name = blocks_.name(*block);
  std::int64_t first_line = 1;
  if (vocabulary_.unit() != Unit::byte) {
    if (block->file_start) check_.emplace(name, max_line);
    first_line = check_->line();
    check_->read(block->text);
  }
  ids = encode(vocabulary_, block->text, name, first_line);
  characters_ += vocabulary_.unit() == Unit::byte ? static_cast<std::int64_t>(block->text.size())
                                                  : count_characters(block->text);
  done_ = block->done;
  return true;
}

std::vector<std::int32_t> read_tokens(const std::string& path, const Vocabulary& vocabulary) {
  std::vector<std::int32_t> out = with_context(vocabulary, {}), ids;
  for (TextBlocks blocks(path, vocabulary); blocks.next(ids);) out.insert(out.end(), ids.begin(), ids.end());
  return out;
}

std::string read_text(const std::string& path) {
  std::string out;
  BlockReader blocks(path, Unit::character, block_size, max_line);
  std::optional<TextCheck> check;
  while (const std::optional<BlockReader::Block> block = blocks.next()) {
    if (block->file_start) check.emplace(blocks.name(*block), max_line);
    const std::int64_t first_line = check->line();
    check->read(block->text);
    require_utf8(block->text, blocks.name(*block), first_line);
    out += block->text;
  }
  return out;
}

bool LineReader::next(std::string& line) {
  line.clear();
  for (char c = 0; source_.read({&c, 1}) == 1;) {
    if (c == '\n') return true;
    line += c;
  }
  return !line.empty();
}

}  // namespace gradus::cli
