#include "tensor/safetensors.hpp"

#include <nlohmann/json.hpp>

#include "tensor/support/read_file.hpp"
#include "tensor/support/standard_output.hpp"
#include "tensor/support/write_file.hpp"

namespace gradus {

namespace {

using nlohmann::json;

constexpr const char* metadata_key = "__metadata__";

const char* dtype_name(Dtype dtype) {
  return dtype == Dtype::f32 ? "F32" : "F64";
}

struct Place {
  Dtype dtype;
  Shape shape;
  std::uint64_t begin, end;
};

/// What the header says of a tensor, checked against the file.
Place read_place(const std::string& file, const std::string& name, const json& entry,
                 std::string_view numbers) {
  const std::string dtype_text = entry.at("dtype");
  if (dtype_text != "F32" && dtype_text != "F64")
    fail<DataError>("{}: the tensor {} is {}; F32 and F64 are read", file, name, dtype_text);
  const Dtype dtype = dtype_text == "F32" ? Dtype::f32 : Dtype::f64;
  const Shape shape(entry.at("shape").get<std::vector<std::int64_t>>());
  const auto place = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
  const std::uint64_t bytes = static_cast<std::uint64_t>(shape.size()) * bytes_of(dtype);
  if (place.size() != 2 || place[0] > place[1] || place[1] - place[0] != bytes)
    fail<DataError>("{}: the place of the tensor {} does not fit its shape {}; write it again", file, name,
                    shape);
  if (place[1] > numbers.size())
    fail<DataError>("{}: the tensor {} reaches past the end of the file, which was cut short", file, name);
  return {dtype, shape, place[0], place[1]};
}

Tensor read_tensor(const Place& place, std::string_view numbers) {
  Tensor out = Tensor::uninitialized(place.shape, place.dtype);
  const std::uint64_t bytes = place.end - place.begin;
  visit_dtype(place.dtype, [&](auto tag) {
    if (bytes > 0) std::memcpy(out.mutable_data<decltype(tag)>(), numbers.data() + place.begin, bytes);
  });
  return out;
}

}  // namespace

void save_safetensors(const std::filesystem::path& file, const Safetensors& content) {
  json header;
  if (!content.metadata.empty()) header[metadata_key] = content.metadata;
  std::string numbers;
  for (const auto& [name, value] : content.tensors) {
    const std::size_t begin = numbers.size();
    visit_dtype(value.dtype(), [&, &tensor = value](auto tag) {  // clang 14 captures no binding by itself
      const auto values = tensor.template values<decltype(tag)>();
      numbers.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    });
    std::vector<std::int64_t> dims;
    for (int i = 0; i < value.rank(); ++i) dims.push_back(value.dim(i));
    header[name] = {
        {"dtype", dtype_name(value.dtype())}, {"shape", dims}, {"data_offsets", {begin, numbers.size()}}};
  }
  std::string text = "{}";
  try {
    if (!header.is_null()) text = header.dump();
  } catch (const json::exception& error) {
    fail<ArgumentError>(
        "{}: a tensor's name or the metadata are no UTF-8, as a safetensors header must be ({})",
        file.string(), error.what());
  }
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the numbers are aligned
  std::string bytes;
  for (std::size_t i = 0; i < 8; ++i) bytes += static_cast<char>(text.size() >> (8 * i) & 255);
  bytes += text + numbers;
  if (is_standard_output(file)) return write_standard_output(bytes);
  write_file(file, bytes);
}

Safetensors load_safetensors(const std::filesystem::path& file) {
  return parse_safetensors(read_file(file), file.string());
}

Safetensors parse_safetensors(std::string_view bytes, const std::string& name) {
  std::uint64_t length = 0;
  if (bytes.size() >= 8) {
    for (std::size_t i = 0; i < 8; ++i)
      length |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  if (bytes.size() < 8 || length > bytes.size() - 8)
    fail<DataError>("{}: {} bytes, which are no whole safetensors file; write it again", name, bytes.size());
  const json header = json::parse(bytes.substr(8, length), nullptr, false);
  if (!header.is_object()) fail<DataError>("{}: its safetensors header is not JSON; write it again", name);
  Safetensors out;
  const std::string_view numbers = bytes.substr(8 + length);
  std::uint64_t taken = 0;
  try {
    for (const auto& [key, entry] : header.items()) {
      if (key == metadata_key) {
        out.metadata = entry.get<std::map<std::string, std::string>>();
      } else {
        const Place place = read_place(name, key, entry, numbers);
        // Tensors that share bytes could ask for any amount of memory; the format forbids them.
        taken += place.end - place.begin;
        if (taken > numbers.size())
          fail<DataError>("{}: the tensor {} lies over others; write it again", name, key);
        out.tensors.emplace(key, read_tensor(place, numbers));
      }
    }
  } catch (const json::exception& error) {
    fail<DataError>("{}: its safetensors header lacks something ({}); write it again", name, error.what());
  } catch (const ShapeError& error) {
    fail<DataError>("{}: its safetensors header holds {}; write it again", name, error.what());
  }
  return out;
}

}  // namespace gradus
