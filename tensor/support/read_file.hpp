#pragma once

#include <filesystem>
#include <string>

namespace gradus {

/// All bytes of a file. Throws DataError naming it and the cause: missing, a folder, not readable.
std::string read_file(const std::filesystem::path& file);

}  // namespace gradus
