#pragma once

// Internal: zip files, which .npz and .pt files are.

#include <map>
#include <string>

#include "tensor/files/file_sink.hpp"
#include "tensor/files/stored_bytes.hpp"

namespace gradus::files {

/// The entries of a zip file, stored or deflated, zip64 too. Neither encrypted ones nor files in several
/// volumes are read.
class ZipReader {
 public:
  struct Entry {
    std::uint64_t header = 0;  // where its local header begins
    std::uint64_t packed = 0, size = 0;
    std::uint32_t crc = 0;
    bool deflated = false;
  };

  static bool is_zip(std::string_view first_bytes);

  /// Throws DataError when the list of entries is damaged or names one twice.
  explicit ZipReader(SharedBytes bytes);

  const std::string& name() const { return bytes_->name(); }
  const std::map<std::string, Entry>& entries() const { return entries_; }
  /// The bytes of an entry, inflated when they are read, from their beginning each time. With `checked`, what
  /// reads the last of them also compares their checksum. Throws DataError when the entry cannot lie where it
  /// should, or its size is more than what deflating could have packed into its bytes.
  SharedBytes open(const std::string& name, bool checked) const;

 private:
  void read_directory(std::uint64_t begin, std::uint64_t size, std::uint64_t count);

  SharedBytes bytes_;
  std::map<std::string, Entry> entries_;
};

/// Writes a zip file, zip64 where something is too large for less.
class ZipWriter {
 public:
  explicit ZipWriter(FileSink& sink) : sink_(sink) {}

  struct EntryOptions {
    bool deflated = false;
    bool aligned = false;  // the bytes begin at a multiple of 64, as PyTorch's do
  };
  /// Adds an entry of `size` bytes, which `read` gives, to be called twice.
  void add(const std::string& name, std::uint64_t size, FunctionRef<void(TakeBytes)> read,
           EntryOptions options);
  void add(const std::string& name, std::string_view bytes, EntryOptions options);
  /// Writes the list of entries, after the last of them.
  void finish();

 private:
  FileSink& sink_;
  std::string directory_;
  std::uint64_t count_ = 0;
};

}  // namespace gradus::files
