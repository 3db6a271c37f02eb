#include "tensor/files/stored_bytes.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "tensor/support/error.hpp"
#include "tensor/support/read_file.hpp"

namespace gradus::files {

namespace {

class FileBytes : public StoredBytes {
 public:
  FileBytes(int descriptor, std::uint64_t size, std::string name)
      : StoredBytes(std::move(name)), descriptor_(descriptor), size_(size) {}
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes() override { ::close(descriptor_); }

  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t begin, std::uint64_t length, TakeBytes take) const override {
    constexpr std::uint64_t most = 1 << 18;  // stays in the second-level cache
    std::vector<char> buffer(std::min(length, most));
    for (std::uint64_t done = 0; done < length;) {
      const std::size_t piece = std::min(length - done, most);
      fill(buffer.data(), piece, begin + done);
      take({buffer.data(), piece});
      done += piece;
    }
  }

 private:
  void fill(char* to, std::size_t count, std::uint64_t at) const {
    for (std::size_t done = 0; done < count;) {
      const ssize_t got = ::pread(descriptor_, to + done, count - done, static_cast<off_t>(at + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail<DataError>("{} could not be read: {}; check the disk", name(), std::strerror(errno));
      if (got == 0) fail<DataError>("{} was cut short while it was read; write it again", name());
      done += static_cast<std::size_t>(got);
    }
  }

  int descriptor_;
  std::uint64_t size_;
};

class MemoryBytes : public StoredBytes {
 public:
  MemoryBytes(std::string owned, std::string_view bytes, std::string name)
      : StoredBytes(std::move(name)), owned_(std::move(owned)), bytes_(owned_.empty() ? bytes : owned_) {}
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t begin, std::uint64_t length, TakeBytes take) const override {
    take(bytes_.substr(begin, length));
  }

 private:
  std::string owned_;
  std::string_view bytes_;
};

}  // namespace

std::string StoredBytes::bytes(std::uint64_t begin, std::uint64_t length) const {
  if (begin >= size()) return {};
  length = std::min(length, size() - begin);
  std::string out;
  out.reserve(length);
  read(begin, length, [&](std::string_view piece) { out += piece; });
  return out;
}

SharedBytes open_bytes(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat about {};
  if (descriptor >= 0 && ::fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode)) {
    try {
      return std::make_shared<FileBytes>(descriptor, static_cast<std::uint64_t>(about.st_size),
                                         file.string());
    } catch (...) {
      ::close(descriptor);
      throw;
    }
  }
  // A pipe that was opened and closed would be lost to who opens it again.
  if (descriptor >= 0 && !S_ISDIR(about.st_mode)) {
    std::string all;
    char buffer[1 << 16];
    ssize_t got = 0;
    while ((got = ::read(descriptor, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR))
      all.append(buffer, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    ::close(descriptor);
    if (got < 0) fail<DataError>("{} could not be read to its end; check the disk", file.string());
    return owned_bytes(std::move(all), file.string());
  }
  if (descriptor >= 0) ::close(descriptor);
  return owned_bytes(read_file(file), file.string());  // which says what is wrong
}

SharedBytes borrowed_bytes(std::string_view bytes, const std::string& name) {
  return std::make_shared<MemoryBytes>(std::string(), bytes, name);
}
SharedBytes owned_bytes(std::string bytes, const std::string& name) {
  return std::make_shared<MemoryBytes>(std::move(bytes), std::string_view(), name);
}

}  // namespace gradus::files
