#include "tensor/support/read_file.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "tensor/support/error.hpp"

namespace gradus {

std::string read_file(const std::filesystem::path& file) {
  std::error_code unseen;  // what is wrong otherwise, opening it says
  if (std::filesystem::is_directory(file, unseen))
    fail<DataError>("{} is a folder; give a file", file.string());
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    fail<DataError>("{} cannot be opened ({}); check that it exists and that you may read it", file.string(),
                    std::strerror(errno));
  }
  std::string bytes;
  std::error_code unknown;  // a pipe has no size
  if (const auto size = std::filesystem::file_size(file, unknown); !unknown) bytes.reserve(size);
  char buffer[1 << 16];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0)
    bytes.append(buffer, static_cast<std::size_t>(in.gcount()));
  if (in.bad()) fail<DataError>("{} could not be read to its end; check the disk", file.string());
  return bytes;
}

}  // namespace gradus
