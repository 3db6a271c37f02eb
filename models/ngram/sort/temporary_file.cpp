#include "models/ngram/sort/temporary_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

namespace {

constexpr std::size_t buffer_size = std::size_t{1} << 20;

/// The bytes of one segment, a buffer for each thread.
thread_local std::vector<unsigned char> bytes;

constexpr std::string_view name_start = "gradus-ngram-", name_random = "XXXXXX";

/// Removes the empty files of processes that were killed before they could unlink them. If a process is just
/// about to unlink its file, doing so here does no harm.
void remove_stale(const std::filesystem::path& folder) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(name_start) || name.size() != name_start.size() + name_random.size()) continue;
    std::error_code other;
    if (it->is_regular_file(other) && it->file_size(other) == 0 && !other) ::unlink(it->path().c_str());
  }
}

/// A file that has a name for a moment, for file systems without nameless files; -1 on failure.
int open_and_unlink(const std::filesystem::path& folder) {
  remove_stale(folder);
  std::string name = (folder / name_start).string() + std::string(name_random);
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor >= 0) ::unlink(name.c_str());
  return descriptor;
}

/// A file without a name; -1 on failure.
int open_nameless(const std::filesystem::path& folder) {
#ifdef O_TMPFILE
  const int nameless = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (nameless >= 0) return nameless;
#endif
  return open_and_unlink(folder);
}

}  // namespace

TemporaryFile::TemporaryFile(std::filesystem::path folder) : folder_(std::move(folder)) {}

TemporaryFile::~TemporaryFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void TemporaryFile::open() {
  if (folder_.empty()) {
    std::error_code none;
    folder_ = std::filesystem::temp_directory_path(none);
    if (none) folder_ = "/tmp";
  }
  descriptor_ = open_nameless(folder_);
  if (descriptor_ >= 0) return;
  fail<DataError>(
      "no temporary file can be made in {} ({}); name another folder for temporary files, or allow more "
      "memory",
      folder_.string(), std::strerror(errno));
}

void TemporaryFile::flush() {
  if (buffer_.empty()) return;
  if (descriptor_ < 0) open();
  for (std::size_t at = 0; at < buffer_.size();) {
    const ssize_t done = ::pwrite(descriptor_, buffer_.data() + at, buffer_.size() - at,
                                  static_cast<off_t>(written_) + static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) {
      fail<DataError>(
          "the temporary file in {} cannot be written after {} bytes ({}); free some space, name another "
          "folder for temporary files, or allow more memory",
          folder_.string(), written_, std::strerror(errno));
    }
    at += static_cast<std::size_t>(done);
  }
  written_ += static_cast<std::int64_t>(buffer_.size());
  buffer_.clear();
}

TemporaryFile::Place TemporaryFile::write(std::span<const std::uint64_t> words, std::size_t width) {
  pack_columns(words, width, bytes);
  const std::lock_guard lock(mutex_);
  if (buffer_.size() + bytes.size() > buffer_size) flush();
  const Place place{end_, static_cast<std::uint32_t>(bytes.size())};
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  end_ += static_cast<std::int64_t>(bytes.size());
  return place;
}

void TemporaryFile::read(const Place& place, std::span<std::uint64_t> words, std::size_t width) {
  {
    const std::lock_guard lock(mutex_);
    flush();
  }
  bytes.resize(place.packed);
  for (std::size_t at = 0; at < place.packed;) {
    const ssize_t got = ::pread(descriptor_, bytes.data() + at, place.packed - at,
                                static_cast<off_t>(place.offset) + static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      fail<DataError>("the temporary file in {} cannot be read back ({}); check the disk", folder_.string(),
                      got < 0 ? std::strerror(errno) : "it ends too early");
    }
    at += static_cast<std::size_t>(got);
  }
  if (!unpack_columns(bytes, width, words))
    fail<DataError>("the temporary file in {} came back damaged; check the disk", folder_.string());
}

}  // namespace gradus::models::ngram
