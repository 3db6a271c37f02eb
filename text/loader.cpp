#include "text/loader.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "tensor/ops/indexing.hpp"
#include "tensor/ops/movement.hpp"
#include "tensor/permutation.hpp"

namespace gradus::detail {

std::int64_t record_count(const Tensor& x) {
  if (x.rank() == 0) fail<ShapeError>("Loader: a scalar has no records; these lie along the first axis");
  return x.dim(0);
}
std::int64_t record_count(const Indices& x) {
  if (x.rank() == 0) fail<ShapeError>("Loader: a single id has no records; these lie along the first axis");
  return x.dim(0);
}

std::int64_t common_count(std::initializer_list<std::int64_t> counts) {
  for (const std::int64_t count : counts) {
    if (count != *counts.begin())
      fail<ShapeError>("Loader: {} records in one and {} in another; they must be of one length",
                       *counts.begin(), count);
  }
  return *counts.begin();
}

Tensor select_records(const Tensor& x, const Indices& ids) {
  return gather_rows(x, ids);
}
Indices select_records(const Indices& x, const Indices& ids) {
  check_ids("Loader", ids, x.dim(0));
  const Shape shape = x.shape().with(0, ids.size());
  const std::int64_t width = shape.erased(0).size();
  std::vector<std::int32_t> out;
  out.reserve(static_cast<std::size_t>(shape.size()));
  for (const std::int32_t id : ids.values()) {
    const std::int32_t* const record = x.data() + id * width;
    out.insert(out.end(), record, record + width);
  }
  return Indices(std::move(out), shape);
}

Tensor stack_records(const std::vector<Tensor>& records) {
  return stack(records);
}
Indices stack_records(const std::vector<Indices>& records) {
  const Shape shape = records.front().shape();
  std::vector<std::int32_t> out;
  for (const Indices& record : records) {
    if (record.shape() != shape)
      fail<ShapeError>("Loader: ids of shapes {} and {} in one batch; they must be equal", shape,
                       record.shape());
    out.insert(out.end(), record.values().begin(), record.values().end());
  }
  return Indices(std::move(out), shape.inserted(0, static_cast<std::int64_t>(records.size())));
}

LoaderPlan::LoaderPlan(std::int64_t records, const LoaderOptions& given) : count(records), options(given) {
  if (options.batch < 1) fail<ArgumentError>("Loader: batches of {} records; at least 1", options.batch);
  if (options.ahead < 0) fail<ArgumentError>("Loader: {} batches ahead; 0 or more", options.ahead);
  if (count < 0 || count > std::numeric_limits<std::int32_t>::max())
    fail<ShapeError>("Loader: {} records; there may be 0 to 2^31 - 1", count);
}

std::int64_t LoaderPlan::batches() const {
  const std::int64_t whole = count / options.batch;
  return options.drop_last || count % options.batch == 0 ? whole : whole + 1;
}

Indices LoaderPlan::order(std::int64_t epoch) const {
  if (options.shuffle) {
    Rng generator = Rng(options.seed).fork(static_cast<std::uint64_t>(epoch));
    return permutation(count, generator);
  }
  std::vector<std::int32_t> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), 0);
  return Indices(std::move(out));
}

Indices LoaderPlan::ids(const Indices& order, std::int64_t batch) const {
  const std::int64_t begin = batch * options.batch, end = std::min(count, begin + options.batch);
  return Indices(std::vector<std::int32_t>(order.data() + begin, order.data() + end));
}

Rng LoaderPlan::rng(std::int64_t epoch, std::int64_t record) const {
  // Of another seed than the orders'.
  return Rng(~options.seed).fork(static_cast<std::uint64_t>(epoch)).fork(static_cast<std::uint64_t>(record));
}

void LoaderPlan::check(const LoaderState& state) const {
  const bool is_epoch = state.epoch >= 0 && state.epoch < std::numeric_limits<std::int64_t>::max();
  if (is_epoch && state.batch >= 0 && state.batch <= batches()) return;
  fail<ArgumentError>("Loader: a state of epoch {} and batch {}; an epoch of this loader has {} batches",
                      state.epoch, state.batch, batches());
}

}  // namespace gradus::detail
