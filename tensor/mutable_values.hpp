#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "tensor/storage.hpp"

namespace gradus {

/// The elements of a tensor to be written, as Tensor::mutable_values lends them: like a std::span, of which
/// copies and parts may be made. As long as one of these lives, what would share the tensor's memory (a copy
/// of the tensor, a slice, a recorded op) takes a copy of the elements instead. So what is written through it
/// changes the tensor itself and nothing else, and the memory stays where it is until the last of them has
/// ended. Where the tensor is moved, its elements and their loan go along.
template <class T>
class MutableValues {
 public:
  using element_type = T;
  using value_type = T;
  using iterator = T*;

  MutableValues(const MutableValues& other) noexcept
      : block_(other.block_), first_(other.first_), size_(other.size_) {
    if (block_ != nullptr) storage::lend(block_);
  }
  MutableValues(MutableValues&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)), first_(other.first_), size_(other.size_) {}
  MutableValues& operator=(MutableValues other) noexcept {
    std::swap(block_, other.block_);
    std::swap(first_, other.first_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MutableValues() {
    if (block_ != nullptr) storage::take_back(block_);
  }

  T* data() const { return first_; }
  std::size_t size() const { return size_; }
  std::size_t size_bytes() const { return size_ * sizeof(T); }
  bool empty() const { return size_ == 0; }
  T* begin() const { return first_; }
  T* end() const { return first_ + size_; }
  T& operator[](std::size_t i) const { return first_[i]; }
  T& front() const { return first_[0]; }
  T& back() const { return first_[size_ - 1]; }
  MutableValues first(std::size_t count) const { return subspan(0, count); }
  MutableValues last(std::size_t count) const { return subspan(size_ - count, count); }
  MutableValues subspan(std::size_t offset, std::size_t count = std::dynamic_extent) const {
    MutableValues out = *this;
    out.first_ += offset;
    out.size_ = count == std::dynamic_extent ? size_ - offset : count;
    return out;
  }

  /// A std::span that outlives this object: `std::span<float> s = x.mutable_values<float>()`. Nobody sees it
  /// end, so the memory counts as lent from then on, and every copy of the tensor is one of its elements. It
  /// must not be used once the tensor has another value or has ended.
  operator std::span<T>() && {
    if (block_ != nullptr) storage::lend_forever(block_);
    return {first_, size_};
  }

 private:
  friend class Tensor;
  MutableValues(storage::Block* block, T* first, std::size_t size) noexcept
      : block_(block), first_(first), size_(size) {
    storage::lend(block_);
  }

  storage::Block* block_;
  T* first_;
  std::size_t size_;
};

}  // namespace gradus
