#pragma once

#include <string>

namespace gradus {

/// What this thread is in the middle of, such as the call of a module: `fail` puts the innermost one's text
/// before its own. Contexts stand on the stack, each inside the one it points to.
struct ErrorContext {
  ErrorContext* outer;
  /// "in LstmLm.head"; empty when there is nothing to say.
  std::string (*text)(ErrorContext& self);
};

/// The innermost context of this thread, or null.
extern constinit thread_local ErrorContext* error_context;

/// Hides the contexts of this thread while it lives: what goes on inside is not the doing of those around.
class NoErrorContext {
 public:
  NoErrorContext() noexcept : hidden_(error_context) { error_context = nullptr; }
  ~NoErrorContext() { error_context = hidden_; }
  NoErrorContext(const NoErrorContext&) = delete;
  NoErrorContext& operator=(const NoErrorContext&) = delete;

 private:
  ErrorContext* hidden_;
};

}  // namespace gradus
