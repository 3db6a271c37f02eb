#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gradus::models {

/// Processes that do one piece of work together, its members. All make the same calls in the same order, and
/// every call throws where another member has failed. This one is a team of one process;
/// distributed::ProcessTeam is of several. One thread at a time may use it.
class Team {
 public:
  using Bytes = std::vector<std::byte>;

  virtual ~Team() = default;
  virtual int rank() const { return 0; }
  virtual int size() const { return 1; }
  bool alone() const { return size() == 1; }
  bool leads() const { return rank() == 0; }

  /// Entry r of `to_each`, one for each member, goes to the member of rank r; the result has what came from
  /// each.
  virtual std::vector<Bytes> exchange(std::span<const std::span<const std::byte>> to_each);

  /// What the member of rank `from` gives, whatever the others give.
  Bytes broadcast(std::span<const std::byte> bytes, int from = 0);
  std::string broadcast(const std::string& text, int from = 0);
  /// What each member gives.
  std::vector<Bytes> gather_all(std::span<const std::byte> own);
  /// The same, at rank 0; nothing of the others at the other ranks.
  std::vector<Bytes> collect(std::span<const std::byte> own);
  /// Replaces each number by the sum of all members'.
  void sum(std::span<std::uint64_t> numbers);
  std::uint64_t sum(std::uint64_t number) {
    sum(std::span(&number, 1));
    return number;
  }
  /// The largest of the members' numbers.
  std::uint64_t most(std::uint64_t own);

 private:
  std::size_t count() const { return static_cast<std::size_t>(size()); }
};

/// Appends the bytes of values, and reads them back in the same order.
template <class T>
void put(Team::Bytes& to, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  to.insert(to.end(), bytes.begin(), bytes.end());
}
template <class T>
void put(Team::Bytes& to, const T& value) {
  put(to, std::span<const T>(&value, 1));
}

/// The same of a text, with its length.
void put_text(Team::Bytes& to, std::string_view text);

class TeamReader {
 public:
  explicit TeamReader(std::span<const std::byte> from) : left_(from) {}
  bool at_end() const { return left_.empty(); }
  /// Fills the values. Throws DataError where there are not so many.
  template <class T>
  void get(std::span<T> values) {
    copy(std::as_writable_bytes(values));
  }
  std::string get_text();
  template <class T>
  T get() {
    T out{};
    get(std::span(&out, 1));
    return out;
  }

 private:
  void copy(std::span<std::byte> to);
  std::span<const std::byte> left_;
};

}  // namespace gradus::models
