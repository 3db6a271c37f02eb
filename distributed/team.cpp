#include "distributed/team.hpp"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

namespace gradus::distributed {

namespace {

/// A signal came.
class Interrupted : public Error {
 public:
  explicit Interrupted(int code) : Error("the work was interrupted"), code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

/// Names the first line that differs.
[[noreturn]] void refuse(const std::string& identity, const std::string& first) {
  std::istringstream own(identity), other(first);
  std::string line, other_line;
  do {
    line.clear();
    other_line.clear();
    std::getline(own, line);
    std::getline(other, other_line);
  } while (line == other_line && (own || other));
  gradus::fail<ArgumentError>(
      "the processes were started with different programs or options, '{}' here and '{}' in rank 0", line,
      other_line);
}

}  // namespace

/// Each member's code is that of a failure, which its bytes then tell of.
std::vector<models::Team::Bytes> ProcessTeam::swap(std::span<const std::span<const std::byte>> to_each,
                                                   int code, std::span<std::int64_t> codes) {
  in_exchange_ = true;
  std::vector<Bytes> out = all_.exchange(to_each, code, codes);
  in_exchange_ = false;
  return out;
}

Failure ProcessTeam::agreed(std::span<const Bytes> messages, std::span<const std::int64_t> codes) const {
  const auto first = static_cast<std::size_t>(
      std::find_if(codes.begin(), codes.end(), [](std::int64_t code) { return code != 0; }) - codes.begin());
  const auto text = [&](std::size_t r) {
    return std::string(reinterpret_cast<const char*>(messages[r].data()), messages[r].size());
  };
  Failure out{static_cast<int>(codes[first]), text(first)};
  bool alike = true;
  for (std::size_t r = 0; r < codes.size(); ++r) alike &= codes[r] == out.code && text(r) == out.message;
  if (!alike) out.message = all_.name(static_cast<int>(first)) + ": " + out.message;
  return out;
}

std::vector<models::Team::Bytes> ProcessTeam::exchange(std::span<const std::span<const std::byte>> to_each) {
  if (static_cast<int>(to_each.size()) != size())
    gradus::fail<ArgumentError>("exchange: {} messages for {} processes", to_each.size(), size());
  const int interruption = interrupted_ ? interrupted_() : 0;
  if (interruption != 0) throw Interrupted(interruption);
  std::vector<std::int64_t> codes(to_each.size());
  std::vector<Bytes> out = swap(to_each, 0, codes);
  if (std::ranges::any_of(codes, [](std::int64_t code) { return code != 0; }))
    throw MemberFailed(agreed(out, codes));
  return out;
}

Failure ProcessTeam::fail(const Failure& own) {
  // The others would take what follows for the rest of an exchange that failed half way.
  if (in_exchange_) throw RankLost(rank(), all_.name(rank()) + ": " + own.message);
  const std::vector<std::span<const std::byte>> to_each(static_cast<std::size_t>(size()),
                                                        std::as_bytes(std::span(own.message)));
  std::vector<std::int64_t> codes(to_each.size());
  std::vector<Bytes> out = swap(to_each, own.code, codes);
  return agreed(out, codes);
}

std::optional<Failure> work_together(ProcessTeam& team, const std::string& identity,
                                     FunctionRef<void(models::Team&)> work,
                                     FunctionRef<Failure(std::exception_ptr)> describe) {
  try {
    const std::string first = team.broadcast(identity);
    if (first != identity) refuse(identity, first);
    work(team);
    // No one ends before all have come this far.
    static_cast<void>(team.collect({}));
    return std::nullopt;
  } catch (const RankLost&) {
    throw;
  } catch (const MemberFailed& told) {
    return told.failure();
  } catch (const Interrupted& signal) {
    return team.fail({signal.code(), signal.what()});
  } catch (...) {
    return team.fail(describe(std::current_exception()));
  }
}

}  // namespace gradus::distributed
