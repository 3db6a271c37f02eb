#include "text/byte_source.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "tensor/support/error.hpp"

namespace gradus {

namespace {

using std::string_view_literals::operator""sv;

/// A decompressor.
class Unpacker {
 public:
  struct Progress {
    std::size_t taken = 0, made = 0;
  };
  virtual ~Unpacker() = default;
  /// Decompresses until the input is used up or `to` is full.
  virtual Progress run(std::span<const char> in, std::span<char> to) = 0;
  /// Whether the input may end here.
  virtual bool complete() const = 0;
};

[[noreturn]] void fail_damaged(const std::string& name, const char* kind, const char* cause) {
  fail<DataError>("{}: its {} data is damaged ({}); get the file again", name, kind, cause);
}

class GzipUnpacker : public Unpacker {
 public:
  explicit GzipUnpacker(const std::string& name) : name_(name) {
    // Adding 16 makes zlib expect a gzip header.
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  GzipUnpacker(const GzipUnpacker&) = delete;
  GzipUnpacker& operator=(const GzipUnpacker&) = delete;
  ~GzipUnpacker() override { inflateEnd(&stream_); }

  Progress run(std::span<const char> in, std::span<char> to) override {
    // An archive may hold several members, one after the other.
    if (complete_ && !in.empty()) {
      inflateReset(&stream_);
      complete_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(to.data());
    stream_.avail_out = static_cast<uInt>(std::min(to.size(), std::size_t{1} << 30));
    const std::size_t room = stream_.avail_out;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
      complete_ = true;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      fail_damaged(name_, "gzip", stream_.msg != nullptr ? stream_.msg : "inflate refuses it");
    }
    return {in.size() - stream_.avail_in, room - stream_.avail_out};
  }
  bool complete() const override { return complete_; }

 private:
  const std::string& name_;
  z_stream stream_{};
  bool complete_ = false;
};

class ZstdUnpacker : public Unpacker {
 public:
  explicit ZstdUnpacker(const std::string& name)
      : name_(name), stream_(ZSTD_createDStream(), ZSTD_freeDStream) {
    if (!stream_) throw std::bad_alloc();
  }
  Progress run(std::span<const char> in, std::span<char> to) override {
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer out{to.data(), to.size(), 0};
    const std::size_t left = ZSTD_decompressStream(stream_.get(), &out, &from);
    if (ZSTD_isError(left) != 0) fail_damaged(name_, "zstd", ZSTD_getErrorName(left));
    complete_ = left == 0;
    return {from.pos, out.pos};
  }
  bool complete() const override { return complete_; }

 private:
  const std::string& name_;
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  bool complete_ = false;
};

}  // namespace

bool is_standard_input(const std::filesystem::path& path) {
  constexpr std::array names{"-"sv, "/dev/stdin"sv, "/dev/fd/0"sv, "/proc/self/fd/0"sv};
  return std::find(names.begin(), names.end(), path.native()) != names.end();
}

struct ByteSource::File {
  ~File() {
    if (descriptor > 0) ::close(descriptor);
  }
  /// Reads on, behind what the buffer holds; false at the end.
  bool more() {
    ssize_t got = 0;
    while ((got = ::read(descriptor, buffer.data() + end, buffer.size() - end)) < 0) {
      if (errno != EINTR) {
        fail<DataError>("{} could not be read ({}); check the disk or the connection to it", name,
                        std::strerror(errno));
      }
    }
    end += static_cast<std::size_t>(got);
    taken += got;
    return got > 0;
  }
  void refill() {
    begin = end = 0;
    more();
  }
  std::span<const char> left() const { return {buffer.data() + begin, end - begin}; }

  std::string name;
  int descriptor = -1;
  std::int64_t taken = 0;
  std::vector<char> buffer = std::vector<char>(std::size_t{1} << 18);
  std::size_t begin = 0, end = 0;
  std::unique_ptr<Unpacker> unpacker;
};

ByteSource::ByteSource(const std::filesystem::path& path, bool unpack) : file_(std::make_unique<File>()) {
  File& file = *file_;
  // Opened anew, a named pipe would wait for another writer.
  const bool standard = is_standard_input(path);
  file.name = standard ? "standard input" : path.string();
  file.descriptor = standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file.descriptor < 0) {
    fail<DataError>("{} cannot be opened ({}); check that it exists and that you may read it", file.name,
                    std::strerror(errno));
  }
  if (!unpack) return;
  // A pipe may deliver fewer bytes than were asked for.
  while (file.end < 4 && file.more()) {
  }
  const std::string_view start(file.buffer.data(), file.end);
  if (start.starts_with("\x1F\x8B"sv)) file.unpacker = std::make_unique<GzipUnpacker>(file.name);
  if (start.starts_with("\x28\xB5\x2F\xFD"sv)) file.unpacker = std::make_unique<ZstdUnpacker>(file.name);
}

ByteSource::ByteSource(ByteSource&&) noexcept = default;
ByteSource& ByteSource::operator=(ByteSource&&) noexcept = default;
ByteSource::~ByteSource() = default;

std::int64_t ByteSource::taken() const {
  return file_->taken;
}

bool ByteSource::unpacks() const {
  return file_->unpacker != nullptr;
}

void ByteSource::skip_to(std::int64_t byte) {
  File& file = *file_;
  if (unpacks() || ::lseek(file.descriptor, static_cast<off_t>(byte), SEEK_SET) < 0)
    fail<DataError>("{} cannot be read from byte {} on", file.name, byte);
  file.begin = file.end = 0;
}

std::size_t ByteSource::read(std::span<char> to) {
  std::size_t made = 0;
  while (made < to.size()) {
    const std::size_t count = read_some(to.subspan(made));
    if (count == 0) break;
    made += count;
  }
  return made;
}

std::size_t ByteSource::read_some(std::span<char> to) {
  File& file = *file_;
  for (;;) {
    if (file.begin == file.end) file.refill();
    const std::span<const char> in = file.left();
    if (!file.unpacker) {
      const std::size_t count = std::min(in.size(), to.size());
      if (count > 0) std::memcpy(to.data(), in.data(), count);
      file.begin += count;
      return count;
    }
    if (in.empty() && file.unpacker->complete()) return 0;
    const Unpacker::Progress progress = file.unpacker->run(in, to);
    if (in.empty() && progress.made == 0) {
      fail<DataError>("{}: its compressed data ends too early; the file was cut short, get it again",
                      file.name);
    }
    file.begin += progress.taken;
    if (progress.made > 0) return progress.made;
  }
}

}  // namespace gradus
