#include "text/byte_source.hpp"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>
#include <array>
#include <cstdint>
#include <thread>

#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;

namespace {

std::string little_endian(std::uint64_t number, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(number >> 8 * i & 255);
  return out;
}

/// CRC-32 as gzip has it (RFC 1952, section 8), bit by bit.
std::uint32_t crc32(const std::string& text) {
  std::uint32_t crc = ~0u;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

/// A gzip member of one stored block (RFC 1951, 3.2.4).
std::string gzip(const std::string& text) {
  return std::string("\x1F\x8B\x08\0\0\0\0\0\0\x03\x01", 11) + little_endian(text.size(), 2) +
         little_endian(~text.size() & 0xFFFF, 2) + text + little_endian(crc32(text), 4) +
         little_endian(text.size(), 4);
}
/// A zstd frame of one raw block (RFC 8878, 3.1.1), of less than 256 bytes.
std::string zstd(const std::string& text) {
  return "\x28\xB5\x2F\xFD\x20" + little_endian(text.size(), 1) + little_endian(text.size() << 3 | 1, 3) +
         text;
}

/// All bytes, a few at a time.
std::string all_of(ByteSource& source, std::size_t at_once = 5) {
  std::string out;
  std::vector<char> buffer(at_once);
  for (;;) {
    const std::size_t got = source.read(buffer);
    if (got == 0) return out;
    out.append(buffer.data(), got);
  }
}
std::string unpacked(const std::filesystem::path& file) {
  ByteSource source(file);
  return all_of(source);
}

}  // namespace

TEST_CASE("plain files and archives of gzip and zstd are read alike, whatever their names", "[text]") {
  const Folder folder;
  const std::string text = "one\ntwo\n\xC3\xA4\n";
  for (const std::string& bytes : {text, gzip(text), zstd(text)}) {
    CHECK(unpacked(folder.write("file", bytes)) == text);
    // As they are, where that is asked for.
    ByteSource packed(folder.path() / "file", false);
    CHECK(all_of(packed) == bytes);
    CHECK(packed.taken() == static_cast<std::int64_t>(bytes.size()));
  }
  // Several archives, one after the other.
  CHECK(unpacked(folder.write("file", gzip(text) + gzip("") + gzip("three"))) == text + "three");
  CHECK(unpacked(folder.write("file", zstd(text) + zstd("three"))) == text + "three");
  for (const char* few : {"", "a", "\x1F", "\x28\xB5\x2F"}) CHECK(unpacked(folder.write("file", few)) == few);
  const std::string large(700'000, 'x');
  CHECK(unpacked(folder.write("file", large)) == large);
}

TEST_CASE("a source goes on where it was when it is moved", "[text]") {
  const Folder folder;
  ByteSource first(folder.write("a", gzip("one two")));
  std::array<char, 4> start;
  REQUIRE(first.read(start) == 4);
  ByteSource moved = std::move(first), other(folder.write("b", "other"));
  CHECK(all_of(moved) == "two");
  moved = std::move(other);
  CHECK(all_of(moved) == "other");
}

TEST_CASE("archives that are damaged or cut short, and what cannot be read, are named with the cause",
          "[text]") {
  const Folder folder;
  const std::string text = "one\ntwo\n";
  const auto refused = [&](const std::string& bytes, const char* cause) {
    INFO(cause);
    const auto file = folder.write("bad", bytes);
    CHECK_THROWS_WITH(unpacked(file), Contains((folder.path() / "bad").string() + ": ") && Contains(cause) &&
                                          Contains("get "));
    CHECK_THROWS_AS(unpacked(file), DataError);
  };
  const auto spoiled = [](std::string bytes, std::size_t at) {
    bytes[at] = static_cast<char>(bytes[at] ^ 0x2A);
    return bytes;
  };
  refused(spoiled(gzip(text), 16), "its gzip data is damaged (incorrect data check)");
  refused(gzip(text) + "and more", "its gzip data is damaged (incorrect header check)");
  std::string reserved = zstd(text);
  reserved[6] = static_cast<char>(reserved[6] | 6);  // a kind of block that there is not
  refused(reserved, "its zstd data is damaged (");
  for (std::size_t length = 4; length < gzip(text).size(); length += 3)
    refused(gzip(text).substr(0, length), "its compressed data ends too early");
  for (std::size_t length = 4; length < zstd(text).size(); length += 3)
    refused(zstd(text).substr(0, length), "its compressed data ends too early");
  CHECK_THROWS_WITH(ByteSource(folder.path() / "none"),
                    Contains("none cannot be opened (No such file or directory); check that it exists"));
  CHECK_THROWS_WITH(ByteSource(folder.path()),
                    Contains(folder.path().string() + " could not be read (Is a directory)"));
}

TEST_CASE("an archive is recognised in a pipe that delivers a byte first", "[text]") {
  const Folder folder;
  const auto pipe = folder.path() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const std::string bytes = gzip("through a pipe");
  std::thread writer([&] {
    const int end = ::open(pipe.c_str(), O_WRONLY);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (::write(end, bytes.data() + i, 1) != 1) break;
      // Not before the reader has taken it.
      for (int left = 1; i < 4 && left > 0 && ::ioctl(end, FIONREAD, &left) == 0;) std::this_thread::yield();
    }
    ::close(end);
  });
  CHECK(unpacked(pipe) == "through a pipe");
  writer.join();
  CHECK(unpacked("/dev/null").empty());
}
