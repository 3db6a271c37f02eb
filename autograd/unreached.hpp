#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/members.hpp"

namespace gradus {

/// The paths of a model's parameters that no gradient reaches: an optimizer leaves them as they are. Either
/// the loss does not depend on them (a part that is not called, or stands behind `detach`), or the gradients
/// are another model's. The library prints nothing by itself: ask after the first backward.
template <class M>
std::vector<std::string> unreached(const M& model, const Gradients& gradients) {
  std::vector<std::string> out;
  for_each_parameter(model, [&](const std::string& path, const Parameter& parameter) {
    if (!gradients.contains(parameter)) out.push_back(path);
  });
  return out;
}

/// Writes one line that names them to the stream, when there are any; true when there were.
template <class M>
bool warn_unreached(const M& model, const Gradients& gradients, std::ostream& to) {
  const std::vector<std::string> paths = unreached(model, gradients);
  if (paths.empty()) return false;
  to << "warning: no gradient reaches " << paths.size() << " parameter" << (paths.size() == 1 ? "" : "s")
     << " of the model, so training will not change " << (paths.size() == 1 ? "it" : "them") << ": ";
  for (std::size_t i = 0; i < paths.size(); ++i) to << (i == 0 ? "" : ", ") << paths[i];
  to << '\n';
  return true;
}

}  // namespace gradus
