#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor/indices.hpp"
#include "tensor/random.hpp"
#include "tensor/tensor.hpp"
#include "text/read_ahead.hpp"

/// Mini-batches of records that can be asked for by their number. (Those of a stream of tokens are in
/// text/batches.hpp.)
namespace gradus {

struct LoaderOptions {
  std::int64_t batch = 32;  // records in a batch
  bool shuffle = false;     // in another order each epoch
  std::uint64_t seed = 0;   // of the orders
  bool drop_last = false;   // leave out a last batch of fewer records
  std::int64_t ahead = 2;   // batches made in advance, on a thread of their own; 0: each when it is needed
};

/// Where a loader is: two numbers, which can be saved. Inside of the loop's body, `batch` counts the current
/// batch.
struct LoaderState {
  std::int64_t epoch = 0;  // from 0
  std::int64_t batch = 0;  // batches of it that were given to the loop
  bool operator==(const LoaderState&) const = default;

  /// For what writes it down (optim/run_state.hpp).
  static void fields(auto& self, auto&& visit) {
    visit("epoch", self.epoch);
    visit("batch", self.batch);
  }
};

namespace detail {

template <class T>
concept LoaderTensor = std::same_as<T, Tensor> || std::same_as<T, Indices>;
template <class T>
constexpr bool is_several = false;
template <class A, class B>
constexpr bool is_several<std::pair<A, B>> = true;
template <class... T>
constexpr bool is_several<std::tuple<T...>> = true;

std::int64_t record_count(const Tensor& x);
std::int64_t record_count(const Indices& x);
Tensor select_records(const Tensor& x, const Indices& ids);
Indices select_records(const Indices& x, const Indices& ids);
/// Throws ShapeError unless all are of one length.
std::int64_t common_count(std::initializer_list<std::int64_t> counts);

Tensor stack_records(const std::vector<Tensor>& records);
Indices stack_records(const std::vector<Indices>& records);

/// The records of a batch as one: tensors and ids stacked along a new first axis, numbers as a vector, and
/// the parts of a pair or tuple each for itself; of anything else the list.
template <class T>
auto collate(std::vector<T> records) {
  if constexpr (LoaderTensor<T>) {
    return stack_records(records);
  } else if constexpr (std::same_as<T, float> || std::same_as<T, double>) {
    return Tensor::from(records, Shape(static_cast<std::int64_t>(records.size())));
  } else if constexpr (std::integral<T> && !std::same_as<T, bool>) {
    std::vector<std::int32_t> ids;
    for (const T id : records) {
      if (static_cast<T>(static_cast<std::int32_t>(id)) != id ||
          (id > 0) != (static_cast<std::int32_t>(id) > 0))
        fail<ShapeError>("Loader: a record is {}; ids are from -2^31 to 2^31 - 1", +id);
      ids.push_back(static_cast<std::int32_t>(id));
    }
    return Indices(std::move(ids));
  } else if constexpr (is_several<T>) {
    const auto part = [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
      std::vector<std::tuple_element_t<I, T>> of;
      for (T& record : records) of.push_back(std::move(std::get<I>(record)));
      return collate(std::move(of));
    };
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple{part(std::integral_constant<std::size_t, I>{})...};
    }
    (std::make_index_sequence<std::tuple_size_v<T>>{});
  } else {
    return records;
  }
}
template <class T>
using Collated = decltype(collate(std::declval<std::vector<std::decay_t<T>>>()));

/// What `f` gives for a record x: f(x), or f(x, rng) with random numbers of the record's own.
template <class F, class X>
decltype(auto) load_record(const F& f, X&& x, Rng& rng) {
  if constexpr (std::invocable<const F&, X, Rng&>) {
    return f(std::forward<X>(x), rng);
  } else {
    return f(std::forward<X>(x));
  }
}
template <class F, class X>
concept LoadsRecord = std::invocable<const F&, X> || std::invocable<const F&, X, Rng&>;
/// Records that lie elsewhere: a vector that has a name, or a span.
template <class R>
concept RecordList = std::ranges::contiguous_range<R> && std::ranges::borrowed_range<R>;

/// What makes the batches of records by number, and of a list: types that are there for such arguments alone.
/// (clang 14 looks at what a deduction guide gives before it looks at what the guide asks for.)
template <class F, class X>
using RecordOf =
    decltype(collate(std::declval<std::vector<std::decay_t<decltype(load_record(
                         std::declval<const F&>(), std::declval<X>(), std::declval<Rng&>()))>>>()));
template <class N, class F>
struct BatchByNumber {};
template <std::integral N, LoadsRecord<std::int64_t> F>
struct BatchByNumber<N, F> {
  using Type = RecordOf<F, std::int64_t>;
};
template <class Records, class F>
struct BatchOfList {};
template <RecordList Records, LoadsRecord<std::ranges::range_reference_t<Records>> F>
struct BatchOfList<Records, F> {
  using Type = RecordOf<F, std::ranges::range_reference_t<Records>>;
};

/// The part of a loader that is the same for all kinds of batches: which records make which batch.
struct LoaderPlan {
  std::int64_t count;
  LoaderOptions options;

