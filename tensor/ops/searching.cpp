#include "tensor/ops/searching.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <compare>
#include <concepts>
#include <limits>
#include <numeric>
#include <vector>

#include "tensor/ops.hpp"
#include "tensor/ops/sort_key.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using detail::sort_key;

void check_dtypes(const char* op, const char* first, const Tensor& a, const char* second, const Tensor& b) {
  if (a.dtype() == b.dtype()) return;
  fail<DtypeError>("{}: {} of {} and {} of {}; convert one with to()", op, first, name_of(a.dtype()), second,
                   name_of(b.dtype()));
}

/// What orders numbers and ids, and whether one is equal to nothing.
template <class T>
auto order_of(T value) {
  if constexpr (std::floating_point<T>) {
    return sort_key(value);
  } else {
    return value;
  }
}
template <class T>
bool equals_nothing(T value) {
  if constexpr (std::floating_point<T>) {
    return std::isnan(value);
  } else {
    return false;
  }
}

/// The places of entries in ascending order, and which of these begin a new value. compare(a, b) orders the
/// entries at two places; apart(a) says that the one at a place is equal to nothing.
struct Groups {
  std::vector<std::int32_t> order, starts;  // starts: positions in `order`

  template <class Compare, class Apart>
  Groups(std::int64_t count, const Compare& compare, const Apart& apart)
      : order(static_cast<std::size_t>(count)) {
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      const auto found = compare(a, b);
      return std::is_eq(found) ? a < b : std::is_lt(found);
    });
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i == 0 || apart(order[i]) || std::is_neq(compare(order[i - 1], order[i])))
        starts.push_back(static_cast<std::int32_t>(i));
    }
  }
  std::size_t end(std::size_t group) const {
    return group + 1 < starts.size() ? static_cast<std::size_t>(starts[group + 1]) : order.size();
  }
};

/// Those of single elements.
template <class T>
Groups groups_of(std::span<const T> values) {
  const auto at = [&](std::int32_t i) { return values[static_cast<std::size_t>(i)]; };
  return Groups(
      static_cast<std::int64_t>(values.size()),
      [&](std::int32_t a, std::int32_t b) { return order_of(at(a)) <=> order_of(at(b)); },
      [&](std::int32_t i) { return equals_nothing(at(i)); });
}
/// Those of slices, which compare as words do: by their first elements that differ.
template <class T>
Groups groups_of(const T* x, const Runs& r) {
  using Key = decltype(order_of(T{}));
  const std::int64_t width = r.outer * r.inner;
  std::vector<Key> keys(static_cast<std::size_t>(r.length * width));  // (slice, outer, inner)
  std::vector<char> apart(static_cast<std::size_t>(r.length), 0);
  for (std::int64_t i = 0; i < r.length; ++i) {
    for (std::int64_t k = 0; k < width; ++k) {
      const T value = x[(k / r.inner * r.length + i) * r.inner + k % r.inner];
      keys[static_cast<std::size_t>(i * width + k)] = order_of(value);
      if (equals_nothing(value)) apart[static_cast<std::size_t>(i)] = 1;
    }
  }
  const auto compare = [&](std::int32_t a, std::int32_t b) {
    const Key *const first = keys.data() + a * width, *const second = keys.data() + b * width;
    const auto [one, other] = std::mismatch(first, first + width, second);
    return one == first + width ? std::strong_ordering::equal : *one <=> *other;
  };
  return Groups(r.length, compare, [&](std::int32_t i) { return apart[static_cast<std::size_t>(i)] != 0; });
}

/// Fills in what `unique` gives beside the values, and returns the place of the first entry of each.
template <class Values>
std::vector<std::int32_t> fill(const Groups& groups, const Shape& shape, Unique<Values>& out) {
  std::vector<std::int32_t> firsts, places(groups.order.size()), sizes;
  for (std::size_t g = 0; g < groups.starts.size(); ++g) {
    const auto begin = static_cast<std::size_t>(groups.starts[g]), end = groups.end(g);
    firsts.push_back(groups.order[begin]);
    sizes.push_back(static_cast<std::int32_t>(end - begin));
    for (std::size_t i = begin; i < end; ++i)
      places[static_cast<std::size_t>(groups.order[i])] = static_cast<std::int32_t>(g);
  }
  out.inverse = Indices(std::move(places), shape);
  out.counts = Indices(std::move(sizes));
  return firsts;
}

