#pragma once

#include <string>

namespace gradus {

/// What this thread is in the middle of, such as the call of an op or a module: `fail` puts the text of the
/// innermost one, which tells of those around it too, before its own. Contexts stand on the stack, each inside
/// the one that it points to.
struct ErrorContext {
  ErrorContext* outer;
  /// "at model.cpp:31: in LstmLm.head"; empty when there is nothing to say.
  std::string (*text)(const ErrorContext& innermost);
};

/// The innermost context of this thread, or null.
extern constinit thread_local ErrorContext* error_context;

}  // namespace gradus
