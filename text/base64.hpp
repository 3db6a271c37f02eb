#pragma once

// Internal: not part of the public interface.

#include <optional>
#include <string>
#include <string_view>

namespace gradus {

/// Bytes as lines of base64 (RFC 4648), each with its line end.
std::string base64_lines(std::string_view bytes);
/// The reverse; nothing for what is no such text.
std::optional<std::string> from_base64_lines(std::string_view text);

}  // namespace gradus
