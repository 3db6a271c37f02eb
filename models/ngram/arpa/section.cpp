#include "models/ngram/arpa/section.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

namespace {

using Ngram = std::span<const std::int32_t>;

constexpr std::uint32_t no_line = std::numeric_limits<std::uint32_t>::max();

bool less(Ngram a, Ngram b) {
  if (a.front() != b.front()) return a.front() < b.front();
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

bool equal(Ngram a, Ngram b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// An n-gram to be sorted: its first two ids as one number, which usually decides, and its index.
struct Key {
  std::uint64_t first_two;
  std::uint32_t index;
};

template <class T>
void permute(std::vector<T>& values, const std::vector<Key>& to, std::size_t width) {
  std::vector<T> moved;
  moved.reserve(values.size());
  for (const Key& key : to) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(key.index * width);
    moved.insert(moved.end(), from, from + static_cast<std::ptrdiff_t>(width));
  }
  values = std::move(moved);
}

/// The first index from `from` on whose n-gram is not less than the given one. Searches in steps that double,
/// as n-grams asked for in nearly sorted order are found nearby.
std::size_t seek(const ArpaSection& section, std::size_t from, Ngram ngram) {
  std::size_t step = 1, low = from, high = from;
  while (high < section.size() && less(section.ngram(high), ngram)) {
    low = high + 1;
    high += step;
    step *= 2;
  }
  high = std::min(high, section.size());
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (less(section.ngram(middle), ngram)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/// The contexts and suffixes of the upper section that the lower one does not list, sorted, each once.
ArpaSection missing_below(const ArpaSection& upper, const ArpaSection& lower) {
  std::set<std::vector<std::int32_t>> missing;
  const auto need = [&](Ngram ngram, std::size_t& at) {
    at = seek(lower, at, ngram);
    if (at == lower.size() || !equal(lower.ngram(at), ngram)) missing.emplace(ngram.begin(), ngram.end());
  };
  std::size_t context_at = 0, suffix_at = 0;
  for (std::size_t i = 0; i < upper.size(); ++i) {
    const Ngram ngram = upper.ngram(i);
    need(ngram.first(ngram.size() - 1), context_at);
    // The suffixes of the n-grams that share their first word are sorted too.
    if (i > 0 && upper.ngram(i - 1).front() != ngram.front()) suffix_at = 0;
    need(ngram.subspan(1), suffix_at);
  }
  ArpaSection out;
  out.order = lower.order;
  for (const auto& ngram : missing) out.add(ngram, std::numeric_limits<float>::quiet_NaN(), 0);
  return out;
}

/// Merges sorted sections that have no n-gram in common.
void merge(ArpaSection& into, const ArpaSection& from) {
  if (from.size() == 0) return;
  ArpaSection merged;
  merged.order = into.order;
  merged.first_line = into.first_line;
  merged.ids.reserve(into.ids.size() + from.ids.size());
  merged.lines.reserve(into.size() + from.size());
  std::size_t i = 0, j = 0;
  while (i < into.size() || j < from.size()) {
    const bool left = j == from.size() || (i < into.size() && less(into.ngram(i), from.ngram(j)));
    const ArpaSection& source = left ? into : from;
    const std::size_t at = left ? i++ : j++;
    merged.add(source.ngram(at), source.log_prob[at], source.backoff[at]);
    merged.lines.push_back(left ? static_cast<std::uint32_t>(into.line(at) - into.first_line) : no_line);
  }
  into = std::move(merged);
}

}  // namespace

void ArpaSection::add(std::span<const std::int32_t> ngram, float log_prob_of, float backoff_of) {
  ids.insert(ids.end(), ngram.begin(), ngram.end());
  log_prob.push_back(log_prob_of);
  backoff.push_back(backoff_of);
}

void ArpaSection::sort(const std::string& file) {
  bool sorted = true;
  for (std::size_t i = 1; i < size() && sorted; ++i) sorted = less(ngram(i - 1), ngram(i));
  if (sorted) return;
  if (size() > std::numeric_limits<std::uint32_t>::max())
    fail<DataError>("{}, line {}: {} n-grams of order {} from here on; there may be 2^32 - 1", file,
                    first_line, size(), order);
  std::vector<Key> keys(size());
  for (std::size_t i = 0; i < size(); ++i) {
    const std::span<const std::int32_t> n = ngram(i);
    const auto second = order > 1 ? static_cast<std::uint32_t>(n[1]) : 0U;
    keys[i] = {std::uint64_t{static_cast<std::uint32_t>(n[0])} << 32 | second, static_cast<std::uint32_t>(i)};
  }
  std::sort(keys.begin(), keys.end(), [&](const Key& a, const Key& b) {
    if (a.first_two != b.first_two) return a.first_two < b.first_two;
    const std::span<const std::int32_t> x = ngram(a.index), y = ngram(b.index);
    return equal(x, y) ? a.index < b.index : less(x, y);
  });
  for (std::size_t i = 1; i < keys.size(); ++i) {
    if (equal(ngram(keys[i - 1].index), ngram(keys[i].index))) {
      fail<DataError>("{}, line {}: an n-gram that stands in line {} already", file, line(keys[i].index),
                      line(keys[i - 1].index));
    }
  }
  if (lines.empty()) {
    lines.resize(size());
    std::iota(lines.begin(), lines.end(), 0U);
  }
  lines.resize(size(), no_line);  // for n-grams that were added
  permute(lines, keys, 1);
  permute(ids, keys, static_cast<std::size_t>(order));
  permute(log_prob, keys, 1);
  permute(backoff, keys, 1);
}

std::int64_t ArpaSection::find(std::span<const std::int32_t> ngram_sought) const {
  const std::size_t at = seek(*this, 0, ngram_sought);
  return at < size() && equal(ngram(at), ngram_sought) ? static_cast<std::int64_t>(at) : -1;
}

std::int64_t complete(std::vector<ArpaSection>& sections, const std::string& file) {
  std::int64_t added = 0;
  for (std::size_t n = sections.size(); n-- > 1;) {
    const ArpaSection missing = missing_below(sections[n], sections[n - 1]);
    added += static_cast<std::int64_t>(missing.size());
    merge(sections[n - 1], missing);
  }
  // The shortest first, so that what an inserted n-gram backs off to already has its probability.
  for (std::size_t n = 1; added > 0 && n < sections.size(); ++n) {
    ArpaSection& section = sections[n];
    const ArpaSection& lower = sections[n - 1];
    for (std::size_t i = 0; i < section.size(); ++i) {
      if (!std::isnan(section.log_prob[i])) continue;
      const std::span<const std::int32_t> ngram = section.ngram(i);
      const auto context = static_cast<std::size_t>(lower.find(ngram.first(ngram.size() - 1)));
      const auto suffix = static_cast<std::size_t>(lower.find(ngram.subspan(1)));
      const float log_prob = lower.backoff[context] + lower.log_prob[suffix];
      if (log_prob > 1e-5F) {
        fail<DataError>(
            "{}, line {}: the backoff weight is too large: a {}-gram that a longer n-gram needs is not "
            "listed, and backing off would give it the probability {:g}",
            file, lower.line(context), n + 1, std::exp(static_cast<double>(log_prob)));
      }
      section.log_prob[i] = std::min(log_prob, 0.0F);
    }
  }
  return added;
}

}  // namespace gradus::models::ngram
