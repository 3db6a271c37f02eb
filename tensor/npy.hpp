#pragma once

#include <filesystem>

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

/// Reads a NumPy array file (.npy, versions 1 to 3, C order) of f4 or f8 in either byte order. Throws
/// DataError, naming the file and what was found, when it is missing, not .npy, in Fortran order, of another
/// dtype, of a shape that no Tensor can have, or truncated.
Tensor load_npy(const std::filesystem::path& file);
/// The same for i4 and i8. Throws DataError also for a value that does not fit into 32 bits.
Indices load_npy_indices(const std::filesystem::path& file);

/// Writes a .npy file of version 1, little-endian, replacing an older file. Throws DataError naming the file;
/// the older one then stays as it was.
void save_npy(const std::filesystem::path& file, const Tensor& tensor);

}  // namespace gradus
