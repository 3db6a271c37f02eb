#include "models/ngram/fast_layout.hpp"

#include "tensor/error.hpp"

namespace gradus::models::ngram {

FastView::FastView(const Image& image) {
  const Header& h = image.header();
  order_ = static_cast<int>(h.order);
  vocab_ = static_cast<std::uint32_t>(h.vocab);
  for (int n = 1; n <= order_; ++n) {
    Level& level = levels_[at(n)];
    level.count = static_cast<std::uint32_t>(h.level(n).count);
    const Section& entries = h.part(n, LevelPart::entries);
    const std::uint64_t size = n < order_ ? sizeof(FastEntry) : sizeof(FastLeaf);
    if (entries.size != level.count * size)
      fail<DataError>("{}: {} bytes of {}-grams for {} of them", image.name(), entries.size, n, level.count);
    if (n < order_) {
      level.entries = image.numbers<FastEntry>(entries).data();
    } else {
      leaves_ = image.numbers<FastLeaf>(entries).data();
    }
    level.wide = image.numbers<WideNode>(h.part(n, LevelPart::wide));
    level.slots = image.numbers<std::uint32_t>(h.part(n, LevelPart::slots));
    level.masses = image.numbers<double>(h.part(n, LevelPart::masses));
  }
}

std::span<const double> FastView::masses(int length, std::uint32_t node) const {
  const FastEntry& entry = levels_[at(length)].entries[node];
  if (entry.narrow_count() != FastEntry::wide) return {};
  const WideNode* const wide = wide_node(length, entry.first);
  const auto& masses = levels_[at(length)].masses;
  if (wide == nullptr || wide->masses > masses.size() ||
      mass_count(wide->count) > masses.size() - wide->masses) {
    return {};
  }
  return masses.subspan(wide->masses, mass_count(wide->count));
}

}  // namespace gradus::models::ngram
