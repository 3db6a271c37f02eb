#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/support/error.hpp"

// What the tests and the fuzzers of the readers of files share.

namespace gradus::test {

/// Runs something that may end with an error of ours; false if it does.
template <class F>
bool goes(F&& f) {
  try {
    f();
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Bytes as a file without a name.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(::memfd_create("model", MFD_CLOEXEC)) {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t done = ::write(descriptor_, bytes.data() + at, bytes.size() - at);
      if (done <= 0) throw std::logic_error("no file in memory can be made");
      at += static_cast<std::size_t>(done);
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// A fuzzer's mode: with --seeds=FOLDER among its arguments it writes these files there, and ends.
inline void write_seeds(int count, char** arguments, const std::vector<std::string>& files) {
  constexpr std::string_view option = "--seeds=";
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (!argument.starts_with(option)) continue;
    const std::filesystem::path folder = argument.substr(option.size());
    std::filesystem::create_directories(folder);
    for (std::size_t n = 0; n < files.size(); ++n)
      std::ofstream(folder / ("seed-" + std::to_string(n)), std::ios::binary) << files[n];
    std::exit(0);
  }
}

}  // namespace gradus::test
