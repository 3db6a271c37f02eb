#include "nn/weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace gradus::nn {

namespace {

constexpr std::size_t most_named = 10;

/// "a, b, c and 7 more".
template <class List, class Text>
std::string listed(const List& items, Text&& text) {
  std::string out;
  for (std::size_t i = 0; i < std::min(items.size(), most_named); ++i)
    out += (i > 0 ? ", " : "") + text(items[i]);
  if (items.size() > most_named) out += fmt::format(" and {} more", items.size() - most_named);
  return out;
}

/// PyTorch counts the batches that a normalisation saw, which nothing but an average over all of them needs.
bool is_counter(const std::string& name) {
  constexpr std::string_view counter = "num_batches_tracked";
  return name.ends_with(counter) &&
         (name.size() == counter.size() || name[name.size() - counter.size() - 1] == '.');
}

/// Where a tensor of the same name stands under another prefix, as those of a whole model do for a part of
/// it: a sentence that says so; else nothing.
std::string other_prefix(const std::vector<std::string>& missing,
                         const std::vector<std::string>& unexpected) {
  for (const std::string& path : missing) {
    for (const std::string& other : unexpected) {
      const bool of_whole = other.ends_with("." + path);
      if (!of_whole && !path.ends_with("." + other)) continue;
      const std::string& longer = of_whole ? other : path;
      const std::string prefix = longer.substr(0, longer.size() - (of_whole ? path : other).size());
      const std::string part = prefix.substr(0, prefix.size() - 1);
      return fmt::format(
          "the parameter {} is missing, but {} is there: {}. ", path, other,
          of_whole ? fmt::format("the file is of a model that has this one as its part {}; load it "
                                 "into that model, or take the prefix \"{}\" off (LoadOptions::prefix)",
                                 part, prefix)
                   : fmt::format("the file is of the part {} of this model; load it into that part, "
                                 "or put the prefix \"{}\" before the names (LoadOptions::rename)",
                                 part, prefix));
    }
  }
  return {};
}

/// A parameter and the array for it.
struct Pairing {
  Tensor* value;
  const StoredArray* array;
};

}  // namespace

bool LoadReport::complete() const {
  return missing.empty() && misshapen.empty() &&
         std::all_of(unexpected.begin(), unexpected.end(), is_counter);
}

std::string LoadReport::text() const {
  if (complete()) return fmt::format("{} loaded", loaded.size());
  const auto itself = [](const std::string& name) { return name; };
  std::string out;
  const auto add = [&](const char* what, const std::string& items) {
    if (!items.empty()) out += (out.empty() ? "" : "; ") + std::string(what) + ": " + items;
  };
  add("missing", listed(missing, itself));
  add("unexpected", listed(unexpected, itself));
  add("of another shape", listed(misshapen, [](const Misshapen& one) {
        return fmt::format("{} ({} in the file, {} in the model)", one.name, one.in_file, one.in_model);
      }));
  return out;
}

namespace detail {

LoadReport load_saved(const std::vector<SavedTensor>& tensors, const StoredArrays& content,
                      const std::string& name, const LoadOptions& options) {
  std::map<std::string, std::map<std::string, StoredArray>::const_iterator> named;
  for (auto entry = content.arrays.begin(); entry != content.arrays.end(); ++entry) {
    if (!entry->first.starts_with(options.prefix)) continue;
    std::string path = entry->first.substr(options.prefix.size());
    if (options.rename) {
      path = options.rename(path);
      if (path.empty()) continue;
    }
    const auto [other, is_new] = named.emplace(path, entry);
    if (!is_new)
      fail<DataError>("{}: both {} and {} are renamed to {}", name, other->second->first, entry->first, path);
  }

  LoadReport report;
  std::vector<Pairing> pairs;
  std::set<std::string> paths;
  for (const SavedTensor& tensor : tensors) {
    if (!paths.insert(tensor.path).second)
      fail<DataError>("{}: the model lists a parameter twice: {}", name, tensor.path);
    const auto found = named.find(tensor.path);
    if (found == named.end()) {
      report.missing.push_back(tensor.path);
      continue;
    }
    const StoredArray& array = found->second->second;
    if (array.shape() != tensor.value->shape()) {
      report.misshapen.push_back({tensor.path, array.shape(), tensor.value->shape()});
      continue;
    }
    report.loaded.push_back(tensor.path);
    pairs.push_back({tensor.value, &array});
  }
  for (const auto& [path, entry] : named) {
    if (!paths.contains(path)) report.unexpected.push_back(entry->first);
  }
  if (options.strict && !report.complete()) {
    fail<DataError>("{}: {}it does not fit the model, which stays as it was: {}", name,
                    other_prefix(report.missing, report.unexpected), report.text());
  }
  std::vector<Tensor> values;  // all of them, before the first parameter changes
  values.reserve(pairs.size());
  for (const Pairing& pair : pairs) values.push_back(pair.array->tensor(pair.value->dtype()));
  for (std::size_t i = 0; i < pairs.size(); ++i) *pairs[i].value = std::move(values[i]);
  return report;
}

}  // namespace detail

}  // namespace gradus::nn
