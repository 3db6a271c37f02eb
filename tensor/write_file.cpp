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

/// What a link leads to; the path itself where nothing is yet.
std::filesystem::path resolved(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path target = std::filesystem::canonical(path, error);
  return error ? path : target;
}

/// A device or a pipe: written to as it is, where a rename would put a file in its place.
bool is_special(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_other(path, error);
}

void write_all(const std::filesystem::path& path, int descriptor, std::string_view bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_writing(path, errno);
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace

void require_writable(const std::filesystem::path& path) {
  if (!is_special(path)) temporary_for(resolved(path));
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  if (is_special(path)) {
    Temporary device(path.string(), ::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    device.kept = true;
    if (device.descriptor < 0) fail_writing(path, errno);
    return write_all(path, device.descriptor, bytes);
  }
  const std::filesystem::path target = resolved(path);
  Temporary file = temporary_for(target);
  const int descriptor = file.descriptor;
  write_all(path, descriptor, bytes);
  if (::fchmod(descriptor, 0644) != 0 || ::fsync(descriptor) != 0) fail_writing(path, errno);
  if (::rename(file.path.c_str(), target.c_str()) != 0) fail_writing(path, errno);
  file.kept = true;
}

}  // namespace gradus