void check_sorted(const Tensor& sorted, std::int64_t n) {
  visit_dtype(sorted.dtype(), [&]<class T>(T) {
    const T* const x = sorted.data<T>();
    for (std::int64_t i = 1; i < sorted.size(); ++i) {
      if (i % n == 0 || sort_key(x[i - 1]) <= sort_key(x[i])) continue;
      fail<ArgumentError>("searchsorted: the numbers must be ascending; {} is followed by {} at position {}",
                          x[i - 1], x[i], i % n);
    }
  });
}

/// The number of elements, which ids must be able to count.
void check_countable(const char* op, std::int64_t size) {
  if (size > std::numeric_limits<std::int32_t>::max())
    fail<ShapeError>("{}: {} elements; ids count to 2^31 - 1", op, size);
}

}  // namespace

Indices searchsorted(const Tensor& sorted, const Tensor& values, SearchOptions options) {
  check_dtypes("searchsorted", "numbers", sorted, "values", values);
  const bool one = sorted.rank() == 1;
  const bool fits = one || (sorted.rank() > 1 && values.rank() == sorted.rank() &&
                            values.shape().with(-1, 0) == sorted.shape().with(-1, 0));
  if (!fits)
    fail<ShapeError>(
        "searchsorted: values of shape {} in sorted numbers of shape {}; these must be a vector, or have the "
        "values' leading lengths",
        values.shape(), sorted.shape());
  const std::int64_t n = sorted.dim(-1);
  const std::int64_t m = one ? values.size() : values.dim(-1);
  check_sorted(sorted, n);
  std::vector<std::int32_t> out(static_cast<std::size_t>(values.size()));
  const auto cost = 4 * static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(n))) + 1;
  visit_dtype(sorted.dtype(), [&]<class T>(T) {
    const T *const numbers = sorted.data<T>(), *const wanted = values.data<T>();
    parallel::for_each(values.size(), cost, [&](std::int64_t i) {
      const T *const begin = numbers + i / m * n, *const end = begin + n;
      const auto key = sort_key(wanted[i]);
      const T* const place = std::partition_point(
          begin, end, [&](T x) { return options.right ? sort_key(x) <= key : sort_key(x) < key; });
      out[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(place - begin);
    });
  });
  return Indices(std::move(out), values.shape());
}

Unique<Tensor> unique(const Tensor& x) {
  check_countable("unique", x.size());
  Unique<Tensor> out;
  visit_dtype(x.dtype(), [&]<class T>(T) {
    const std::span<const T> values = x.values<T>();
    std::vector<T> kept;
    for (const std::int32_t i : fill(groups_of(values), x.shape(), out))
      kept.push_back(values[static_cast<std::size_t>(i)]);
    out.values = Tensor::from(kept, Shape(static_cast<std::int64_t>(kept.size())));
  });
  return out;
}

Unique<Indices> unique(const Indices& ids) {
  check_countable("unique", ids.size());
  Unique<Indices> out;
  std::vector<std::int32_t> kept;
  for (const std::int32_t i : fill(groups_of(ids.values()), ids.shape(), out))
    kept.push_back(ids.values()[static_cast<std::size_t>(i)]);
  out.values = Indices(std::move(kept));
  return out;
}

Unique<Tensor> unique(const Tensor& x, int axis) {
  const Runs r = runs_at(x.shape(), named_axis("unique", x.shape(), axis));
  Unique<Tensor> out;
  visit_dtype(x.dtype(), [&]<class T>(T) {
    out.values = index_select(x, axis, Indices(fill(groups_of(x.data<T>(), r), {r.length}, out)));
  });
  return out;
}

Unique<Indices> unique(const Indices& ids, int axis) {
  axis = named_axis("unique", ids.shape(), axis);
  const Runs r = runs_at(ids.shape(), axis);
  Unique<Indices> out;
  const std::vector<std::int32_t> firsts = fill(groups_of(ids.data(), r), {r.length}, out);
  std::vector<std::int32_t> kept;
  for (std::int64_t block = 0; block < r.outer; ++block) {
    for (const std::int32_t first : firsts) {
      const std::int32_t* const run = ids.data() + (block * r.length + first) * r.inner;
      kept.insert(kept.end(), run, run + r.inner);
    }
  }
  out.values = Indices(std::move(kept), ids.shape().with(axis, static_cast<std::int64_t>(firsts.size())));
  return out;
}

Indices nonzero(const Tensor& x) {
  const Shape shape = x.shape();
  std::vector<std::int32_t> out;
  std::int64_t count = 0;
  visit_dtype(x.dtype(), [&]<class T>(T) {
    const T* const values = x.data<T>();
    for (std::int64_t i = 0; i < x.size(); ++i) {
      if (values[i] == T{0}) continue;
      ++count;
      for (const std::int64_t at : shape.index_of(i)) out.push_back(static_cast<std::int32_t>(at));
    }
  });
  return Indices(std::move(out), {count, shape.rank()});
}

