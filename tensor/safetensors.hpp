#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "tensor/tensor.hpp"

namespace gradus {

/// The content of a safetensors file: tensors by name, and strings by key. The format is the length of the
/// header in 8 bytes, a JSON header with each tensor's dtype, shape and position, then the tensors' elements.
/// PyTorch and others read and write it.
struct Safetensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Writes a file, replacing an older one. Throws DataError naming the file; the older one then stays as it
/// was.
void save_safetensors(const std::filesystem::path& file, const Safetensors& content);

/// Reads a file of F32 and F64 tensors. Throws DataError, naming the file and the tensor, when something is
/// missing, truncated, of another dtype or inconsistent.
Safetensors load_safetensors(const std::filesystem::path& file);
/// The same for the bytes of a file; errors call it `name`.
Safetensors parse_safetensors(std::string_view bytes, const std::string& name);

}  // namespace gradus
