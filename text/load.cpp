#include "text/load.hpp"

#include "text/block_reader.hpp"
#include "text/tokenizer.hpp"

namespace gradus {

std::string load_text(const std::filesystem::path& path, const LoadOptions& options) {
  std::string text;
  // As words, blocks would not say where a line end between two files is missing.
  const Unit unit = options.unit == Unit::byte ? Unit::byte : Unit::character;
  BlockReader blocks(path, {.unit = unit, .max_line = options.max_line, .skip_marks = options.skip_marks});
  while (const std::optional<BlockReader::Block> block = blocks.next_checked()) {
    if (unit != Unit::byte && options.unit != Unit::subword)
      require_utf8(block->text, blocks.name(*block), block->first_line);
    text += block->text;
  }
  return text;
}

}  // namespace gradus
