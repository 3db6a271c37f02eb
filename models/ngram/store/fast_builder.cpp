#include "models/ngram/store/fast_builder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

namespace {

constexpr float impossible = -std::numeric_limits<float>::infinity();

/// Finds a place for each entry of a large block, sorted by hash: the first free one from the wanted one on.
/// Returns false when there is none before the end of the block.
bool place_by_hash(std::span<const FastEntry> entries, std::uint32_t size,
                   std::vector<std::uint32_t>& places) {
  places.clear();
  std::uint32_t next = 0;
  for (const FastEntry& entry : entries) {
    next = std::max(next, wanted_place(token_hash(entry.token()), size));
    if (next >= size) return false;
    places.push_back(next++);
  }
  return true;
}

}  // namespace

FastBuilder::FastBuilder(ImageWriter& image)
    : image_(image), highest_(static_cast<int>(image.header().order)), vocab_(image.header().vocab) {}

void FastBuilder::begin_order(int order, std::int64_t count) {
  if (order_ > 0) end_order();
  if (order < 1 || order != order_ + 1 || order > highest_)
    fail<ArgumentError>("an n-gram model of order {}: the n-grams of order {} after those of order {}",
                        highest_, order, order_);
  if (count < 0 || count >= none || (order == 1 && count != vocab_ + 1)) {
    fail<ArgumentError>(
        "an n-gram model over {} words: {} n-grams of order {}; {}", vocab_, count, order,
        order == 1 ? "every word and the begin symbol have one" : "an order holds fewer than 2^32 - 1");
  }
  order_ = order;
  expected_ = static_cast<std::uint32_t>(count);
  added_ = 0;
  places_ = 0;
  path_.assign(static_cast<std::size_t>(order - 1), none);
  last_.assign(static_cast<std::size_t>(order), -1);
  image_.header().level(order).count = expected_;
  // At first a seventh more than the n-grams, for the empty places.
  const std::uint64_t room = expected_ + (order == 1 ? 0 : expected_ / 7);
  if (order < highest_) {
    image_.add<FastEntry>(room, order, LevelPart::entries);
  } else {
    image_.add<FastLeaf>(room, order, LevelPart::entries);
  }
}

void FastBuilder::add(std::span<const std::int32_t> ngram, float log_prob, float backoff) {
  if (ngram.size() != last_.size() || added_ == expected_)
    fail<ArgumentError>("an n-gram of {} tokens, the {}th of {} {}-grams", ngram.size(), added_ + 1,
                        expected_, order_);
  std::size_t same = 0;
  while (same < ngram.size() && ngram[same] == last_[same]) ++same;
  if (same == ngram.size() || ngram[same] < last_[same])
    fail<ArgumentError>("the {}-gram {} is listed twice or out of order", order_, added_ + 1);
  for (std::size_t i = same; i < ngram.size(); ++i) {
    if (ngram[i] < 0 || ngram[i] > vocab_ || (ngram[i] == vocab_ && i > 0))
      fail<ArgumentError>(
          "a {}-gram with the token {} at place {}: tokens are 0..{}, the begin symbol is first", order_,
          ngram[i], i + 1, vocab_ - 1);
  }
  if (std::isnan(log_prob) || log_prob > 1e-5f || std::isnan(backoff) || std::isinf(std::max(backoff, 0.0f)))
    fail<ArgumentError>("a {}-gram with log p {} and backoff {}", order_, log_prob, backoff);
  if (order_ > 1 && (added_ == 0 || same + 1 < ngram.size())) {
    end_block();
    follow(ngram.first(ngram.size() - 1), added_ == 0 ? 0 : same);
  }
  block_.push_back({static_cast<std::uint32_t>(ngram.back()), std::min(log_prob, 0.0f), backoff, 0});
  ++added_;
  std::copy(ngram.begin() + static_cast<std::ptrdiff_t>(same), ngram.end(),
            last_.begin() + static_cast<std::ptrdiff_t>(same));
}

void FastBuilder::follow(std::span<const std::int32_t> context, std::size_t same) {
  for (std::size_t depth = same; depth < context.size(); ++depth) {
    const auto token = static_cast<std::uint32_t>(context[depth]);
    path_[depth] = depth == 0 ? token : find(static_cast<int>(depth), path_[depth - 1], token);
    if (path_[depth] == none)
      fail<ArgumentError>("a {}-gram is there whose context of {} is not", order_, order_ - 1);
  }
}

std::uint32_t FastBuilder::find(int length, std::uint32_t node, std::uint32_t token) {
  const FastEntry& entry = section<FastEntry>(length, LevelPart::entries)[node];
  return find_in_block({entry.first, block_sizes.of_code[entry.size_code()]},
                       section<FastEntry>(length + 1, LevelPart::entries).data(), token);
}

void FastBuilder::end_block() {
  if (block_.empty()) return;
  if (order_ == highest_) {
    place_block<FastLeaf>([](const FastEntry& entry) { return FastLeaf{entry.token(), entry.log_prob}; });
  } else {
    place_block<FastEntry>([](const FastEntry& entry) { return entry; });
  }
  block_.clear();
}

