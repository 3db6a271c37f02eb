#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "tensor/support/write_file.hpp"

namespace gradus::models::ngram {

/// Bytes in the address space of the process, of a file or of memory alone. Moves, does not copy.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept { swap(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Mapping();

  /// A whole file, to be read only. Throws DataError naming it. Later replacement of the file by another (by
  /// rename, as all writers here do) leaves the mapping as it was.
  static Mapping read(const std::filesystem::path& file);
  /// Memory, on large pages where the system has them; grows.
  static Mapping memory();
  /// What will be the file `replaced`, which must outlive it; grows.
  static Mapping write(FileReplacement& replaced);
  /// A file without a name in the folder of `beside`, gone with the mapping; grows.
  static Mapping scratch(const std::filesystem::path& beside);

  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Grows by zero bytes, or shrinks; addresses change. Throws DataError when the disk or the memory is full.
  void resize(std::size_t size);
  /// Gives back the memory that a file's bytes take in the process; they stay in the file, and come back
  /// where they are read or written again. Of memory alone: nothing happens.
  void release() const;

 private:
  void swap(Mapping& other) noexcept;
  void map(std::size_t reserve);
  [[noreturn]] void fail_resizing(int error) const;

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t reserved_ = 0;  // of memory: what is mapped, in steps, so that growing seldom moves it
  int descriptor_ = -1;       // of files that grow
  bool owned_ = false;        // the descriptor is closed with the mapping
  std::filesystem::path path_;
  FileReplacement* replaced_ = nullptr;
};

}  // namespace gradus::models::ngram
