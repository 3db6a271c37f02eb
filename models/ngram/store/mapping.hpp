#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <filesystem>
#include <span>

#include "tensor/support/write_file.hpp"

namespace gradus::models::ngram {

/// A range of memory, which may be that of a file. Movable, not copyable.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept { swap(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Mapping();

  /// A whole file, read-only. Throws DataError naming it. When the file is replaced (by rename, as all
  /// writers here do), the mapping stays as it was.
  static Mapping read(const std::filesystem::path& file);
  /// Memory, on large pages where the system has them. It can grow.
  static Mapping memory();
  /// The future contents of a file; `replaced` must outlive the mapping. It can grow.
  static Mapping write(FileReplacement& replaced);
  /// A file without a name, in the folder of `beside`, that ends with the mapping. It can grow.
  static Mapping scratch(const std::filesystem::path& beside);

  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Grows by zero bytes, or shrinks; addresses change. Throws DataError when the disk or the memory is full.
  void resize(std::size_t size);
  /// Releases the memory that the bytes of a file take in the process; they are read from the file again when
  /// they are used. Does nothing for memory without a file.
  void release() const;

 private:
  void swap(Mapping& other) noexcept;
  void map(std::size_t reserve);
  [[noreturn]] void fail_resizing(int error) const;

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t reserved_ = 0;  // the bytes mapped: memory grows in steps, so that it seldom moves
  int descriptor_ = -1;       // of a file
  bool owned_ = false;        // the descriptor is closed with the mapping
  std::filesystem::path path_;
  FileReplacement* replaced_ = nullptr;
};

}  // namespace gradus::models::ngram
