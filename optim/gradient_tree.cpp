#include "optim/gradient_tree.hpp"

#include <bit>
#include <utility>

#include "tensor/support/error.hpp"

namespace gradus::optim {

void GradientTree::add(Gradients piece) {
  parts_.push_back({1, std::move(piece)});
  ++pieces_;
  while (parts_.size() > 1 && parts_[parts_.size() - 2].pieces == parts_.back().pieces) {
    Part& sum = parts_[parts_.size() - 2];
    sum.sum += parts_.back().sum;
    sum.pieces *= 2;
    parts_.pop_back();
  }
}

Gradients GradientTree::take() {
  if (parts_.size() != 1)
    fail<ArgumentError>("a sum of {} pieces; a tree has a power of two of them", pieces_);
  Gradients out = std::move(parts_.front().sum);
  parts_.clear();
  pieces_ = 0;
  return out;
}

void GradientTree::complete(Gradient& of_last) {
  if (!std::has_single_bit(static_cast<std::uint64_t>(pieces_) + 1))
    fail<ArgumentError>("the last of {} pieces; a tree has a power of two of them", pieces_ + 1);
  completed_.insert(of_last.of);
  for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) {
    const Gradient* const before = part->sum.find(of_last.of);
    if (before != nullptr) of_last = sum_of(std::move(of_last), *before);
  }
}

Gradients GradientTree::take_rest(Gradients of_last) {
  const auto without_completed = [&](Gradients& all) {
    GradientList out;
    for (Gradient& one : all.entries()) {
      if (!completed_.contains(one.of)) out.push_back(std::move(one));
    }
    return Gradients(std::move(out));
  };
  for (Part& part : parts_) part.sum = without_completed(part.sum);
  add(without_completed(of_last));
  completed_.clear();
  return take();
}

}  // namespace gradus::optim
