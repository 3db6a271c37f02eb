#include "models/ngram/store/fast_layout.hpp"

#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

FastView::FastView(const Image& image) {
  const Header& h = image.header();
  order_ = static_cast<int>(h.order);
  vocab_ = static_cast<std::uint32_t>(h.vocab);
  for (int n = 1; n <= order_; ++n) {
    Level& level = levels_[at(n)];
    level.count = static_cast<std::uint32_t>(h.level(n).count);
    const Section& section = h.part(n, LevelPart::entries);
    std::uint64_t places = 0;
    if (n < order_) {
      const auto entries = image.numbers<FastEntry>(section);
      level.entries = entries.data();
      places = entries.size();
    } else {
      const auto leaves = image.numbers<FastLeaf>(section);
      leaves_ = leaves.data();
      places = leaves.size();
    }
    if (places < level.count || places >= none || (n == 1 && places != level.count)) {
      fail<DataError>("{}: {} bytes for {} {}-grams; write the model again", image.name(), section.size,
                      level.count, n);
    }
    level.places = static_cast<std::uint32_t>(places);
    level.masses = {image.numbers<WideNode>(h.part(n, LevelPart::wide)),
                    image.numbers<double>(h.part(n, LevelPart::masses))};
  }
}

}  // namespace gradus::models::ngram
