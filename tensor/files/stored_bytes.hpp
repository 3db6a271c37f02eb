#pragma once

// Internal: where the bytes of arrays are.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tensor/support/function_ref.hpp"

namespace gradus::files {

/// Takes bytes piece by piece.
using TakeBytes = FunctionRef<void(std::string_view)>;

/// Bytes that are read from any place on: those of a file, of an entry of a zip file, or in memory.
class StoredBytes {
 public:
  explicit StoredBytes(std::string name) : name_(std::move(name)) {}
  StoredBytes(const StoredBytes&) = delete;
  StoredBytes& operator=(const StoredBytes&) = delete;
  virtual ~StoredBytes() = default;

  /// What errors call them.
  const std::string& name() const { return name_; }
  virtual std::uint64_t size() const = 0;
  /// Gives `length` bytes from `begin` on, which are there, to `take`, in pieces whose lengths are multiples
  /// of 8 but for the last. Throws DataError when they cannot be read any more.
  virtual void read(std::uint64_t begin, std::uint64_t length, TakeBytes take) const = 0;
  /// The same as one string; fewer bytes where they end before.
  std::string bytes(std::uint64_t begin, std::uint64_t length) const;

 private:
  std::string name_;
};
using SharedBytes = std::shared_ptr<const StoredBytes>;

/// The bytes of a file, which is held open and read where and when bytes are wanted. It is not mapped into
/// memory: reading a mapped file that another program cuts short ends a program. A pipe is read to its end.
/// Throws DataError as read_file does.
SharedBytes open_bytes(const std::filesystem::path& file);
/// Bytes in memory, which must outlive what is made of them.
SharedBytes borrowed_bytes(std::string_view bytes, const std::string& name);
SharedBytes owned_bytes(std::string bytes, const std::string& name);

/// The unsigned number in `count` bytes, the lowest first.
inline std::uint64_t little_endian(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < count; ++i)
    out |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return out;
}
inline void append_little_endian(std::string& bytes, std::uint64_t value, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 255);
}

}  // namespace gradus::files
