#include "tensor/support/error.hpp"

#include <string_view>

namespace gradus {

constinit thread_local ErrorContext* error_context = nullptr;

std::string detail::message(fmt::string_view format, fmt::format_args args) {
  std::string message = fmt::vformat(format, args);
  if (error_context == nullptr) return message;
  const std::string context = error_context->text(*error_context);
  return context.empty() ? message : context + ": " + message;
}

std::string Where::text() const {
  const std::string_view path(file);
  if (path.empty()) return "an unknown place";
  return fmt::format("{}:{}", path.substr(path.find_last_of('/') + 1), line);
}

}  // namespace gradus
