#pragma once

#include <string_view>

namespace gradus {

/// That of the library and of its program.
inline constexpr std::string_view version = "0.1.0";

}  // namespace gradus
