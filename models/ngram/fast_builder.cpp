#include "models/ngram/fast_builder.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/error.hpp"
#include "tensor/parallel.hpp"

namespace gradus::models::ngram {

FastBuilder::FastBuilder(ImageWriter& image)
    : image_(image), highest_(static_cast<int>(image.header().order)), vocab_(image.header().vocab) {}

void FastBuilder::begin_order(int order, std::int64_t count) {
  if (order_ > 0) end_order();
  if (order != order_ + 1 || order > highest_)
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
  first_child_ = 0;
  path_.assign(static_cast<std::size_t>(order - 1), none);
  last_.assign(static_cast<std::size_t>(order), -1);
  image_.header().level(order).count = expected_;
  if (order < highest_) {
    entries_ = image_.add<FastEntry>(expected_, order, LevelPart::entries);
  } else {
    leaves_ = image_.add<FastLeaf>(expected_, order, LevelPart::entries);
  }
  if (order > 1) contexts_ = section<FastEntry>(order - 1, LevelPart::entries);
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
    end_parent();
    follow(ngram.first(ngram.size() - 1), added_ == 0 ? 0 : same);
  }
  const auto token = static_cast<std::uint32_t>(ngram.back());
  log_prob = std::min(log_prob, 0.0f);
  if (order_ < highest_) {
    entries_[added_] = {token, log_prob, backoff, 0};
  } else {
    leaves_[added_] = {token, log_prob};
  }
  ++added_;
  std::copy(ngram.begin() + static_cast<std::ptrdiff_t>(same), ngram.end(),
            last_.begin() + static_cast<std::ptrdiff_t>(same));
}

/// Goes to the context's n-grams of each length, of which the first `same` are those of the last n-gram.
void FastBuilder::follow(std::span<const std::int32_t> context, std::size_t same) {
  for (std::size_t depth = same; depth < context.size(); ++depth) {
    const auto token = static_cast<std::uint32_t>(context[depth]);
    if (depth == 0) {
      path_[0] = token;
      continue;
    }
    const int length = static_cast<int>(depth);  // of the context's context
    const Children siblings = children(length, path_[depth - 1]);
    const std::uint32_t end = siblings.first + siblings.count;
    std::uint32_t at = depth == same && path_[depth] != none ? path_[depth] + 1 : siblings.first;
    const std::span<const FastEntry> entries = section<FastEntry>(length + 1, LevelPart::entries);
    while (at < end && entries[at].token() < token) ++at;
    if (at == end || entries[at].token() != token)
      fail<ArgumentError>("a {}-gram is there whose context of {} is not", order_, order_ - 1);
    path_[depth] = at;
  }
  first_child_ = added_;
}

Children FastBuilder::children(int length, std::uint32_t node) {
  const FastEntry& entry = section<FastEntry>(length, LevelPart::entries)[node];
  if (entry.narrow_count() != FastEntry::wide) return {entry.first, entry.narrow_count()};
  const WideNode& wide = section<WideNode>(length, LevelPart::wide)[entry.first];
  return {wide.first, wide.count};
}

void FastBuilder::end_parent() {
  const std::uint32_t count = added_ - first_child_;
  if (count == 0) return;
  FastEntry& parent = contexts_[path_.back()];
  if (count <= FastEntry::most_narrow) {
    parent.first = first_child_;
    parent.token_and_count |= count << FastEntry::token_bits;
  } else {
    parent.first = static_cast<std::uint32_t>(wide_.size());
    parent.token_and_count |= FastEntry::wide << FastEntry::token_bits;
    wide_.push_back({first_child_, count});
  }
}

void FastBuilder::end_order() {
  if (added_ != expected_)
    fail<ArgumentError>("{} n-grams of order {}, where {} were named", added_, order_, expected_);
  if (order_ == 1) return build_root();
  end_parent();
  build_tables(order_ - 1);
}

void FastBuilder::build_tables(int order) {
  const auto nodes = image_.add<WideNode>(wide_.size(), order, LevelPart::wide);
  std::uint64_t slots = 0, masses = 0;
  for (std::size_t i = 0; i < wide_.size(); ++i) {
    const Children& c = wide_[i];
    nodes[i] = {c.first, c.count, static_cast<std::uint32_t>(slots), static_cast<std::uint32_t>(masses)};
    slots += (SlotTable(c.count).size() + SlotTable::slot_step - 1) / SlotTable::slot_step;
    masses += mass_count(c.count);
  }
  image_.add<std::uint32_t>(slots * SlotTable::slot_step, order, LevelPart::slots);
  image_.add<double>(masses, order, LevelPart::masses);
  const auto placed = section<WideNode>(order, LevelPart::wide);
  constexpr std::int64_t chunk = 64;
  const auto count = static_cast<std::int64_t>(wide_.size());
  parallel::for_chunks((count + chunk - 1) / chunk, [&](std::int64_t c) {
    for (std::int64_t i = c * chunk; i < std::min(count, (c + 1) * chunk); ++i) {
      const WideNode& node = placed[static_cast<std::size_t>(i)];
      if (order + 1 < highest_) {
        fill_table(order, node, section<FastEntry>(order + 1, LevelPart::entries).data() + node.first);
      } else {
        fill_table(order, node, section<FastLeaf>(order + 1, LevelPart::entries).data() + node.first);
      }
    }
  });
  wide_.clear();
}

template <class Entry>
void FastBuilder::fill_table(int order, const WideNode& node, const Entry* entries) {
  const SlotTable table(node.count);
  const auto slots = section<std::uint32_t>(order, LevelPart::slots)
                         .subspan(std::uint64_t{node.slots} * SlotTable::slot_step, table.size());
  for (std::uint32_t place = 0; place < node.count; ++place) {
    const std::uint32_t hashed = SlotTable::hash(entries[place].token());
    std::uint32_t at = table.begin(hashed);
    while (slots[at] != 0) at = (at + 1) & (table.size() - 1);
    slots[at] = table.slot(hashed, place);
  }
  sum_masses(node.count,
             section<double>(order, LevelPart::masses).subspan(node.masses, mass_count(node.count)),
             [&](std::uint32_t i) { return entries[i].log_prob; });
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
