#include "distributed/run_ranks.hpp"

namespace gradus::distributed {

std::vector<std::string> RunRanks::exchange(std::span<const std::string> to_each) {
  std::vector<std::span<const std::byte>> bytes;
  for (const std::string& text : to_each) bytes.push_back(std::as_bytes(std::span(text)));
  std::vector<std::string> out;
  for (const auto& came : all_.exchange(bytes))
    out.emplace_back(reinterpret_cast<const char*>(came.data()), came.size());
  return out;
}

}  // namespace gradus::distributed
