#include "tensor/write_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tensor/error.hpp"

namespace gradus {

namespace {

/// Closes the descriptor and, unless kept, removes the file.
struct Temporary {
  Temporary(std::string name, int open) : path(std::move(name)), descriptor(open) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (descriptor >= 0) ::close(descriptor);
    if (!kept) ::unlink(path.c_str());
  }

  std::string path;
  int descriptor;
  bool kept = false;
};

[[noreturn]] void fail_writing(const std::filesystem::path& path, int error) {
  const char* remedy = error == ENOSPC   ? "free some space"
                       : error == ENOENT ? "make its folder first"
                                         : "choose another place";
  fail<DataError>("{}: cannot be written: {}; {}", path.string(), std::strerror(error), remedy);
}

/// A new file beside the path.
Temporary temporary_for(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) fail_writing(path, EISDIR);
  std::string name = path.string() + ".partXXXXXX";
  const int descriptor = ::mkstemp(name.data());
  if (descriptor < 0) fail_writing(path, errno);
  return {std::move(name), descriptor};
}

}  // namespace

void require_writable(const std::filesystem::path& path) {
  temporary_for(path);
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  Temporary file = temporary_for(path);
  const int descriptor = file.descriptor;
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_writing(path, errno);
    done += static_cast<std::size_t>(count);
  }
  if (::fchmod(descriptor, 0644) != 0 || ::fsync(descriptor) != 0) fail_writing(path, errno);
  if (::rename(file.path.c_str(), path.c_str()) != 0) fail_writing(path, errno);
  file.kept = true;
}

}  // namespace gradus
