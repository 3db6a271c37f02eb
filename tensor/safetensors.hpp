#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "tensor/files/stored_array.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

/// The content of a safetensors file: tensors by name, and strings by key. The format is the length of the
/// header in 8 bytes, a JSON header with each tensor's dtype, shape and position, then the tensors' elements.
/// PyTorch and others read and write it. (Files of every kind, other types of numbers, several parts:
/// tensor/files/stored_array.hpp.)
struct Safetensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// The same as what a file holds, sharing the tensors' storage.
StoredArrays stored(const Safetensors& content);

/// Writes a file, replacing an older one. Throws DataError naming the file; the older one then stays as it
/// was.
void save_safetensors(const std::filesystem::path& file, const Safetensors& content);

/// The bytes of such a file, which parse_safetensors reads.
std::string safetensors_bytes(const Safetensors& content);

/// Reads every tensor of a file: F16, BF16, BOOL and integers of 8 and 16 bits as f32, longer integers as
/// f64. Throws DataError, naming the file and the tensor, when something is missing, truncated, of another
/// dtype, inconsistent, or an integer that f64 does not hold exactly.
Safetensors load_safetensors(const std::filesystem::path& file);
/// The same for the bytes of a file; errors call it `name`.
Safetensors parse_safetensors(std::string_view bytes, const std::string& name);

}  // namespace gradus
