#pragma once

#include <string>
#include <vector>

#include "autograd/members.hpp"

namespace gradus {

namespace detail {
/// Whether one of the patterns matches a path: in them * stands for any characters and ? for one.
bool matches(const std::vector<std::string>& patterns, const std::string& path);
/// Throws ArgumentError for patterns that match no parameter of a model with these paths.
[[noreturn]] void fail_unmatched(const char* function, const std::vector<std::string>& patterns,
                                 const std::vector<std::string>& paths);
/// Calls visit(parameter) for each parameter that a pattern matches. Throws ArgumentError when there is none.
template <class M, class Visit>
void for_each_matching(const char* function, M& module, const std::vector<std::string>& patterns,
                       const Visit& visit) {
  std::vector<std::string> paths;
  bool any = false;
  for_each_parameter(module, [&](const std::string& path, auto& parameter) {
    paths.push_back(path);
    if (!matches(patterns, path)) return;
    any = true;
    visit(parameter);
  });
  if (!any) fail_unmatched(function, patterns, paths);
}
}  // namespace detail

/// Makes constants of a module's parameters (Parameter::freeze): for fine-tuning a part of a trained model.
///
///   freeze(model);              // all of it
///   unfreeze(model.head);       // and a part that is trained
///   freeze(model, {"*bias"});   // by their paths, as Optimizer::for_parameters takes them
///
/// Between steps, not while a tape records the module. An optimizer keeps the state of frozen parameters, and
/// goes on with it when they are unfrozen.
template <class M>
void freeze(M& module) {
  for_each_unnamed_parameter(module, [](Parameter& parameter) { parameter.freeze(); });
}
/// Takes that back: the parameters are trained again.
template <class M>
void unfreeze(M& module) {
  for_each_unnamed_parameter(module, [](Parameter& parameter) { parameter.unfreeze(); });
}
/// Throws ArgumentError when no parameter matches; one of several patterns may match none.
template <class M>
void freeze(M& module, const std::vector<std::string>& patterns) {
  detail::for_each_matching("freeze", module, patterns, [](Parameter& parameter) { parameter.freeze(); });
}
template <class M>
void unfreeze(M& module, const std::vector<std::string>& patterns) {
  detail::for_each_matching("unfreeze", module, patterns, [](Parameter& parameter) { parameter.unfreeze(); });
}

}  // namespace gradus
