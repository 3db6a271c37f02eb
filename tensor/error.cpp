#include "tensor/error.hpp"

#include <string_view>

namespace gradus {

std::string Where::text() const {
  const std::string_view path(file);
  if (path.empty()) return "an unknown place";
  return fmt::format("{}:{}", path.substr(path.find_last_of('/') + 1), line);
}

}  // namespace gradus