  /// Throws ArgumentError for options out of range, and ShapeError for more than 2^31-1 records.
  LoaderPlan(std::int64_t records, const LoaderOptions& given);
  /// The batches of an epoch.
  std::int64_t batches() const;
  /// The records in the order of an epoch.
  Indices order(std::int64_t epoch) const;
  Indices ids(const Indices& order, std::int64_t batch) const;
  /// The generator of a record, which depends on neither threads nor batches.
  Rng rng(std::int64_t epoch, std::int64_t record) const;
  void check(const LoaderState& state) const;
};

}  // namespace detail

/// Batches of records, in order or shuffled, made on a thread of their own while the loop's body works:
///
///     Loader batches(inputs, targets, {.batch = 32, .shuffle = true, .seed = 1});
///     for (int epoch = 0; epoch < 10; ++epoch)
///       for (auto [x, y] : batches) ...
///
/// Each loop is an epoch, in an order of its own; one that is left early ends its epoch. The same seed gives
/// the same batches for any number of threads and batches made ahead. The records are
///
///     Loader(inputs, ...)            the entries along the first axis of one to three Tensors or Indices, of
///                                    one length: a batch is of the same types (of several, a tuple)
///     Loader(count, f, ...)          what f(i) gives for i in 0..count-1: Tensors or Indices, which are
///                                    stacked along a new first axis, numbers (a batch of floats or doubles
///                                    is a Tensor, of whole numbers Indices), pairs or tuples of these, or
///                                    anything else, of which a batch is a std::vector
///     Loader(records, f, ...)        the same of f(record), for each of a std::vector or std::span, which is
///                                    not copied and must outlive the loader
///     Loader(records, ...)           the records themselves, so collated
///
/// f may take an Rng& as well, for random changes of its records: one for each epoch and record. It is called
/// on the other thread, and what it throws reaches the loop.
///
///     const LoaderState state = batches.state();      // in mid-epoch, in the loop's body
///     batches.restore(state);                         // in another run: the next loop goes on behind it
template <class Batch>
class Loader {
 public:
  template <detail::LoaderTensor A>
  explicit Loader(A a, const LoaderOptions& options = {})
      : Loader(detail::record_count(a), options,
               [a](const Indices& ids, std::int64_t) { return detail::select_records(a, ids); }) {}
  template <detail::LoaderTensor A, detail::LoaderTensor B>
  Loader(A a, B b, const LoaderOptions& options = {})
      : Loader(detail::common_count({detail::record_count(a), detail::record_count(b)}), options,
               [a, b](const Indices& ids, std::int64_t) {
                 return Batch(detail::select_records(a, ids), detail::select_records(b, ids));
               }) {}
  template <detail::LoaderTensor A, detail::LoaderTensor B, detail::LoaderTensor C>
  Loader(A a, B b, C c, const LoaderOptions& options = {})
      : Loader(
            detail::common_count({detail::record_count(a), detail::record_count(b), detail::record_count(c)}),
            options, [a, b, c](const Indices& ids, std::int64_t) {
              return Batch(detail::select_records(a, ids), detail::select_records(b, ids),
                           detail::select_records(c, ids));
            }) {}
  template <std::integral N, detail::LoadsRecord<std::int64_t> F>
  Loader(N count, F f, const LoaderOptions& options = {})
      : Loader(static_cast<std::int64_t>(count), options,
               by_record([f](std::int64_t i, Rng& rng) { return detail::load_record(f, i, rng); },
                         detail::LoaderPlan(static_cast<std::int64_t>(count), options))) {}
  template <detail::RecordList Records, detail::LoadsRecord<std::ranges::range_reference_t<Records>> F>
  Loader(Records&& records, F f, const LoaderOptions& options = {})
      : Loader(
            static_cast<std::int64_t>(std::ranges::size(records)),
            [f, first = std::ranges::data(records)](std::int64_t i, Rng& rng) {
              return detail::load_record(f, first[i], rng);
            },
            options) {}
  template <detail::RecordList Records>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): a Loader is no list of records.
  explicit Loader(Records&& records, const LoaderOptions& options = {})
      : Loader(
            static_cast<std::int64_t>(std::ranges::size(records)),
            [first = std::ranges::data(records)](std::int64_t i) { return first[i]; }, options) {}

  /// The number of batches in an epoch, and of records.
  std::int64_t size() const { return source_->plan.batches(); }
  std::int64_t records() const { return source_->plan.count; }

  const LoaderState& state() const { return state_; }
  /// The next loop goes on behind this state, with the batches that an unbroken run would have there. Throws
  /// ArgumentError for one that this loader cannot be in.
  void restore(const LoaderState& state) {
    source_->plan.check(state);
    state_ = state;
    goes_on_ = true;
  }

  struct End {};
  class Iterator;
  /// Begins an epoch, or goes on in a restored one.
  Iterator begin() {
    if (!std::exchange(goes_on_, false) && state_.batch > 0) state_ = {state_.epoch + 1, 0};
    return Iterator(this);
  }
  End end() const { return {}; }

 private:
  using Make = std::function<Batch(const Indices& ids, std::int64_t epoch)>;
  struct Source {
    detail::LoaderPlan plan;
    Make make;
  };

  /// What is left of an epoch, as a range.
  struct Pass {
    std::shared_ptr<const Source> source;
    std::int64_t epoch, first, last;
    Indices order;

    struct Place {
      using iterator_category = std::input_iterator_tag;
      using value_type = Batch;
      using difference_type = std::ptrdiff_t;
      using pointer = void;
      using reference = Batch;
      const Pass* of;
      std::int64_t at;
      Batch operator*() const { return of->source->make(of->source->plan.ids(of->order, at), of->epoch); }
      Place& operator++() {
        ++at;
        return *this;
      }
      bool operator==(const Place& other) const { return at == other.at; }
    };
    Place begin() const { return {this, first}; }
    Place end() const { return {this, last}; }
  };

  Loader(std::int64_t count, const LoaderOptions& options, Make make)
      : source_(std::make_shared<const Source>(Source{{count, options}, std::move(make)})) {}

  /// Makes a batch of single records.
  template <class F>
  static Make by_record(F f, detail::LoaderPlan plan) {
    return [f, plan](const Indices& ids, std::int64_t epoch) -> Batch {
      std::vector<std::decay_t<std::invoke_result_t<const F&, std::int64_t, Rng&>>> records;
      records.reserve(static_cast<std::size_t>(ids.size()));
      for (const std::int32_t id : ids.values()) {
        Rng rng = plan.rng(epoch, id);
        records.push_back(f(id, rng));
      }
      return detail::collate(std::move(records));
    };
  }

  std::shared_ptr<const Source> source_;
  LoaderState state_;
  bool goes_on_ = false;  // the next loop goes on in the epoch
};

