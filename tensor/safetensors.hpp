#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "tensor/tensor.hpp"

namespace gradus {

/// What a safetensors file holds: tensors by name, and strings by key. The format: 8 bytes of length, a JSON
/// header with each tensor's dtype, shape and place, then the numbers; PyTorch and others read and write it.
struct Safetensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Writes a file whole or not at all. Throws DataError naming the file.
void save_safetensors(const std::filesystem::path& file, const Safetensors& content);

/// Reads a file of F32 and F64 tensors. Throws DataError naming the file and the tensor for what is missing,
/// cut short, of another dtype or contradicts itself.
Safetensors load_safetensors(const std::filesystem::path& file);
/// The same of a file's bytes; `name` is what errors call it.
Safetensors parse_safetensors(std::string_view bytes, const std::string& name);

}  // namespace gradus
