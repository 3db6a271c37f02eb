#include "autograd/ops/pool.hpp"

#include <memory>
#include <utility>

#include "autograd/record.hpp"

namespace gradus {

namespace {

using detail::PoolWindows;

/// What the largest of each window were taken from, shared by an op and its derivatives.
struct Largest {
  PoolWindows windows;
  Indices at;
};
using LargestPtr = std::shared_ptr<const Largest>;
using WindowsPtr = std::shared_ptr<const PoolWindows>;

/// In memory from the pool, so that a training step takes nothing from the heap.
template <class T>
std::shared_ptr<const T> shared(T value) {
  return std::allocate_shared<T>(storage::PoolAllocator<T>(), std::move(value));
}

// Given the positions, the largest elements are linear in x, and picking them is the adjoint of placing them.
Variable place(const LargestPtr& from, const Variable& y, Where where = Where::here());

Variable pick(const LargestPtr& from, const Variable& x, Where where = Where::here()) {
  const InOp op("max_pool_pick", where);
  return record(op, pool_pick(from->windows, x.value(), from->at),
                wrt(x, [from](const Variable& g) { return place(from, g); }));
}

Variable place(const LargestPtr& from, const Variable& y, Where where) {
  const InOp op("max_pool_place", where);
  return record(op, pool_place(from->windows, y.value(), from->at),
                wrt(y, [from](const Variable& g) { return pick(from, g); }));
}

Variable max_pool(const InOp& op, PoolWindows windows, const Variable& x) {
  if (!recording()) return Variable(pool_max(windows, x.value(), nullptr));
  Largest found{std::move(windows), {}};
  Tensor value = pool_max(found.windows, x.value(), &found.at);
  const LargestPtr from = shared(std::move(found));
  return record(op, std::move(value), wrt(x, [from](const Variable& g) { return place(from, g); }));
}

// So are means.
Variable mean_of(const Op& op, const WindowsPtr& windows, const Variable& x);

Variable spread(const WindowsPtr& windows, const Variable& y, Where where = Where::here()) {
  const InOp op("avg_pool_spread", where);
  return record(op, pool_spread(*windows, y.value()),
                wrt(y, [windows](const Variable& g) { return mean_of("avg_pool", windows, g); }));
}

Variable mean_of(const Op& op, const WindowsPtr& windows, const Variable& x) {
  return record(op, pool_mean(*windows, x.value()),
                wrt(x, [windows](const Variable& g) { return spread(windows, g); }));
}

Variable avg_pool(const InOp& op, PoolWindows windows, const Variable& x) {
  return mean_of(op, shared(std::move(windows)), x);
}

}  // namespace

Variable max_pool1d(const Variable& x, MaxPool1dOptions options, Where where) {
  const InOp op("max_pool1d", where);
  return max_pool(op, detail::pool_windows(x.value(), options), x);
}
Variable max_pool2d(const Variable& x, MaxPool2dOptions options, Where where) {
  const InOp op("max_pool2d", where);
  return max_pool(op, detail::pool_windows(x.value(), options), x);
}
Variable avg_pool1d(const Variable& x, AvgPool1dOptions options, Where where) {
  const InOp op("avg_pool1d", where);
  return avg_pool(op, detail::pool_windows(x.value(), options), x);
}
Variable avg_pool2d(const Variable& x, AvgPool2dOptions options, Where where) {
  const InOp op("avg_pool2d", where);
  return avg_pool(op, detail::pool_windows(x.value(), options), x);
}
Variable adaptive_avg_pool1d(const Variable& x, std::int64_t length, Where where) {
  const InOp op("adaptive_avg_pool1d", where);
  return avg_pool(op, detail::adaptive_windows(op.name, x.value(), length, 1), x);
}
Variable adaptive_avg_pool2d(const Variable& x, HeightWidth lengths, Where where) {
  const InOp op("adaptive_avg_pool2d", where);
  return avg_pool(op, detail::adaptive_windows(op.name, x.value(), lengths, 2), x);
}
Variable adaptive_max_pool1d(const Variable& x, std::int64_t length, Where where) {
  const InOp op("adaptive_max_pool1d", where);
  return max_pool(op, detail::adaptive_windows(op.name, x.value(), length, 1), x);
}
Variable adaptive_max_pool2d(const Variable& x, HeightWidth lengths, Where where) {
  const InOp op("adaptive_max_pool2d", where);
  return max_pool(op, detail::adaptive_windows(op.name, x.value(), lengths, 2), x);
}

}  // namespace gradus
