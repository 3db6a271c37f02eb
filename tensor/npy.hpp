#pragma once

#include <filesystem>

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

/// Reads a NumPy array file (.npy, versions 1 to 3, C or Fortran order) of f2, f4 or f8 in either byte order;
/// f2 becomes f32. Throws DataError, naming the file and what was found, when it is missing, not .npy, of
/// another dtype, of a shape that no Tensor can have, or truncated. (Several arrays, .npz: open_arrays in
/// tensor/files/stored_array.hpp.)
Tensor load_npy(const std::filesystem::path& file);
/// The same for integers of 1 to 8 bytes, signed or not, and bools. Throws DataError also for a value that
/// does not fit into 32 bits.
Indices load_npy_indices(const std::filesystem::path& file);

/// Writes a .npy file of version 1, little-endian, replacing an older file. Throws DataError naming the file;
/// the older one then stays as it was.
void save_npy(const std::filesystem::path& file, const Tensor& tensor);

}  // namespace gradus
