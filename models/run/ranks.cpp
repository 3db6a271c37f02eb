#include "models/run/ranks.hpp"

namespace gradus::models {

namespace {

std::vector<std::string> texts(const std::vector<Team::Bytes>& all) {
  std::vector<std::string> out;
  for (const Team::Bytes& one : all) out.emplace_back(reinterpret_cast<const char*>(one.data()), one.size());
  return out;
}

}  // namespace

std::vector<std::string> RunRanks::exchange_texts(std::span<const std::string> to_each) {
  std::vector<std::span<const std::byte>> bytes;
  for (const std::string& text : to_each) bytes.push_back(std::as_bytes(std::span(text)));
  return texts(exchange(bytes));
}

std::vector<std::string> RunRanks::gather_texts(const std::string& own) {
  return texts(gather_all(std::as_bytes(std::span(own))));
}

}  // namespace gradus::models