template <class Entry>
void FastBuilder::place_block(Entry (*make)(const FastEntry&)) {
  const auto count = static_cast<std::uint32_t>(block_.size());
  std::uint32_t code = count;
  std::vector<std::uint32_t> places;
  if (order_ > 1 && count > BlockSizes::most_narrow) {
    std::sort(block_.begin(), block_.end(), [](const FastEntry& a, const FastEntry& b) {
      return token_hash(a.token()) < token_hash(b.token());
    });
    // At least a quarter of the places stays empty.
    code = BlockSizes::most_narrow + 1;
    while (block_sizes.of_code[code] / 4 * 3 < count ||
           !place_by_hash(block_, block_sizes.of_code[code], places))
      ++code;
  }
  const std::uint32_t size = order_ == 1 ? count : block_sizes.of_code[code];
  auto entries = section<Entry>(order_, LevelPart::entries);
  if (places_ + size > entries.size()) {
    image_.resize_last<Entry>((places_ + size) * 9 / 8, order_, LevelPart::entries);
    entries = section<Entry>(order_, LevelPart::entries);
  }
  const auto block = entries.subspan(places_, size);
  if (places.empty()) {
    std::transform(block_.begin(), block_.end(), block.begin(), make);
  } else {
    std::fill(block.begin(), block.end(), make({FastEntry::empty, impossible, 0, 0}));
    for (std::size_t i = 0; i < places.size(); ++i) block[places[i]] = make(block_[i]);
  }
  if (order_ > 1) {
    FastEntry& context = section<FastEntry>(order_ - 1, LevelPart::entries)[path_.back()];
    context.first = static_cast<std::uint32_t>(places_);
    context.token_and_size |= code << FastEntry::token_bits;
    if (size >= least_for_masses) add_masses<Entry>(block);
  }
  places_ += size;
  // Blocks, and their contexts, are written from front to back.
  image_.passed(size * sizeof(Entry));
  if (places_ >= none)
    fail<ArgumentError>("an n-gram model with too many {}-grams for the fast layout", order_);
}

/// Sums the probabilities of a block just written.
template <class Entry>
void FastBuilder::add_masses(std::span<const Entry> block) {
  const auto count = static_cast<std::uint32_t>(mass_count(block.size()));
  wide_.push_back({path_.back(), static_cast<std::uint32_t>(masses_.size()), count});
  masses_.resize(masses_.size() + count);
  sum_masses(static_cast<std::uint32_t>(block.size()), std::span(masses_).last(count),
             [&](std::uint32_t place) { return block[place].log_prob; });
}

void FastBuilder::end_order() {
  if (added_ != expected_)
    fail<ArgumentError>("{} n-grams of order {}, where {} were named", added_, order_, expected_);
  end_block();
  if (order_ < highest_) {
    image_.resize_last<FastEntry>(places_, order_, LevelPart::entries);
  } else {
    image_.resize_last<FastLeaf>(places_, order_, LevelPart::entries);
  }
  if (order_ == 1) return build_root();
  write_masses(order_ - 1);
}

/// Writes the sums of the contexts of this length in the order of their places; they were added in the order
/// of tokens.
void FastBuilder::write_masses(int length) {
  std::sort(wide_.begin(), wide_.end(), [](const Wide& a, const Wide& b) { return a.node < b.node; });
  image_.add<WideNode>(wide_.size(), length, LevelPart::wide);
  const auto sums = image_.add<double>(masses_.size(), length, LevelPart::masses);
  std::uint32_t masses = 0;
  const auto nodes = section<WideNode>(length, LevelPart::wide);
  for (std::size_t i = 0; i < wide_.size(); ++i) {
    const auto& [node, came, count] = wide_[i];
    nodes[i] = {node, masses};
    std::copy_n(masses_.begin() + came, count, sums.begin() + masses);
    masses += count;
  }
  wide_.clear();
  masses_.clear();
}

void FastBuilder::build_root() {
  const auto vocab = static_cast<std::uint32_t>(vocab_);
  image_.add<std::uint32_t>(vocab, Part::unigram_order);
  image_.add<double>(mass_count(vocab), Part::root_masses);
  const auto log_prob = [&, leaves = section<FastLeaf>(1, LevelPart::entries),
                         entries = section<FastEntry>(1, LevelPart::entries)](std::uint32_t token) {
    return highest_ == 1 ? leaves[token].log_prob : entries[token].log_prob;
  };
  const auto likely_first = section<std::uint32_t>(Part::unigram_order);
  std::iota(likely_first.begin(), likely_first.end(), 0u);
  std::sort(likely_first.begin(), likely_first.end(), [&](std::uint32_t a, std::uint32_t b) {
    return log_prob(a) != log_prob(b) ? log_prob(a) > log_prob(b) : a < b;
  });
  sum_masses(vocab, section<double>(Part::root_masses), log_prob);
}

void FastBuilder::finish() {
  if (order_ != highest_)
    fail<ArgumentError>("an n-gram model of order {} that ends after order {}", highest_, order_);
  end_order();
}

}  // namespace gradus::models::ngram
