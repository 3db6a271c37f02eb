#include "optim/run_state.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <set>

#include "tensor/ops.hpp"
#include "tensor/support/checksum.hpp"

namespace gradus::optim {

namespace {

// A set may be empty, so the sets are listed; no name has a point in it.
constexpr const char* sets_key = ".sets";
constexpr const char* list_key = "list";
constexpr const char* checksum_key = ".checksum";

/// Of all that is in a file, but for the checksum itself.
std::string checksum_of(const Safetensors& all) {
  Checksum sum;
  const auto add_text = [&](const std::string& text) { sum.add(fmt::format("{} ", text.size())).add(text); };
  for (const auto& [key, text] : all.metadata) {
    if (key == checksum_key) continue;
    add_text(key);
    add_text(text);
  }
  for (const auto& entry : all.tensors) {
    const Tensor& value = entry.second;
    add_text(entry.first);
    add_text(fmt::format("{} {}", name_of(value.dtype()), value.shape()));
    if (value.dtype() != Dtype::f32 && value.dtype() != Dtype::f64) continue;  // such are not kept
    visit_dtype(value.dtype(), [&](auto tag) {
      using T = decltype(tag);
      sum.add({reinterpret_cast<const char*>(value.data<T>()),
               static_cast<std::size_t>(value.size()) * sizeof(T)});
    });
  }
  return sum.text();
}

template <class T>
bool parses(const std::string& text, T& out) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && stop == end;
}

}  // namespace

void RunState::check_name(const std::string& name) {
  if (name.empty() || name.find('.') != name.npos)
    fail<ArgumentError>("RunState: \"{}\" is no name; give one of at least a letter, without a point", name);
}

void RunState::clear(const std::string& name) {
  check_name(name);
  parts_.erase(name);
  std::erase_if(numbers_, [&](const auto& entry) {
    return entry.first == name || entry.first.starts_with(name + ".");
  });
}

void RunState::put(const std::string& name, const Safetensors& part) {
  clear(name);
  parts_.emplace(name, part);
}

void RunState::put(const std::string& name, const std::vector<double>& numbers) {
  Safetensors part;
  part.tensors.emplace(list_key, Tensor::from(numbers, {static_cast<std::int64_t>(numbers.size())}));
  put(name, part);
}

std::string RunState::text_of(double number) {
  return fmt::format("{}", number);
}
std::string RunState::text_of(std::int64_t number) {
  return fmt::format("{}", number);
}
std::string RunState::text_of(std::uint64_t number) {
  return fmt::format("{}", number);
}

const std::string& RunState::find_number(const std::string& name) const {
  const auto found = numbers_.find(name);
  if (found == numbers_.end()) fail_missing(name);
  return found->second;
}
double RunState::parse_double(const std::string& name) const {
  double out = 0;
  if (!parses(find_number(name), out)) fail_number(name);
  return out;
}
std::int64_t RunState::parse_signed(const std::string& name) const {
  std::int64_t out = 0;
  if (!parses(find_number(name), out)) fail_number(name);
  return out;
}
std::uint64_t RunState::parse_unsigned(const std::string& name) const {
  std::uint64_t out = 0;
  if (!parses(find_number(name), out)) fail_number(name);
  return out;
}

void RunState::fail_number(const std::string& name) const {
  fail<DataError>("{}: {} is \"{}\", which is no number of the type that is asked for", file_, name,
                  numbers_.at(name));
}
void RunState::fail_missing(const std::string& name) const {
  if (contains(name)) fail<DataError>("{}: {} is of another kind than what is asked for", file_, name);
  std::set<std::string> names;
  for (const auto& [known, part] : parts_) names.insert(known);
  for (const auto& [known, text] : numbers_) names.insert(known);
  fail<DataError>("{}: there is no {} in it; there {} {}", file_, name, names.size() == 1 ? "is" : "are",
                  names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", ")));
}

Safetensors RunState::tensors(const std::string& name) const {
  const auto found = parts_.find(name);
  if (found == parts_.end()) fail_missing(name);
  return found->second;
}
std::vector<double> RunState::numbers(const std::string& name) const {
  const Safetensors part = tensors(name);
  const auto found = part.tensors.find(list_key);
  if (found == part.tensors.end()) fail<DataError>("{}: {} is no list of numbers", file_, name);
  const Tensor list = found->second.to(Dtype::f64);
  return {list.data<double>(), list.data<double>() + list.size()};
}
bool RunState::contains(const std::string& name) const {
  const auto inside = numbers_.lower_bound(name + ".");
  return parts_.contains(name) || numbers_.contains(name) ||
         (inside != numbers_.end() && inside->first.starts_with(name + "."));
}

void RunState::save(const std::filesystem::path& file) const {
  Safetensors all;
  std::string sets;
  for (const auto& [name, part] : parts_) {
    sets += (sets.empty() ? "" : ".") + name;
    for (const auto& [inner, value] : part.tensors) all.tensors.emplace(inside(name, inner), value);
    for (const auto& [inner, text] : part.metadata) all.metadata.emplace(inside(name, inner), text);
  }
  for (const auto& [name, text] : numbers_) all.metadata.emplace(name, text);
  all.metadata.emplace(sets_key, sets);
  all.metadata.emplace(checksum_key, checksum_of(all));
  save_safetensors(file, all);
}

RunState RunState::load(const std::filesystem::path& file) {
  const Safetensors all = load_safetensors(file);
  RunState out;
  out.file_ = file.string();
  const auto sum = all.metadata.find(checksum_key);  // files of earlier versions have none
  if (sum != all.metadata.end() && sum->second != checksum_of(all))
    fail<DataError>("{}: its checksum is not that of its content, so it is damaged; use an older one",
                    out.file_);
  const auto sets = all.metadata.find(sets_key);
  if (sets == all.metadata.end())
    fail<DataError>("{}: it is no state of a run, which RunState::save writes", out.file_);
  for (std::size_t at = 0; at < sets->second.size();) {
    const std::size_t end = std::min(sets->second.find('.', at), sets->second.size());
    out.parts_.emplace(sets->second.substr(at, end - at), Safetensors());
    at = end + 1;
  }
  const auto split = [&](const std::string& path) {
    const std::size_t point = path.find('.');
    if (point == path.npos) fail<DataError>("{}: {} stands outside of all sets", out.file_, path);
    return std::pair(path.substr(0, point), path.substr(point + 1));
  };
  for (const auto& [path, value] : all.tensors) {
    const auto [name, inner] = split(path);
    out.parts_[name].tensors.emplace(inner, value);
  }
  for (const auto& [path, text] : all.metadata) {
    if (path == sets_key || path == checksum_key) continue;
    const std::string name = path.substr(0, path.find('.'));
    if (out.parts_.contains(name)) {
      out.parts_[name].metadata.emplace(split(path).second, text);
    } else {
      out.numbers_.emplace(path, text);
    }
  }
  return out;
}

}  // namespace gradus::optim
