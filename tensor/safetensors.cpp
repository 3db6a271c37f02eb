#include "tensor/safetensors.hpp"

#include <algorithm>
#include <cctype>
#include <deque>
#include <nlohmann/json.hpp>

#include "tensor/files/formats.hpp"
#include "tensor/support/standard_output.hpp"

namespace gradus {

namespace files {

namespace {

using nlohmann::json;

constexpr const char* metadata_key = "__metadata__";

/// "F32", "BF16", "BOOL" and so on.
std::string safetensors_name(NumberType type) {
  std::string out = name_of(type);
  for (char& letter : out) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return out;
}

/// What the header says of a tensor, checked against the file. `begin` is where the numbers begin.
StoredArray read_entry(const SharedBytes& bytes, std::uint64_t begin, const std::string& tensor,
                       const json& entry) {
  const std::string& file = bytes->name();
  const std::string dtype = entry.at("dtype");
  const auto type = std::find_if(all_number_types.begin(), all_number_types.end(),
                                 [&](NumberType known) { return safetensors_name(known) == dtype; });
  if (type == all_number_types.end()) {
    fail<DataError>("{}: the tensor {} is {}; F64, F32, F16, BF16, I8 to I64, U8 to U64 and BOOL are read",
                    file, tensor, dtype);
  }
  for (const char* const key : {"shape", "data_offsets"}) {
    const json& list = entry.at(key);
    if (list.is_array() &&
        !std::all_of(list.begin(), list.end(), [](auto& x) { return x.is_number_integer(); }))
      fail<DataError>("{}: the {} of the tensor {} is not of whole numbers", file, key, tensor);
  }
  const Shape shape(entry.at("shape").get<std::vector<std::int64_t>>());
  const auto place = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
  const std::uint64_t needed = static_cast<std::uint64_t>(shape.size()) * bytes_of(*type);
  if (place.size() != 2 || place[0] > place[1] || place[1] - place[0] != needed)
    fail<DataError>("{}: the place of the tensor {} does not fit its shape {}; write it again", file, tensor,
                    shape);
  if (place[1] > bytes->size() - begin)
    fail<DataError>("{}: the tensor {} reaches past the end of the file, which was cut short", file, tensor);
  return {bytes, begin + place[0], {.type = *type, .shape = shape}, file + ": the tensor " + tensor};
}

/// The header of the arrays from `begin` to `end`, with padding after which the numbers are aligned.
std::string header_of(const std::filesystem::path& file, auto begin, auto end,
                      const std::map<std::string, std::string>& metadata) {
  json header;
  if (!metadata.empty()) header[metadata_key] = metadata;
  std::uint64_t at = 0;
  for (auto it = begin; it != end; ++it) {
    const auto& [name, array] = *it;
    if (name == metadata_key)
      fail<ArgumentError>("{}: no tensor of a safetensors file can be named {}", file.string(), name);
    const std::uint64_t next = at + array.bytes();
    std::vector<std::int64_t> dims;
    for (int i = 0; i < array.shape().rank(); ++i) dims.push_back(array.shape()[i]);
    header[name] = {{"dtype", safetensors_name(array.type())}, {"shape", dims}, {"data_offsets", {at, next}}};
    at = next;
  }
  std::string text = "{}";
  try {
    if (!header.is_null()) text = header.dump();
  } catch (const json::exception& error) {
    fail<ArgumentError>(
        "{}: a tensor's name or the metadata are no UTF-8, as a safetensors header must be ({})",
        file.string(), error.what());
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

/// Writes to what takes text in pieces, such as a file that has yet to take its place.
void write_to(auto& sink, const std::filesystem::path& file, auto begin, auto end,
              const std::map<std::string, std::string>& metadata) {
  const std::string header = header_of(file, begin, end, metadata);
  std::string length;
  append_little_endian(length, header.size(), 8);
  sink.write(length + header);
  for (auto it = begin; it != end; ++it) it->second.read([&](std::string_view piece) { sink.write(piece); });
}

json parse_header(const StoredBytes& bytes, std::uint64_t begin, std::uint64_t length, const char* what) {
  if (length > most_header_bytes)
    fail<DataError>("{}: its {} is of {} bytes; at most {} are read", bytes.name(), what, length,
                    most_header_bytes);
  json header = json::parse(bytes.bytes(begin, length), nullptr, false);
  if (!header.is_object()) fail<DataError>("{}: its {} is not JSON; write it again", bytes.name(), what);
  return header;
}

}  // namespace

StoredArrays read_safetensors(const SharedBytes& bytes) {
  const std::string start = bytes->bytes(0, 8);
  const std::uint64_t length = start.size() == 8 ? little_endian(start, 0, 8) : 0;
  if (start.size() < 8 || length > bytes->size() - 8)
    fail<DataError>("{}: {} bytes, which are no whole safetensors file; write it again", bytes->name(),
                    bytes->size());
  const json header = parse_header(*bytes, 8, length, "safetensors header");
  const std::uint64_t begin = 8 + length, numbers = bytes->size() - begin;
  StoredArrays out;
  std::uint64_t taken = 0;
  try {
    for (const auto& [key, entry] : header.items()) {
      if (key == metadata_key) {
        out.metadata = entry.get<std::map<std::string, std::string>>();
        continue;
      }
      StoredArray array = read_entry(bytes, begin, key, entry);
      // Tensors that share bytes could ask for any amount of memory; the format forbids them.
      taken += array.bytes();
      if (taken > numbers)
        fail<DataError>("{}: the tensor {} lies over others; write it again", bytes->name(), key);
      out.arrays.emplace(key, std::move(array));
    }
  } catch (const json::exception& error) {
    fail<DataError>("{}: its safetensors header lacks something ({}); write it again", bytes->name(),
                    error.what());
  } catch (const ShapeError& error) {
    fail<DataError>("{}: its safetensors header holds {}; write it again", bytes->name(), error.what());
  }
  return out;
}

StoredArrays read_safetensors_index(const SharedBytes& bytes, const std::filesystem::path& folder) {
  const std::string& file = bytes->name();
  const json index = parse_header(*bytes, 0, bytes->size(), "index");
  std::map<std::string, std::string> part_of;
  try {
    part_of = index.at("weight_map").get<std::map<std::string, std::string>>();
  } catch (const json::exception& error) {
    fail<DataError>("{}: it is no index of a safetensors file in parts ({})", file, error.what());
  }
  StoredArrays out;
  std::map<std::string, StoredArrays> parts;
  for (const auto& [tensor, part] : part_of) {
    auto found = parts.find(part);
    if (found == parts.end()) {
      if (part.empty() || part.find('/') != part.npos || part.find('\0') != part.npos || part == "..")
        fail<DataError>("{}: it names '{}' as a part, which is no file beside it", file, part);
      found = parts.emplace(part, read_safetensors(open_bytes(folder / part))).first;
      out.metadata.merge(found->second.metadata);
    }
    const auto array = found->second.arrays.find(tensor);
    if (array == found->second.arrays.end())
      fail<DataError>("{}: the tensor {} is not in {}, where it should be", file, tensor, part);
    out.arrays.emplace(tensor, array->second);
  }
  return out;
}

std::string safetensors_bytes(const StoredArrays& content) {
  struct Bytes {
    std::string all;
    void write(std::string_view piece) { all += piece; }
  } out;
  write_to(out, "a safetensors text", content.arrays.begin(), content.arrays.end(), content.metadata);
  return std::move(out.all);
}

void write_safetensors(const std::filesystem::path& file, const StoredArrays& content) {
  FileSink sink(file);
  write_to(sink, file, content.arrays.begin(), content.arrays.end(), content.metadata);
  sink.commit();
}

std::filesystem::path write_safetensors_parts(const std::filesystem::path& file, const StoredArrays& content,
                                              std::uint64_t max_bytes) {
  using Place = std::map<std::string, StoredArray>::const_iterator;
  std::vector<Place> begins{content.arrays.begin()};  // of the parts
  std::uint64_t total = 0, in_part = 0;
  for (Place it = content.arrays.begin(); it != content.arrays.end(); ++it) {
    const std::uint64_t size = it->second.bytes();
    if (in_part > 0 && size > max_bytes - std::min(in_part, max_bytes)) {
      begins.push_back(it);
      in_part = 0;
    }
    in_part += size;
    total += size;
  }
  std::filesystem::path stem = file;
  if (file.extension() == ".safetensors") stem.replace_extension();
  std::filesystem::path index_file = stem.string() + ".safetensors.index.json";
  std::error_code none;
  if (begins.size() == 1) {
    write_safetensors(file, content);
    std::filesystem::remove(index_file, none);  // of an older content, which it would open
    return file;
  }
  if (is_standard_output(file) || is_special(file))
    fail<ArgumentError>("{}: parts (max_bytes) need a name to begin theirs with", file.string());
  std::deque<FileSink> sinks;  // none takes its place before all are written
  json index;
  index["metadata"]["total_size"] = total;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const Place end = i + 1 < begins.size() ? begins[i + 1] : content.arrays.end();
    const std::filesystem::path part =
        stem.string() + fmt::format("-{:05}-of-{:05}.safetensors", i + 1, begins.size());
    write_to(sinks.emplace_back(part), part, begins[i], end,
             i == 0 ? content.metadata : std::map<std::string, std::string>());
    for (Place it = begins[i]; it != end; ++it) index["weight_map"][it->first] = part.filename().string();
  }
  try {
    sinks.emplace_back(index_file).write(index.dump(2) + "\n");
  } catch (const json::exception& error) {
    fail<ArgumentError>("{}: a file's name is no UTF-8, as an index in JSON must be ({})", file.string(),
                        error.what());
  }
  std::filesystem::remove(index_file, none);  // what is replaced in part is not to be opened
  for (FileSink& sink : sinks) sink.commit();
  return index_file;
}

}  // namespace files

namespace {

Safetensors read_all(const StoredArrays& content) {
  Safetensors out{.tensors = {}, .metadata = content.metadata};
  for (const auto& [name, array] : content.arrays) out.tensors.emplace(name, array.tensor());
  return out;
}

}  // namespace

StoredArrays stored(const Safetensors& content) {
  StoredArrays out{.arrays = {}, .metadata = content.metadata};
  for (const auto& [name, tensor] : content.tensors) out.arrays.emplace(name, StoredArray(tensor));
  return out;
}

void save_safetensors(const std::filesystem::path& file, const Safetensors& content) {
  files::write_safetensors(file, stored(content));
}

std::string safetensors_bytes(const Safetensors& content) {
  return files::safetensors_bytes(stored(content));
}

Safetensors load_safetensors(const std::filesystem::path& file) {
  return read_all(files::read_safetensors(files::open_bytes(file)));
}

Safetensors parse_safetensors(std::string_view bytes, const std::string& name) {
  return read_all(files::read_safetensors(files::borrowed_bytes(bytes, name)));
}

}  // namespace gradus
