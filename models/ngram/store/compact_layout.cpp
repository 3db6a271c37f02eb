#include "models/ngram/store/compact_layout.hpp"

#include <algorithm>
#include <cstdlib>

#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

CompactView::CompactView(const Image& image) {
  const Header& h = image.header();
  order_ = static_cast<int>(h.order);
  vocab_ = static_cast<std::uint32_t>(h.vocab);
  keys_ = TokenKeys(key_bits(vocab_));
  for (int n = 1; n <= order_; ++n) {
    const LevelHeader& head = h.level(n);
    Level& level = levels_[at(n)];
    level.count = static_cast<std::uint32_t>(head.count);
    level.log_prob_bits = head.log_prob_bits;
    level.backoff_bits = head.backoff_bits;
    level.key_bits = static_cast<std::uint8_t>(n == 1 ? 0 : keys_.bits);
    level.entry_bits = static_cast<std::uint8_t>(level.key_bits + head.log_prob_bits + head.backoff_bits);
    level.log_probs = image.numbers<float>(h.part(n, LevelPart::log_probs));
    level.backoffs = image.numbers<float>(h.part(n, LevelPart::backoffs));
    level.child_bits = image.numbers<std::uint64_t>(h.part(n, LevelPart::child_bits));
    level.samples = image.numbers<std::uint32_t>(h.part(n, LevelPart::child_samples));
    level.masses = {image.numbers<WideNode>(h.part(n, LevelPart::wide)),
                    image.numbers<double>(h.part(n, LevelPart::masses))};
    const auto entries = image.numbers<std::uint64_t>(h.part(n, LevelPart::entries));
    level.entries = entries.data();
    const std::uint64_t count = level.count;
    const std::uint64_t samples = n == order_ ? 0 : n == 1 ? count + 1 : count / sample_step + 1;
    const bool in_range = head.log_prob_bits >= 1 && head.log_prob_bits <= 32 && head.backoff_bits <= 32 &&
                          (n == order_ || head.backoff_bits >= 1);
    if (!in_range || entries.size() != words_for(count * level.entry_bits) ||
        level.samples.size() != samples) {
      fail<DataError>("{}: its header contradicts itself about the {} {}-grams", image.name(), count, n);
    }
  }
}

Block CompactView::counted_children(const Level& level, std::uint32_t node) {
  const std::uint64_t begin = first_bit(level, node);
  std::uint64_t at_word = begin / 64;
  if (at_word >= level.child_bits.size()) return {};
  std::uint64_t word = level.child_bits[at_word] & (~std::uint64_t{0} << (begin % 64));
  int left = static_cast<int>(node % sample_step);
  std::uint64_t sums = sums_of_bits(word);
  for (int here = 0; left >= (here = static_cast<int>(sums >> 56)); sums = sums_of_bits(word)) {
    left -= here;
    if (++at_word == level.child_bits.size()) return {};
    word = level.child_bits[at_word];
  }
  const int bit = select_bit(word, sums, left);
  const std::uint64_t one = at_word * 64 + static_cast<std::uint64_t>(bit);
  // The continuations end with the next 1.
  word &= ~std::uint64_t{1} << bit;
  while (word == 0) {
    if (++at_word == level.child_bits.size()) return {};
    word = level.child_bits[at_word];
  }
  const std::uint64_t end = at_word * 64 + static_cast<std::uint64_t>(std::countr_zero(word));
  return {static_cast<std::uint32_t>(one - node), static_cast<std::uint32_t>(end - one - 1)};
}

bool CompactView::children_add_up(int length) const {
  const Level& level = levels_[at(length)];
  const std::uint64_t next = levels_[at(length + 1)].count;
  if (length == 1) {
    return level.samples.front() == 0 && level.samples.back() == next &&
           std::is_sorted(level.samples.begin(), level.samples.end());
  }
  const std::uint64_t ones = std::uint64_t{level.count} + 1;
  if (level.child_bits.size() != words_for(ones + next)) return false;
  std::uint64_t passed = 0;  // the number of 1s so far
  std::uint64_t end = 0;     // the position after the last of them
  for (std::uint64_t at_word = 0; at_word < level.child_bits.size(); ++at_word) {
    for (std::uint64_t word = level.child_bits[at_word]; word != 0; word &= word - 1, ++passed) {
      const std::uint64_t bit = at_word * 64 + static_cast<std::uint64_t>(std::countr_zero(word));
      const std::uint64_t sample = passed / sample_step;
      if (passed % sample_step == 0 &&
          (sample >= level.samples.size() || level.samples[sample] != bit - passed))
        return false;
      end = bit + 1;
    }
  }
  return passed == ones && end == ones + next;
}

std::uint32_t CompactView::find(int length, const Block& block, std::uint32_t token) const {
  constexpr int most_guesses = 12, most_steps = 16;
  constexpr std::int64_t near =
      6;  // at this distance, going from place to place is faster than guessing again
  const Level& next = levels_[at(length + 1)];
  const std::uint32_t wanted = keys_.key(token);
  std::uint32_t low = block.first, high = block.first + block.size;  // the range that remains
  std::uint32_t place = low + wanted_place(wanted, block.size);
  for (int guesses = 1; low < high; ++guesses) {
    std::uint32_t here = key(next, place);
    // The distance to the wanted key if keys are evenly spread.
    const std::int64_t distance = static_cast<std::int64_t>(wanted) - here;
    const std::int64_t further = (distance * block.size) >> keys_.bits;
    if (std::abs(further) <= near) {
      if (here < wanted) {
        for (int step = 0; here < wanted && step < most_steps; ++step) {
          if (++place == high) return none;
          here = key(next, place);
        }
        if (here > wanted) return none;
      } else {
        for (int step = 0; here > wanted && step < most_steps; ++step) {
          if (place-- == low) return none;
          here = key(next, place);
        }
        if (here < wanted) return none;
      }
    }
    if (here == wanted) return place;
    // Without branches, as they could not be predicted.
    const bool above = here < wanted;
    low = above ? place + 1 : low;
    high = above ? high : place;
    const std::int64_t guess = guesses < most_guesses ? place + further : low + (high - low) / 2;
    place = static_cast<std::uint32_t>(
        std::max<std::int64_t>(std::min<std::int64_t>(guess, std::int64_t{high} - 1), low));
  }
  return none;
}

int key_bits(std::uint32_t vocab) {
  return std::max(1, static_cast<int>(std::bit_width(vocab - 1)));
}

}  // namespace gradus::models::ngram
