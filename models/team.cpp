#include "models/team.hpp"

#include <algorithm>
#include <cstring>

#include "tensor/support/error.hpp"

namespace gradus::models {

std::vector<Team::Bytes> Team::exchange(std::span<const std::span<const std::byte>> to_each) {
  return {Bytes(to_each[0].begin(), to_each[0].end())};
}

Team::Bytes Team::broadcast(std::span<const std::byte> bytes, int from) {
  const std::vector<std::span<const std::byte>> to_each(
      count(), rank() == from ? bytes : std::span<const std::byte>());
  return std::move(exchange(to_each)[static_cast<std::size_t>(from)]);
}

std::string Team::broadcast(const std::string& text, int from) {
  const Bytes out = broadcast(std::as_bytes(std::span(text)), from);
  return {reinterpret_cast<const char*>(out.data()), out.size()};
}

std::vector<Team::Bytes> Team::gather_all(std::span<const std::byte> own) {
  return exchange(std::vector<std::span<const std::byte>>(count(), own));
}

std::vector<Team::Bytes> Team::collect(std::span<const std::byte> own) {
  std::vector<std::span<const std::byte>> to_each(count());
  to_each[0] = own;
  return exchange(to_each);
}

/// Each member adds up one part of the numbers and gives the sums to all, so that no one holds all numbers of
/// all.
void Team::sum(std::span<std::uint64_t> numbers) {
  if (alone()) return;
  const std::size_t part = (numbers.size() + count() - 1) / count();
  const auto of = [&](std::size_t r) {
    const std::size_t begin = std::min(r * part, numbers.size());
    return numbers.subspan(begin, std::min(part, numbers.size() - begin));
  };
  std::vector<std::span<const std::byte>> to_each(count());
  for (std::size_t r = 0; r < count(); ++r) to_each[r] = std::as_bytes(of(r));
  const std::span<std::uint64_t> own = of(static_cast<std::size_t>(rank()));
  std::vector<std::uint64_t> sums(own.size());
  for (const Bytes& bytes : exchange(to_each)) {
    TeamReader reader(bytes);
    for (std::uint64_t& sum : sums) sum += reader.get<std::uint64_t>();
  }
  std::fill(to_each.begin(), to_each.end(), std::as_bytes(std::span(sums)));
  const std::vector<Bytes> all = exchange(to_each);
  for (std::size_t r = 0; r < count(); ++r) TeamReader(all[r]).get(of(r));
}

std::uint64_t Team::most(std::uint64_t own) {
  for (const Bytes& bytes : gather_all(std::as_bytes(std::span(&own, 1))))
    own = std::max(own, TeamReader(bytes).get<std::uint64_t>());
  return own;
}

void put_text(Team::Bytes& to, std::string_view text) {
  put(to, std::uint64_t{text.size()});
  put(to, std::span<const char>(text));
}

std::string TeamReader::get_text() {
  const auto size = get<std::uint64_t>();
  std::string out(std::min<std::uint64_t>(size, left_.size()), '\0');
  copy(std::as_writable_bytes(std::span(out)));
  return out;
}

void TeamReader::copy(std::span<std::byte> to) {
  if (to.size() > left_.size())
    fail<DataError>("another process of the team sent {} bytes in place of {}", left_.size(), to.size());
  if (!to.empty()) std::memcpy(to.data(), left_.data(), to.size());
  left_ = left_.subspan(to.size());
}

}  // namespace gradus::models
