#pragma once

#include <string>

namespace gradus {

/// What this thread is doing, such as calling an op or a module. `fail` puts the text of the innermost
/// context, which includes those around it, before its own. Contexts lie on the stack, each linked to the one
/// around it.
struct ErrorContext {
  ErrorContext* outer;
  /// "at model.cpp:31: in LstmLm.head"; empty when there is nothing to say.
  std::string (*text)(const ErrorContext& innermost);
};

/// The innermost context of this thread, or null.
extern constinit thread_local ErrorContext* error_context;

}  // namespace gradus
