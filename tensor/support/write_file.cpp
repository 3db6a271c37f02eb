#include "tensor/support/write_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tensor/support/error.hpp"

namespace gradus {

namespace {

constexpr std::string_view temporary_mark = ".part";
constexpr std::size_t random_length = 6;  // mkstemp's XXXXXX

[[noreturn]] void fail_writing_to(const std::filesystem::path& path, int error) {
  const char* remedy = error == ENOSPC   ? "free some space"
                       : error == ENOENT ? "make its folder first"
                                         : "choose another place";
  fail<DataError>("{}: cannot be written: {}; {}", path.string(), std::strerror(error), remedy);
}

/// The target of a symbolic link; the path itself when there is no file yet.
std::filesystem::path resolved(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path target = std::filesystem::canonical(path, error);
  return error ? path : target;
}

/// Removes temporary files of killed processes: a process that still writes one holds a lock on it.
void remove_stale(const std::filesystem::path& target) {
  std::error_code error;
  const std::filesystem::path folder = target.has_parent_path() ? target.parent_path() : ".";
  const std::string start = target.filename().string() + std::string(temporary_mark);
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(start) || name.size() != start.size() + random_length) continue;
    const int descriptor = ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
    ::close(descriptor);
  }
}

void write_all(const std::filesystem::path& path, int descriptor, std::string_view bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_writing_to(path, errno);
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace

bool is_special(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_other(path, error);
}

FileReplacement::FileReplacement(const std::filesystem::path& path) : path_(path), target_(resolved(path)) {
  if (std::filesystem::is_directory(target_)) fail_writing(EISDIR);
  remove_stale(target_);
  for (;;) {
    temporary_ = target_.string() + std::string(temporary_mark) + std::string(random_length, 'X');
    descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
    if (descriptor_ < 0) fail_writing(errno);
    const bool locked = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno != EWOULDBLOCK) return;  // a file system without locks
    // Before it was locked, another process may have removed it as stale; then it has no name any more.
    struct stat status {};
    if (locked && ::fstat(descriptor_, &status) == 0 && status.st_nlink > 0) return;
    ::close(descriptor_);
  }
}

FileReplacement::~FileReplacement() {
  if (!committed_) ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void FileReplacement::fail_writing(int error) const {
  fail_writing_to(path_, error);
}

void FileReplacement::commit() {
  if (::fchmod(descriptor_, 0644) != 0 || ::fsync(descriptor_) != 0) fail_writing(errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_writing(errno);
  committed_ = true;
}

void require_writable(const std::filesystem::path& path) {
  if (path.empty()) fail<ArgumentError>("the name of the file to write is empty; name one");
  if (!is_special(path)) FileReplacement{path};
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  if (is_special(path)) {
    const int device = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (device < 0) fail_writing_to(path, errno);
    try {
      write_all(path, device, bytes);
    } catch (...) {
      ::close(device);
      throw;
    }
    ::close(device);
    return;
  }
  FileReplacement file(path);
  write_all(path, file.descriptor(), bytes);
  file.commit();
}

}  // namespace gradus