/// A loop over what is left of an epoch.
template <class Batch>
class Loader<Batch>::Iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = Batch;
  using difference_type = std::ptrdiff_t;
  using pointer = const Batch*;
  using reference = const Batch&;

  explicit Iterator(Loader* of)
      : of_(of),
        at_(of->state_),
        pass_(std::make_unique<Pass>(Pass{of->source_, of->state_.epoch, of->state_.batch, of->size(),
                                          of->source_->plan.order(of->state_.epoch)})) {
    const std::int64_t ahead = of->source_->plan.options.ahead;
    if (ahead > 0) {
      maker_ = std::make_unique<ReadAhead<Pass&>>(*pass_, static_cast<std::size_t>(ahead));
      made_.emplace(maker_->begin());
    }
    take();
  }
  Iterator(Iterator&&) noexcept = default;
  Iterator& operator=(Iterator&&) = delete;  // it would free the pass under the thread that reads it
  Iterator(const Iterator&) = delete;
  Iterator& operator=(const Iterator&) = delete;
  ~Iterator() = default;

  const Batch& operator*() const { return made_ ? **made_ : *current_; }
  Iterator& operator++() {
    if (of_->state_ != at_) {
      fail<ArgumentError>(
          "Loader: it was restored, or another loop over it begun, in the body of this loop; leave this one "
          "first");
    }
    if (made_) ++*made_;
    take();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(End) const { return ended_; }

 private:
  void take() {
    current_.reset();
    ended_ = at_.batch == pass_->last;
    if (!ended_ && !made_) current_.emplace(*typename Pass::Place{pass_.get(), at_.batch});
    at_ = of_->state_ = ended_ ? LoaderState{at_.epoch + 1, 0} : LoaderState{at_.epoch, at_.batch + 1};
  }

  Loader* of_;
  LoaderState at_;  // behind the current batch
  std::unique_ptr<Pass> pass_;
  std::unique_ptr<ReadAhead<Pass&>> maker_;
  std::optional<typename ReadAhead<Pass&>::Iterator> made_;
  std::optional<Batch> current_;  // where nothing is made ahead
  bool ended_ = false;
};

template <detail::LoaderTensor A>
Loader(A, LoaderOptions = {}) -> Loader<A>;
template <detail::LoaderTensor A, detail::LoaderTensor B>
Loader(A, B, LoaderOptions = {}) -> Loader<std::tuple<A, B>>;
template <detail::LoaderTensor A, detail::LoaderTensor B, detail::LoaderTensor C>
Loader(A, B, C, LoaderOptions = {}) -> Loader<std::tuple<A, B, C>>;
template <std::integral N, detail::LoadsRecord<std::int64_t> F>
Loader(N, F, LoaderOptions = {}) -> Loader<typename detail::BatchByNumber<N, F>::Type>;
template <detail::RecordList Records, detail::LoadsRecord<std::ranges::range_reference_t<Records>> F>
Loader(Records&&, F, LoaderOptions = {}) -> Loader<typename detail::BatchOfList<Records, F>::Type>;
template <detail::RecordList Records>
Loader(Records&&, LoaderOptions = {}) -> Loader<detail::Collated<std::ranges::range_value_t<Records>>>;

}  // namespace gradus
