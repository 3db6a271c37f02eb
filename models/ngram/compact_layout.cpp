#include "models/ngram/compact_layout.hpp"

#include <algorithm>

#include "tensor/error.hpp"

namespace gradus::models::ngram {

CompactView::CompactView(const Image& image) {
  const Header& h = image.header();
  order_ = static_cast<int>(h.order);
  vocab_ = static_cast<std::uint32_t>(h.vocab);
  for (int n = 1; n <= order_; ++n) {
    const LevelHeader& head = h.level(n);
    Level& level = levels_[at(n)];
    level.count = static_cast<std::uint32_t>(head.count);
    level.token_bits = head.token_bits;
    level.log_prob_bits = head.log_prob_bits;
    level.backoff_bits = head.backoff_bits;
    level.value_bits = static_cast<std::uint8_t>(head.log_prob_bits + head.backoff_bits);
    level.log_probs = image.numbers<float>(h.part(n, LevelPart::log_probs));
    level.backoffs = image.numbers<float>(h.part(n, LevelPart::backoffs));
    level.child_bits = image.numbers<std::uint64_t>(h.part(n, LevelPart::child_bits));
    level.samples = image.numbers<std::uint32_t>(h.part(n, LevelPart::child_samples));
    level.wide = image.numbers<CompactWide>(h.part(n, LevelPart::wide));
    level.masses = image.numbers<double>(h.part(n, LevelPart::masses));
    const auto tokens = image.numbers<std::uint64_t>(h.part(n, LevelPart::entries));
    const auto values = image.numbers<std::uint64_t>(h.part(n, LevelPart::values));
    level.tokens = tokens.data();
    level.values = values.data();
    const std::uint64_t count = level.count;
    const std::uint64_t samples = n == order_ ? 0 : n == 1 ? count + 1 : count / sample_step + 1;
    if (head.token_bits > 32 || head.log_prob_bits > 32 || head.log_prob_bits == 0 ||
        head.backoff_bits > 32 || (n < order_ && head.backoff_bits == 0) ||
        tokens.size() != words_for(count * level.token_bits) || (n > 1 && head.token_bits == 0) ||
        values.size() != words_for(count * level.value_bits) || level.samples.size() != samples) {
      fail<DataError>("{}: its header contradicts itself about the {} {}-grams", image.name(), count, n);
    }
  }
}

Children CompactView::counted_children(const Level& level, std::uint32_t node) const {
  const std::uint32_t sample = node / sample_step;
  const std::uint64_t begin = std::uint64_t{level.samples[sample]} + std::uint64_t{sample} * sample_step;
  std::uint64_t at_word = begin / 64;
  if (at_word >= level.child_bits.size()) return {};
  std::uint64_t word = level.child_bits[at_word] & (~std::uint64_t{0} << (begin % 64));
  int left = static_cast<int>(node % sample_step);
  for (;;) {
    const int here = std::popcount(word);
    if (left < here) break;
    left -= here;
    if (++at_word == level.child_bits.size()) return {};
    word = level.child_bits[at_word];
  }
  const int bit = select_in_word(word, left);
  const std::uint64_t one = at_word * 64 + static_cast<std::uint64_t>(bit);
  // The next 1 ends the continuations.
  word &= ~std::uint64_t{1} << bit;
  while (word == 0) {
    if (++at_word == level.child_bits.size()) return {};
    word = level.child_bits[at_word];
  }
  const std::uint64_t end = at_word * 64 + static_cast<std::uint64_t>(std::countr_zero(word));
  return {static_cast<std::uint32_t>(one - node), static_cast<std::uint32_t>(end - one - 1)};
}

Found CompactView::find(int length, std::uint32_t node, std::uint32_t token) const {
  constexpr std::uint32_t few = 8;
  const Children range = children(length, node);
  if (range.count == 0) return {};
  const Level& next = levels_[at(length + 1)];
  const auto token_of = [&](std::uint32_t i) {
    return read_bits(next.tokens, std::uint64_t{i} * next.token_bits, next.token_bits);
  };
  // Without a branch on what is read: halves of the range, down to a few.
  std::uint32_t first = range.first, count = range.count;
  while (count > few) {
    const std::uint32_t half = count / 2;
    first = token_of(first + half) <= token ? first + half : first;
    count -= half;
  }
  for (std::uint32_t i = first; i < first + count; ++i) {
    if (token_of(i) == token) return {i, log_prob(length + 1, i)};
  }
  return {};
}

std::span<const double> CompactView::masses(int length, std::uint32_t node) const {
  const Level& level = levels_[at(length)];
  const auto wide = std::lower_bound(level.wide.begin(), level.wide.end(), node,
                                     [](const CompactWide& w, std::uint32_t n) { return w.node < n; });
  if (wide == level.wide.end() || wide->node != node) return {};
  const std::uint64_t count = mass_count(children(length, node).count);
  if (count == 0 || wide->masses > level.masses.size() || count > level.masses.size() - wide->masses)
    return {};
  return level.masses.subspan(wide->masses, count);
}

}  // namespace gradus::models::ngram
