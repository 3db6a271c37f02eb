#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <iterator>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "tensor/support/error.hpp"

namespace gradus {

/// Goes once through a range whose elements take time to make, such as batches read from a file: a thread of
/// its own makes the next ones while the loop's body uses the last. A range:
///
///     for (const auto& [x, y] : read_ahead(batches(tokens))) ...
///
/// An exception of the range reaches the loop at the element that threw it. Leaving the loop early ends the
/// thread after the element that it is at. Nothing else may use the range meanwhile.
template <class Range>
class ReadAhead {
 public:
  using Element = std::decay_t<decltype(*std::begin(std::declval<Range&>()))>;

  /// At most `depth` elements wait. Throws ArgumentError for 0.
  ReadAhead(Range range, std::size_t depth)
      : range_(std::forward<Range>(range)), depth_(checked(depth)), maker_([this] { make_all(); }) {}
  ~ReadAhead() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    taken_.notify_one();
    maker_.join();
  }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  struct End {};
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Element;
    using difference_type = std::ptrdiff_t;
    using pointer = const Element*;
    using reference = const Element&;

    explicit Iterator(ReadAhead* from) : from_(from) { from_->take(); }
    const Element& operator*() const { return *from_->used_; }
    Iterator& operator++() {
      from_->take();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(End) const { return !from_->used_; }

   private:
    ReadAhead* from_;
  };
  Iterator begin() { return Iterator(this); }
  End end() const { return {}; }

 private:
  static std::size_t checked(std::size_t depth) {
    if (depth == 0) fail<ArgumentError>("read_ahead with a depth of 0: at least 1, or nothing could be made");
    return depth;
  }
  /// The maker's thread.
  void make_all() {
    try {
      for (auto&& element : range_) {
        std::unique_lock lock(mutex_);
        taken_.wait(lock, [&] { return stopped_ || waiting_.size() < depth_; });
        if (stopped_) return;
        waiting_.push_back(std::forward<decltype(element)>(element));
        made_.notify_one();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    all_made_ = true;
    made_.notify_one();
  }
  /// Takes the next element, once it is there; none when nothing more comes.
  void take() {
    used_.reset();
    {
      std::unique_lock lock(mutex_);
      made_.wait(lock, [&] { return !waiting_.empty() || all_made_; });
      if (!waiting_.empty()) {
        used_.emplace(std::move(waiting_.front()));
        waiting_.pop_front();
      } else if (failure_) {
        std::rethrow_exception(std::exchange(failure_, nullptr));
      }
    }
    taken_.notify_one();
  }

  Range range_;
  const std::size_t depth_;
  std::mutex mutex_;
  std::condition_variable made_, taken_;
  std::deque<Element> waiting_;
  std::exception_ptr failure_;
  bool all_made_ = false, stopped_ = false;
  std::optional<Element> used_;  // by the loop's body
  std::thread maker_;            // last, as it uses the others
};

/// A range that is given by name is looked at, not copied, and must live as long.
template <class Range>
ReadAhead<Range> read_ahead(Range&& range, std::size_t depth = 2) {
  return ReadAhead<Range>(std::forward<Range>(range), depth);
}

}  // namespace gradus
