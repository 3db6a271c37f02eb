#include "tensor/support/write_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tensor/support/error.hpp"

namespace gradus {

namespace {

constexpr int most_writers = 100;  // of one file at a time

[[noreturn]] void fail_writing_to(const std::filesystem::path& path, int error) {
  const char* remedy = error == ENOSPC   ? "free some space"
                       : error == ENOENT ? "make its folder first"
                                         : "choose another place";
  fail<DataError>("{}: cannot be written: {}; {}", path.string(), std::strerror(error), remedy);
}

/// Where symbolic links lead, even to a file that does not exist yet; the path itself when it is no link.
std::filesystem::path resolved(const std::filesystem::path& path) {
  constexpr int most_links = 40;  // as for the system, which then says ELOOP
  std::filesystem::path at = path;
  std::error_code error;
  for (int i = 0; std::filesystem::is_symlink(std::filesystem::symlink_status(at, error)); ++i) {
    const std::filesystem::path target = std::filesystem::read_symlink(at, error);
    if (error || i == most_links) return path;
    at = at.parent_path() / target;  // the target alone when it is absolute
  }
  return at;
}

/// Locks a file for this process until its descriptor is closed. False when another process holds the lock;
/// true as well where the file system knows no locks.
bool lock(int descriptor) {
  return ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

/// Removes the temporary file of a killed process. False when a process that lives holds it, or when it is
/// nothing that this process may open.
bool remove_stale(const std::string& temporary) {
  const int descriptor = ::open(temporary.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return errno == ENOENT;
  // What was opened may have been renamed by now, and the name be another process's.
  struct stat opened {
  }, named{};
  const bool stale = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 && ::fstat(descriptor, &opened) == 0 &&
                     ::lstat(temporary.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
                     opened.st_dev == named.st_dev;
  const bool removed = stale && ::unlink(temporary.c_str()) == 0;
  ::close(descriptor);
  return removed;
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

// Known names, rather than random ones, show what killed processes left without a search through the folder.
// Nobody else gives a file such a name.
FileReplacement::FileReplacement(const std::filesystem::path& path) : path_(path), target_(resolved(path)) {
  std::error_code unknown;  // what is wrong with the name, opening the file says
  if (std::filesystem::is_directory(target_, unknown)) fail_writing(EISDIR);
  if (std::filesystem::is_symlink(target_, unknown)) fail_writing(ELOOP);  // it led to itself
  for (int i = 0; i < most_writers;) {
    temporary_ =
        (target_.parent_path() / fmt::format(".{}.gradus-part{}", target_.filename().string(), i)).string();
    descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      if (errno != EEXIST) fail_writing(errno);
      if (!remove_stale(temporary_)) ++i;
      continue;
    }
    // Before it was locked, another process may have removed it as stale; then it has no name any more.
    struct stat made {};
    if (lock(descriptor_) && ::fstat(descriptor_, &made) == 0 && made.st_nlink > 0) {
      keep_mode();
      return;
    }
    ::close(descriptor_);
  }
  fail_writing(EEXIST);
}

void FileReplacement::keep_mode() {
  struct stat old {};
  if (::stat(target_.c_str(), &old) == 0) ::fchmod(descriptor_, old.st_mode & 0777);
}

FileReplacement::~FileReplacement() {
  if (!committed_) ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void FileReplacement::fail_writing(int error) const {
  fail_writing_to(path_, error);
}

void FileReplacement::commit() {
  if (::fsync(descriptor_) != 0) fail_writing(errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_writing(errno);
  committed_ = true;
  // So that the new name outlives a loss of power; where a folder cannot be synchronised, there is nothing to
  // do.
  const std::filesystem::path folder = target_.parent_path();
  const int opened = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;
  ::fsync(opened);
  ::close(opened);
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
