#pragma once

#include <filesystem>
#include <string_view>

namespace gradus {

/// Whether a path names the standard output: "-", which all that writes a model takes for it, or
/// "/dev/stdout" and the like. It is written to as it is: what it leads to is never replaced.
bool is_standard_output(const std::filesystem::path& path);

/// Throws DataError, naming the cause, when the bytes cannot all be written.
void write_standard_output(std::string_view bytes);

}  // namespace gradus
