#pragma once

#include <filesystem>
#include <string_view>

namespace gradus {

/// Writes a file whole or not at all: into a temporary one beside it, renamed over the old one when every
/// byte is on the disk. Throws DataError naming the file and the cause (no such folder, no permission, disk
/// full); the old file then stands as it was and nothing is left behind.
void write_file(const std::filesystem::path& path, std::string_view bytes);

/// Throws as write_file would when the file's folder is missing or cannot be written to: to find out before
/// the work whose result it will hold, and not after.
void require_writable(const std::filesystem::path& path);

}  // namespace gradus
