#include "tensor/support/standard_output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "tensor/support/error.hpp"

namespace gradus {

bool is_standard_output(const std::filesystem::path& path) {
  constexpr std::array<std::string_view, 4> names{"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
  return std::find(names.begin(), names.end(), path.native()) != names.end();
}

void write_standard_output(std::string_view bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(STDOUT_FILENO, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      fail<DataError>("the standard output cannot be written: {}; {}", std::strerror(errno),
                      errno == ENOSPC ? "free some space" : "check where it goes");
    }
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace gradus
