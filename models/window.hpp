#pragma once

#include <cstdint>
#include <utility>

#include "tensor/indices.hpp"

namespace gradus::models {

/// The state of a network that sees the last few tokens only: those that stand before the next one to be
/// read.
struct Window {
  Indices tokens;  // (reach, batch)

  /// Before a text begins, `padding` stands in their place.
  static Window filled(std::int64_t reach, std::int64_t batch, std::int64_t padding);
  /// The tokens of the window and behind them x, (time, batch): (reach + time, batch), and the window after
  /// x.
  std::pair<Indices, Window> read(const Indices& x) const;
};
inline Window detach(const Window& window) {
  return window;
}

}  // namespace gradus::models
