#pragma once

#include <filesystem>

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

/// Reads a NumPy array file (.npy, versions 1 to 3, C order) of f4 or f8, either byte order. Throws DataError
/// naming the file and what was found: missing, not .npy, Fortran order, another dtype, cut short.
Tensor load_npy(const std::filesystem::path& file);
/// The same for i4 and i8 ids; throws DataError for a value that 32 bits do not hold.
Indices load_npy_indices(const std::filesystem::path& file);

/// Writes a .npy file, version 1, little-endian, whole or not at all. Throws DataError naming the file.
void save_npy(const std::filesystem::path& file, const Tensor& tensor);

}  // namespace gradus
