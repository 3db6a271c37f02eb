#pragma once

// Internal: the formats that open_arrays and save_arrays know.

#include "tensor/files/file_sink.hpp"
#include "tensor/files/stored_array.hpp"
#include "tensor/files/stored_bytes.hpp"
#include "tensor/files/zip.hpp"

namespace gradus::files {

/// The longest header, index or pickle that is read: what is made of it takes many times its size.
inline constexpr std::uint64_t most_header_bytes = 100'000'000;

StoredArrays read_safetensors(const SharedBytes& bytes);
/// The index of a file in several parts, which lie in `folder`.
StoredArrays read_safetensors_index(const SharedBytes& bytes, const std::filesystem::path& folder);
StoredArrays read_npz(const ZipReader& zip);
StoredArrays read_torch(const ZipReader& zip);

/// The bytes of one file, and the file itself.
std::string safetensors_bytes(const StoredArrays& content);
void write_safetensors(const std::filesystem::path& file, const StoredArrays& content);
/// Writes parts of at most `max_bytes` and their index, whose path this returns.
std::filesystem::path write_safetensors_parts(const std::filesystem::path& file, const StoredArrays& content,
                                              std::uint64_t max_bytes);
void write_npz(const std::filesystem::path& file, const StoredArrays& content, bool compressed);
void write_torch(const std::filesystem::path& file, const StoredArrays& content);

/// What stands before the numbers of a .npy file.
struct NpyHeader {
  Layout layout;
  std::uint64_t begin = 0;  // of the numbers
};
/// Throws DataError, calling the file by its bytes' name, when it is no .npy file of numbers or was cut
/// short.
NpyHeader read_npy_header(const StoredBytes& bytes);
/// The header of a file of version 1, padded as NumPy pads it. Throws ArgumentError for bf16, which NumPy
/// lacks.
std::string npy_header(NumberType type, const Shape& shape);

}  // namespace gradus::files
