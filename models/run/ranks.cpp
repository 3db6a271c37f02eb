#include "models/run/ranks.hpp"

namespace gradus::models {

std::vector<std::string> RunRanks::exchange_texts(std::span<const std::string> to_each) {
  std::vector<std::span<const std::byte>> bytes;
  for (const std::string& text : to_each) bytes.push_back(std::as_bytes(std::span(text)));
  std::vector<std::string> out;
  for (const Bytes& came : exchange(bytes))
    out.emplace_back(reinterpret_cast<const char*>(came.data()), came.size());
  return out;
}

std::vector<std::string> RunRanks::gather_all(const std::string& own) {
  return exchange_texts(std::vector<std::string>(static_cast<std::size_t>(size()), own));
}

}  // namespace gradus::models
