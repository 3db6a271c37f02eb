#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace gradus {

template <class Signature>
class FunctionRef;

/// A reference to a callable, for parameters that are used only during the call. Unlike std::function it
/// neither owns the callable nor allocates memory.
template <class Result, class... Arguments>
class FunctionRef<Result(Arguments...)> {
 public:
  template <class F>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): the constraint excludes a FunctionRef.
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>) FunctionRef(F&& f)
  noexcept
      : function_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* function, Arguments... arguments) -> Result {
          return (*static_cast<std::remove_reference_t<F>*>(function))(std::forward<Arguments>(arguments)...);
        }) {}

  Result operator()(Arguments... arguments) const {
    return call_(function_, std::forward<Arguments>(arguments)...);
  }

 private:
  void* function_;
  Result (*call_)(void*, Arguments...);
};

}  // namespace gradus
