#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/members.hpp"

namespace gradus {

/// The paths of a model's parameters that no gradient reaches, but for frozen ones: an optimizer leaves them
/// as they are. The loss does not depend on them (a part is not called, or is used through `detach`), or the
/// gradients are another model's. The library never prints by itself; call this after the first backward.
template <class M>
std::vector<std::string> unreached(const M& model, const Gradients& gradients) {
  std::vector<std::string> out;
  for_each_parameter(model, [&](const std::string& path, const Parameter& parameter) {
    if (!gradients.contains(parameter) && !parameter.is_frozen()) out.push_back(path);
  });
  return out;
}

/// Writes a line that names them to the stream if there are any; true if there were.
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
