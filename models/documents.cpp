#include "models/documents.hpp"

#include <algorithm>
#include <vector>

namespace gradus::models::detail {

PackedDocuments::PackedDocuments(const Indices& x, std::int64_t end) {
  const std::int64_t time = x.dim(0), batch = x.dim(1);
  std::vector<std::int32_t> first, place;
  first.reserve(static_cast<std::size_t>(x.size()));
  place.reserve(first.capacity());
  for (std::int64_t b = 0; b < batch; ++b) {
    std::int32_t start = 0;
    for (std::int32_t t = 0; t < time; ++t) {
      if (x.data()[t * batch + b] == end) start = t;
      first.push_back(start);
      place.push_back(t - start);
    }
  }
  starts = Indices(std::move(first), {batch, time});
  positions = Indices(std::move(place), {batch, time});
}

Tensor document_begins(const Indices& x, std::int64_t end, Dtype dtype) {
  Tensor out = Tensor::uninitialized({x.dim(0), x.dim(1), 1}, dtype);
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    std::ranges::transform(x.values(), out.mutable_data<T>(),
                           [end](std::int32_t id) { return id == end ? T{1} : T{0}; });
  });
  return out;
}

SeparateDocuments::SeparateDocuments(const Indices& x, std::int64_t end) {
  const std::int64_t time = x.dim(0), batch = x.dim(1);
  struct Document {
    std::int64_t text, first, length;
  };
  std::vector<Document> all;
  std::vector<std::int32_t> ends, counts, from;
  std::int64_t longest = 0;
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t t = 0; t < time; ++t) {
      const bool begins = x.data()[t * batch + b] == end;
      if (t == 0 || begins) {
        all.push_back({b, t, 0});
        from.push_back(static_cast<std::int32_t>(begins ? batch : b));
      }
      longest = std::max(longest, ++all.back().length);
    }
    ends.push_back(static_cast<std::int32_t>(all.size()) - 1);
  }
  const std::int64_t documents = std::ssize(all);
  std::vector<std::int32_t> sequences(static_cast<std::size_t>(longest * documents), 0),
      where(static_cast<std::size_t>(time * batch));
  for (std::int64_t d = 0; d < documents; ++d) {
    const Document& document = all[static_cast<std::size_t>(d)];
    counts.push_back(static_cast<std::int32_t>(document.length));
    for (std::int64_t t = 0; t < document.length; ++t) {
      const std::int64_t token = (document.first + t) * batch + document.text, place = t * documents + d;
      sequences[static_cast<std::size_t>(place)] = x.data()[token];
      where[static_cast<std::size_t>(token)] = static_cast<std::int32_t>(place);
    }
  }
  ids = Indices(std::move(sequences), {longest, documents});
  lengths = Indices(std::move(counts));
  before = Indices(std::move(from));
  places = Indices(std::move(where));
  last = Indices(std::move(ends));
}

}  // namespace gradus::models::detail
