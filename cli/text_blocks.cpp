#include "cli/text_blocks.hpp"

#include "text/tokenizer.hpp"

namespace gradus::cli {

constexpr std::int64_t block_size = std::int64_t{1} << 20;
constexpr std::int64_t max_line = std::int64_t{16} << 20;

TextBlocks::TextBlocks(const std::string& path, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), blocks_(path, vocabulary.unit(), block_size, max_line) {}

bool TextBlocks::next(std::vector<std::int32_t>& ids) {
  ids.clear();
  const std::optional<BlockReader::Block> block = blocks_.next_checked();
  if (!block) return false;
  ids = encode(vocabulary_, block->text, blocks_.name(*block), block->first_line);
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

bool LineReader::next(std::string& line) {
  line.clear();
  for (char c = 0; source_.read({&c, 1}) == 1;) {
    if (c == '\n') return true;
    line += c;
  }
  return !line.empty();
}

}  // namespace gradus::cli
