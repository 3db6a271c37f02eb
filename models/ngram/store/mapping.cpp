#include "models/ngram/store/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

namespace {

constexpr std::size_t memory_step = std::size_t{2} << 20;  // a large page

[[noreturn]] void fail_reading(const std::filesystem::path& file, int error) {
  fail<DataError>("{}: cannot be read: {}", file.string(), std::strerror(error));
}

}  // namespace

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, reserved_);
  if (owned_) ::close(descriptor_);
}

void Mapping::swap(Mapping& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(reserved_, other.reserved_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(owned_, other.owned_);
  std::swap(path_, other.path_);
  std::swap(replaced_, other.replaced_);
}

Mapping Mapping::read(const std::filesystem::path& file) {
  Mapping out;
  out.path_ = file;
  out.descriptor_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (out.descriptor_ < 0) fail_reading(file, errno);
  out.owned_ = true;
  struct stat status {};
  if (::fstat(out.descriptor_, &status) != 0) fail_reading(file, errno);
  if (S_ISDIR(status.st_mode)) fail_reading(file, EISDIR);
  if (status.st_size == 0) return out;
  out.size_ = out.reserved_ = static_cast<std::size_t>(status.st_size);
  void* const data = ::mmap(nullptr, out.size_, PROT_READ, MAP_SHARED, out.descriptor_, 0);
  if (data == MAP_FAILED) fail_reading(file, errno);
  out.data_ = static_cast<std::byte*>(data);
  return out;
}

Mapping Mapping::memory() {
  return {};
}

Mapping Mapping::write(FileReplacement& replaced) {
  Mapping out;
  out.descriptor_ = replaced.descriptor();
  out.replaced_ = &replaced;
  return out;
}

Mapping Mapping::scratch(const std::filesystem::path& beside) {
  Mapping out;
  out.path_ = beside;
  std::string name = beside.string() + ".partXXXXXX";
  out.descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (out.descriptor_ < 0) out.fail_resizing(errno);
  out.owned_ = true;
  ::unlink(name.c_str());
  return out;
}

void Mapping::fail_resizing(int error) const {
  if (replaced_ != nullptr) replaced_->fail_writing(error);
  fail<DataError>("{}: the temporary file beside it cannot be written: {}{}", path_.string(),
                  std::strerror(error), error == ENOSPC ? "; free some space" : "");
}

void Mapping::resize(std::size_t size) {
  if (descriptor_ < 0) {
    if (size < size_) std::fill(data_ + size, data_ + size_, std::byte{0});
    if (size > reserved_) {
      const std::size_t reserve = std::max(size, reserved_ + reserved_ / 2);
      map((reserve + memory_step - 1) / memory_step * memory_step);
    }
  } else if (size < size_) {
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) fail_resizing(errno);
    map(size);
  } else if (size > size_) {
    // The blocks are allocated now, as running out of disk space while writing to the mapping would kill the
    // process.
    int error = EINTR;
    while (error == EINTR)
      error = ::posix_fallocate(descriptor_, static_cast<off_t>(size_), static_cast<off_t>(size - size_));
    if (error != 0) fail_resizing(error);
    map(size);
  }
  size_ = size;
}

void Mapping::release() const {
  // The mapping is shared, so pages that were written to stay in the system's page cache.
  if (descriptor_ >= 0 && data_ != nullptr) ::madvise(data_, reserved_, MADV_DONTNEED);
}

void Mapping::map(std::size_t reserve) {
  void* data = nullptr;
  if (data_ == nullptr) {
    const int flags = descriptor_ < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    data = ::mmap(nullptr, reserve, PROT_READ | PROT_WRITE, flags, descriptor_, 0);
  } else {
    data = ::mremap(data_, reserved_, reserve, MREMAP_MAYMOVE);
  }
  if (data == MAP_FAILED) {
    if (descriptor_ >= 0) fail_resizing(errno);
    fail<DataError>("an n-gram model of {} bytes in memory: {}", reserve, std::strerror(errno));
  }
  data_ = static_cast<std::byte*>(data);
  reserved_ = reserve;
  if (descriptor_ < 0) ::madvise(data_, reserved_, MADV_HUGEPAGE);
}

}  // namespace gradus::models::ngram
