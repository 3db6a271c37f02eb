#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gradus {

/// What a message about an unknown name ends with: "; did you mean 'x'?" of the nearest of the names that
/// there are or, where none is near, "; there are x, y".
std::string suggestion(std::string_view given, const std::vector<std::string>& names);

}  // namespace gradus