std::int64_t detail::bincount_length(const Indices& ids, BincountOptions options) {
  if (options.minlength < 0 || options.minlength > std::numeric_limits<std::int32_t>::max())
    fail<ArgumentError>("bincount: a minlength of {}; it must be 0 to 2^31 - 1", options.minlength);
  check_ids("bincount", ids, std::int64_t{1} << 31);
  const auto largest = std::ranges::max_element(ids.values());
  const std::int64_t needed = ids.size() == 0 ? 0 : std::int64_t{*largest} + 1;
  return std::max(options.minlength, needed);
}

Indices bincount(const Indices& ids, BincountOptions options) {
  check_countable("bincount", ids.size());
  std::vector<std::int32_t> counts(static_cast<std::size_t>(detail::bincount_length(ids, options)), 0);
  for (const std::int32_t id : ids.values()) ++counts[static_cast<std::size_t>(id)];
  return Indices(std::move(counts));
}

Tensor bincount(const Indices& ids, const Tensor& weights, BincountOptions options) {
  if (weights.shape() != ids.shape())
    fail<ShapeError>("bincount: weights of shape {} for ids of shape {}; give one an id", weights.shape(),
                     ids.shape());
  Tensor out = zeros(detail::bincount_length(ids, options), weights.dtype());
  index_add(out, 0, ids.reshape({ids.size()}), weights.reshape({weights.size()}));
  return out;
}

void detail::check_interp(const Tensor& x, const Tensor& xp, const Tensor& fp) {
  check_dtypes("interp", "x", x, "xp", xp);
  check_dtypes("interp", "x", x, "fp", fp);
  if (xp.rank() != 1 || fp.rank() != 1 || xp.size() != fp.size() || xp.size() == 0)
    fail<ShapeError>(
        "interp: xp of shape {} and fp of shape {}; both must be vectors of one length, not empty",
        xp.shape(), fp.shape());
  for (std::int64_t i = 0; i < xp.size(); ++i) {
    if (!std::isfinite(xp.at(i))) fail<ArgumentError>("interp: xp holds {} at position {}", xp.at(i), i);
    if (i == 0 || xp.at(i - 1) < xp.at(i)) continue;
    fail<ArgumentError>("interp: xp must be ascending; {} is followed by {} at position {}", xp.at(i - 1),
                        xp.at(i), i);
  }
}

Indices detail::interp_segments(const Tensor& x, const Tensor& xp) {
  const Indices after = searchsorted(xp, x, {.right = true});
  std::vector<std::int32_t> out(after.values().begin(), after.values().end());
  const auto last = static_cast<std::int32_t>(std::max<std::int64_t>(0, xp.size() - 2));
  for (std::int32_t& i : out) i = std::clamp(i - 1, 0, last);
  return Indices(std::move(out), x.shape());
}

Indices detail::next_ids(const Indices& ids) {
  std::vector<std::int32_t> out(ids.values().begin(), ids.values().end());
  for (std::int32_t& i : out) ++i;
  return Indices(std::move(out), ids.shape());
}

Tensor interp(const Tensor& x, const Tensor& xp, const Tensor& fp, InterpOptions options) {
  detail::check_interp(x, xp, fp);
  const std::int64_t n = xp.size();
  const Indices segments = detail::interp_segments(x, xp);
  Tensor out = Tensor::uninitialized_like(x);
  const auto look_up = [&]<class T>(T* to, const T* at, const T* places, const T* heights) {
    const auto left = options.left ? static_cast<T>(*options.left) : heights[0];
    const auto right = options.right ? static_cast<T>(*options.right) : heights[n - 1];
    parallel::for_each(x.size(), 8, [&](std::int64_t i) {
      const T v = at[i];
      if (!(v >= places[0])) {
        to[i] = std::isnan(v) ? v : left;
      } else if (v >= places[n - 1]) {
        to[i] = v == places[n - 1] ? heights[n - 1] : right;
      } else {
        const std::int32_t s = segments.data()[i];
        const auto x0 = static_cast<double>(places[s]), x1 = static_cast<double>(places[s + 1]);
        const auto f0 = static_cast<double>(heights[s]), f1 = static_cast<double>(heights[s + 1]);
        to[i] = static_cast<T>(f0 + (f1 - f0) * ((static_cast<double>(v) - x0) / (x1 - x0)));
      }
    });
  };
  visit_elements(look_up, out, x, xp, fp);
  return out;
}

}  // namespace gradus
