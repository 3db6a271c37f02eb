#pragma once

#include <filesystem>
#include <string>

namespace gradus {

/// All bytes of a file. Throws DataError, naming the file and the cause, when it is missing, a folder, or
/// cannot be read.
std::string read_file(const std::filesystem::path& file);

}  // namespace gradus
