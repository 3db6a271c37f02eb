#include "tensor/value_summary.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradus {

namespace {

struct Values {
  std::int64_t nans = 0, infinities = 0;
  double least = std::numeric_limits<double>::infinity(), most = -least;
  std::string first;  // the first few that are not finite, with their positions
};

Values look_at(const Tensor& x) {
  constexpr std::int64_t shown = 3;
  Values out;
  const Shape shape = x.shape();
  visit_dtype(x.dtype(), [&](auto tag) {
    const auto values = x.values<decltype(tag)>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto value = static_cast<double>(values[i]);
      if (std::isfinite(value)) {
        out.least = std::min(out.least, value);
        out.most = std::max(out.most, value);
        continue;
      }
      if (out.nans + out.infinities < shown) {
        out.first += fmt::format("{}{} at {}", out.first.empty() ? "" : ", ", value,
                                 Shape(shape.index_of(static_cast<std::int64_t>(i))).text());
      }
      ++(std::isnan(value) ? out.nans : out.infinities);
    }
    if (out.nans + out.infinities > shown) out.first += ", ...";
  });
  return out;
}

}  // namespace

std::string value_summary(const Tensor& x) {
  if (!x.defined()) return "undefined";
  const Values values = look_at(x);
  std::string out = fmt::format("{} {}, ", x.shape(), name_of(x.dtype()));
  const bool bad = values.nans + values.infinities > 0;
  if (bad) {
    out += fmt::format("{} NaN and {} infinite of {} elements, first {}", values.nans, values.infinities,
                       x.size(), values.first);
  }
  if (values.least <= values.most) {
    out +=
        fmt::format("{} from {:.6g} to {:.6g}", bad ? "; the others" : "values", values.least, values.most);
  } else if (!bad) {
    out += "empty";
  }
  return out;
}

}  // namespace gradus
