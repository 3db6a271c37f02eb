#include "optim/layer_groups.hpp"

#include <string_view>

namespace gradus::optim::detail {

namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

/// The layer that a name such as "weight_ih_l1" or "weight_ih_l1_reverse" ends with, "l1", or nothing.
std::string_view recurrent_layer(std::string_view name) {
  constexpr std::string_view reverse = "_reverse";
  if (name.ends_with(reverse)) name.remove_suffix(reverse.size());
  const std::size_t at = name.rfind("_l");
  if (at == name.npos || !is_number(name.substr(at + 2))) return {};
  return name.substr(at + 1);
}

/// What names the group of a parameter.
std::string group_of(std::string_view path) {
  std::string_view first;  // the part of the model
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t end = std::min(path.find('.', from), path.size());
    const std::string_view name = path.substr(from, end - from);
    if (is_number(name)) return std::string(path.substr(0, end));
    if (const std::string_view layer = recurrent_layer(name); !layer.empty())
      return std::string(path.substr(0, from)) + std::string(layer);
    if (from == 0) first = name;
    from = end + 1;
  }
  return std::string(first);
}

}  // namespace

LayerGroups layer_groups(const std::vector<std::string>& paths) {
  LayerGroups out;
  std::vector<std::string> names;
  for (const std::string& path : paths) {
    const std::string name = group_of(path);
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) {
      names.push_back(name);
      out.push_back({path});
    } else {
      out[static_cast<std::size_t>(found - names.begin())].push_back(path);
    }
  }
  return out;
}

}  // namespace gradus::optim::detail
