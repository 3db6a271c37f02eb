#include "text/load.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "tensor/support/error.hpp"
#include "text/text_check.hpp"
#include "text/tokenizer.hpp"

namespace gradus {

namespace {

namespace fs = std::filesystem;

void append_file(const fs::path& file, const LoadOptions& options, std::string& text) {
  const std::string name = file.string();
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    fail<DataError>("{} cannot be opened ({}); check that it exists and that you may read it", name,
                    std::strerror(errno));
  }
  TextCheck check(name, options.max_line);
  const std::size_t start = text.size();
  std::vector<char> buffer(std::size_t{1} << 20);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    std::string_view chunk(buffer.data(), static_cast<std::size_t>(in.gcount()));
    if (options.unit != Unit::byte) {
      if (text.size() == start) {
        require_plain_text(chunk, name);
        if (chunk.starts_with(byte_order_mark)) chunk.remove_prefix(byte_order_mark.size());
      }
      check.read(chunk);
    }
    text += chunk;
  }
  if (in.bad())
    fail<DataError>("{} could not be read to its end; check the disk or the connection to it", name);
  if (text.size() == start) fail<DataError>("{} is empty; give a file with text in it", name);
  if (options.unit != Unit::byte) require_utf8(std::string_view(text).substr(start), name);
}

}  // namespace

std::string load_text(const fs::path& path, const LoadOptions& options) {
  std::string text;
  for (const fs::path& file : text_files(path)) {
    if (options.unit != Unit::byte && !text.empty() && text.back() != '\n') text += '\n';
    append_file(file, options, text);
  }
  return text;
}

}  // namespace gradus
