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

/// Reads ahead in a range whose elements take time to make, such as batches of a file: a thread makes the
/// next elements while the body of the loop uses the current one. A range, to be used once:
///
///     for (const auto& [x, y] : read_ahead(batches(tokens))) ...
///
/// An exception thrown by the range reaches the loop at the element that threw it. When the loop is left
/// early, the thread ends after the element it is making. Nothing else may use the range at the same time.
template <class Range>
class ReadAhead {
 public:
  using Element = std::decay_t<decltype(*std::begin(std::declval<Range&>()))>;

  /// Makes up to `depth` elements in advance. Throws ArgumentError for 0.
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
  /// The body of the thread.
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
  /// Waits for the next element and takes it, if there is one.
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
  std::optional<Element> used_;  // the current element of the loop
  std::thread maker_;            // last, because it uses the other members
};

/// A range given as an lvalue is not copied and must outlive the result.
template <class Range>
ReadAhead<Range> read_ahead(Range&& range, std::size_t depth = 2) {
  return ReadAhead<Range>(std::forward<Range>(range), depth);
}

}  // namespace gradus
