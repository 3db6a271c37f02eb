#pragma once

// Internal: not part of the public interface.

#include <string>
#include <string_view>

namespace gradus {

/// A symbol on a line of its own: \\ \n \t \r, and \xHH for other control characters and for bytes that are
/// no UTF-8.
std::string escaped(std::string_view symbol);
/// Appends what was escaped; false for what is no escape.
bool unescape(std::string_view text, std::string& out);

}  // namespace gradus
