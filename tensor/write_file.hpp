#pragma once

#include <filesystem>
#include <string_view>

namespace gradus {

/// Writes a file whole or not at all: into a temporary one beside it, renamed over the old one when every byte
/// is on the disk. Throws DataError naming the file and the cause (no such folder, no permission, disk full);
/// the old file then stands as it was and nothing is left behind.
void write_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace gradus
