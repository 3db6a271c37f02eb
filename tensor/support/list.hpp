#pragma once

#include <concepts>
#include <initializer_list>
#include <span>

namespace gradus {

/// What an op takes for a list, for the length of the call: `{a, b}`, a vector, an array or a span.
template <class T>
class List : public std::span<const T> {
 public:
  List(std::initializer_list<T> list) : std::span<const T>(list.begin(), list.size()) {}
  template <class Range>
  requires std::convertible_to<const Range&, std::span<const T>> List(const Range& range)
      : std::span<const T>(range) {}
};

}  // namespace gradus
