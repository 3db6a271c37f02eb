#include "models/window.hpp"

#include <vector>

namespace gradus::models {

Window Window::filled(std::int64_t reach, std::int64_t batch, std::int64_t padding) {
  return {Indices(
      std::vector<std::int32_t>(static_cast<std::size_t>(reach * batch), static_cast<std::int32_t>(padding)),
      {reach, batch})};
}

std::pair<Indices, Window> Window::read(const Indices& x) const {
  const std::int64_t reach = tokens.dim(0), steps = x.dim(0), batch = x.dim(1);
  std::vector<std::int32_t> ids(tokens.values().begin(), tokens.values().end());
  ids.insert(ids.end(), x.values().begin(), x.values().end());
  Window next{Indices(std::vector<std::int32_t>(ids.end() - reach * batch, ids.end()), {reach, batch})};
  return {Indices(std::move(ids), {reach + steps, batch}), std::move(next)};
}

}  // namespace gradus::models
