#include "models/ngram/temporary_file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "tensor/error.hpp"

namespace gradus::models::ngram {

namespace {

constexpr std::size_t buffer_size = std::size_t{1} << 20;
constexpr int level = 1;  // the disk is fast and the data is dense: more costs time and saves little

/// The first bytes of all records' words, then the second ones, and so on: records of a range differ in few
/// of them, so that these pack several times as fast, and smaller.
void to_planes(std::span<const std::uint64_t> words, std::size_t width, unsigned char* planes) {
  const std::size_t records = words.size() / width;
  for (std::size_t w = 0; w < width; ++w, planes += 8 * records) {
    for (std::size_t i = 0; i < records; ++i) {
      const std::uint64_t word = words[i * width + w];
      for (std::size_t b = 0; b < 8; ++b) planes[b * records + i] = static_cast<unsigned char>(word >> 8 * b);
    }
  }
}

void from_planes(const unsigned char* planes, std::size_t width, std::span<std::uint64_t> words) {
  const std::size_t records = words.size() / width;
  for (std::size_t w = 0; w < width; ++w, planes += 8 * records) {
    for (std::size_t i = 0; i < records; ++i) {
      std::uint64_t word = 0;
      for (std::size_t b = 0; b < 8; ++b) word |= std::uint64_t{planes[b * records + i]} << 8 * b;
      words[i * width + w] = word;
    }
  }
}

constexpr std::string_view name_start = "gradus-ngram-", name_random = "XXXXXX";

/// Removes the files of processes that were killed before they could take their names away: empty ones. Of a
/// process that is about to, the name may as well be taken here.
void remove_stale(const std::filesystem::path& folder) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(name_start) || name.size() != name_start.size() + name_random.size()) continue;
    std::error_code other;
    if (it->is_regular_file(other) && it->file_size(other) == 0 && !other) ::unlink(it->path().c_str());
  }
}

/// A file with a name for a moment, where the file system has none without, or -1.
int open_and_unlink(const std::filesystem::path& folder) {
  remove_stale(folder);
  std::string name = (folder / name_start).string() + std::string(name_random);
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor >= 0) ::unlink(name.c_str());
  return descriptor;
}

/// A file without a name, or -1.
int open_nameless(const std::filesystem::path& folder) {
#ifdef O_TMPFILE
  const int nameless = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (nameless >= 0) return nameless;
#endif
  return open_and_unlink(folder);
}

}  // namespace

struct TemporaryFile::Packer {
  std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> pack{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> unpack{ZSTD_createDCtx(), ZSTD_freeDCtx};
  std::vector<char> bytes;            // packed
  std::vector<unsigned char> planes;  // see to_planes
};

TemporaryFile::TemporaryFile(std::filesystem::path folder) : folder_(std::move(folder)) {}

TemporaryFile::~TemporaryFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void TemporaryFile::clear() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  end_ = written_ = 0;
  buffer_ = {};
  packers_.clear();
}

std::unique_ptr<TemporaryFile::Packer> TemporaryFile::take_packer() {
  const std::lock_guard lock(mutex_);
  if (packers_.empty()) return std::make_unique<Packer>();
  std::unique_ptr<Packer> packer = std::move(packers_.back());
  packers_.pop_back();
  return packer;
}

void TemporaryFile::put_back(std::unique_ptr<Packer> packer) {
  const std::lock_guard lock(mutex_);
  packers_.push_back(std::move(packer));
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
          "folder "
          "for temporary files, or allow more memory",
          folder_.string(), written_, std::strerror(errno));
    }
    at += static_cast<std::size_t>(done);
  }
  written_ += static_cast<std::int64_t>(buffer_.size());
  buffer_.clear();
}

TemporaryFile::Place TemporaryFile::write(std::span<const std::uint64_t> words, std::size_t width) {
  std::unique_ptr<Packer> packer = take_packer();
  packer->planes.resize(words.size_bytes());
  to_planes(words, width, packer->planes.data());
  packer->bytes.resize(ZSTD_compressBound(words.size_bytes()));
  const std::size_t packed = ZSTD_compressCCtx(packer->pack.get(), packer->bytes.data(), packer->bytes.size(),
                                               packer->planes.data(), words.size_bytes(), level);
  if (ZSTD_isError(packed) != 0) fail<DataError>("zstd: {}", ZSTD_getErrorName(packed));
  Place place;
  {
    const std::lock_guard lock(mutex_);
    if (buffer_.size() + packed > buffer_size) flush();
    place = {end_, static_cast<std::uint32_t>(packed)};
    buffer_.insert(buffer_.end(), packer->bytes.begin(),
                   packer->bytes.begin() + static_cast<std::ptrdiff_t>(packed));
    end_ += static_cast<std::int64_t>(packed);
  }
  put_back(std::move(packer));
  return place;
}

void TemporaryFile::read(const Place& place, std::span<std::uint64_t> words, std::size_t width) {
  {
    const std::lock_guard lock(mutex_);
    flush();
  }
  std::unique_ptr<Packer> packer = take_packer();
  packer->bytes.resize(place.packed);
  for (std::size_t at = 0; at < place.packed;) {
    const ssize_t got = ::pread(descriptor_, packer->bytes.data() + at, place.packed - at,
                                static_cast<off_t>(place.offset) + static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      fail<DataError>("the temporary file in {} cannot be read back ({}); check the disk", folder_.string(),
                      got < 0 ? std::strerror(errno) : "it ends too early");
    }
    at += static_cast<std::size_t>(got);
  }
  packer->planes.resize(words.size_bytes());
  const std::size_t made = ZSTD_decompressDCtx(packer->unpack.get(), packer->planes.data(),
                                               words.size_bytes(), packer->bytes.data(), place.packed);
  if (made != words.size_bytes())
    fail<DataError>("the temporary file in {} came back damaged; check the disk", folder_.string());
  from_planes(packer->planes.data(), width, words);
  put_back(std::move(packer));
}

}  // namespace gradus::models::ngram
