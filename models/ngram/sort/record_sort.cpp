#include "models/ngram/sort/record_store.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

namespace {

template <std::size_t Keys>
struct Record {
  std::uint64_t words[Keys + 1];

  bool operator<(const Record& other) const {
    for (std::size_t i = 0; i + 1 < Keys; ++i) {
      if (words[i] != other.words[i]) return words[i] < other.words[i];
    }
    return words[Keys - 1] < other.words[Keys - 1];
  }
};

template <std::size_t Keys>
void insertion_sort(Record<Keys>* records, std::size_t count) {
  for (std::size_t i = 1; i < count; ++i) {
    if (!(records[i] < records[i - 1])) continue;
    const Record<Keys> moved = records[i];
    std::size_t to = i;
    do {
      records[to] = records[to - 1];
      --to;
    } while (to > 0 && moved < records[to - 1]);
    records[to] = moved;
  }
}

/// Radix sort from the highest bits in which the records differ; few records are sorted by insertion.
template <std::size_t Keys>
void radix_sort(Record<Keys>* records, std::size_t count, Record<Keys>* spare) {
  constexpr std::size_t few = 24;
  if (count <= few) return insertion_sort(records, count);

  std::array<std::uint64_t, Keys> differ{};
  for (std::size_t i = 1; i < count; ++i) {
    for (std::size_t k = 0; k < Keys; ++k) differ[k] |= records[i].words[k] ^ records[0].words[k];
  }
  std::size_t key = 0;
  while (key < Keys && differ[key] == 0) ++key;
  if (key == Keys) return;  // all equal

  constexpr int most = 11;
  const int digit = std::min(most, static_cast<int>(std::bit_width(count)) - 3);
  const int lead = std::countl_zero(differ[key]);
  const auto digit_of = [&](const Record<Keys>& record) {
    return static_cast<std::size_t>(record.words[key] << lead >> (64 - digit));
  };
  std::array<std::uint32_t, (std::size_t{1} << most) + 1> ends;
  const std::size_t digits = std::size_t{1} << digit;
  std::fill_n(ends.begin(), digits, 0);
  for (std::size_t i = 0; i < count; ++i) ++ends[digit_of(records[i])];
  std::uint32_t sum = 0;
  for (std::size_t d = 0; d < digits; ++d) {
    const std::uint32_t here = ends[d];
    ends[d] = sum;
    sum += here;
  }
  for (std::size_t i = 0; i < count; ++i) spare[ends[digit_of(records[i])]++] = records[i];
  std::memcpy(static_cast<void*>(records), spare, count * sizeof(Record<Keys>));
  std::size_t begin = 0;
  for (std::size_t d = 0; d < digits; ++d) {
    const std::size_t end = ends[d];
    if (end - begin > 1) radix_sort(records + begin, end - begin, spare + begin);
    begin = end;
  }
}

template <std::size_t Keys>
void sort_as(std::uint64_t* records, std::size_t count, std::uint64_t* spare) {
  static_assert(sizeof(Record<Keys>) == (Keys + 1) * sizeof(std::uint64_t));
  auto* const typed = reinterpret_cast<Record<Keys>*>(records);
  // The positions of the radix sort are 32 bits wide.
  if (count >= std::size_t{1} << 32) {
    std::sort(typed, typed + count);
  } else {
    radix_sort(typed, count, reinterpret_cast<Record<Keys>*>(spare));
  }
}

}  // namespace

void sort_records(std::uint64_t* records, std::size_t count, std::size_t width, std::uint64_t* spare) {
  constexpr std::array sorts{sort_as<1>, sort_as<2>, sort_as<3>, sort_as<4>, sort_as<5>,
                             sort_as<6>, sort_as<7>, sort_as<8>, sort_as<9>, sort_as<10>};
  if (width < 2 || width > sorts.size() + 1) fail<ArgumentError>("sort_records: records of {} words", width);
  sorts[width - 2](records, count, spare);
}

}  // namespace gradus::models::ngram
