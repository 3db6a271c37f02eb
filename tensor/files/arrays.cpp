// The files of arrays of every format: open_arrays and save_arrays.

#include <nlohmann/json.hpp>

#include "tensor/files/formats.hpp"

namespace gradus {

namespace {

using files::SharedBytes;

StoredArrays read_zip(const SharedBytes& bytes) {
  const files::ZipReader zip(bytes);
  bool only_npy = true;
  for (const auto& entry : zip.entries()) {
    if (entry.first == "data.pkl" || entry.first.ends_with("/data.pkl")) return read_torch(zip);
    only_npy &= entry.first.ends_with(".npy");
  }
  if (!only_npy)
    fail<DataError>("{}: a zip file that neither NumPy (.npz) nor PyTorch (.pt) wrote", bytes->name());
  return read_npz(zip);
}

StoredArrays read_any(const SharedBytes& bytes, const std::filesystem::path* folder) {
  constexpr std::string_view legacy = "\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19";
  const std::string start = bytes->bytes(0, 16), &name = bytes->name();
  if (files::ZipReader::is_zip(start)) return read_zip(bytes);
  if (start.starts_with("\x93NUMPY"))
    fail<DataError>("{}: one array (.npy); read it with load_npy or load_npy_indices", name);
  if (start.size() > 2 && start.starts_with('\x80') &&
      std::string_view(start).substr(2).starts_with(legacy)) {
    fail<DataError>(
        "{}: in the format of PyTorch before 1.6, which is not read; load it in PyTorch and save it again, "
        "without _use_new_zipfile_serialization=False",
        name);
  }
  if (start.size() > 8 && start.starts_with('\x80') && start[8] != '{') {
    fail<DataError>(
        "{}: a pickle of Python's, which is not read: it could run any program; save tensors with "
        "torch.save, numpy.savez or safetensors",
        name);
  }
  const bool is_json =
      start.starts_with('{') && (start.size() < 9 || files::little_endian(start, 0, 8) > bytes->size());
  if (is_json && folder != nullptr) return files::read_safetensors_index(bytes, *folder);
  return files::read_safetensors(bytes);
}

StoredArrays converted(const StoredArrays& content, NumberType type) {
  StoredArrays out{.arrays = {}, .metadata = content.metadata};
  for (const auto& [name, array] : content.arrays) {
    if (!is_floating(array.type()) || array.type() == type) {
      out.arrays.emplace(name, array);
    } else if (type == number_type_of(Dtype::f32) || type == number_type_of(Dtype::f64)) {
      out.arrays.emplace(name, array.tensor(type == NumberType::f32 ? Dtype::f32 : Dtype::f64));
    } else {
      out.arrays.emplace(name, StoredArray(array.tensor(), type));
    }
  }
  return out;
}

/// Every format that is written holds names as UTF-8.
void check_name(const std::filesystem::path& file, const std::string& name) {
  try {
    static_cast<void>(nlohmann::json(name).dump());
  } catch (const nlohmann::json::exception& error) {
    fail<ArgumentError>("{}: the name of an array is no UTF-8 ({})", file.string(), error.what());
  }
}

}  // namespace

StoredArrays open_arrays(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.parent_path();
  return read_any(files::open_bytes(file), &folder);
}

StoredArrays parse_arrays(std::string_view bytes, const std::string& name) {
  return read_any(files::borrowed_bytes(bytes, name), nullptr);
}

std::filesystem::path save_arrays(const std::filesystem::path& file, const StoredArrays& content,
                                  const SaveOptions& options) {
  const std::filesystem::path extension = file.extension();
  const bool npz = extension == ".npz", torch = extension == ".pt" || extension == ".pth";
  if (options.max_bytes > 0 && (npz || torch))
    fail<ArgumentError>("{}: only safetensors files are written in parts (max_bytes)", file.string());
  if (options.compressed && !npz) fail<ArgumentError>("{}: only .npz files are compressed", file.string());
  if (options.type && !is_floating(*options.type))
    fail<ArgumentError>("{}: written as {}; f64, f32, f16 and bf16 are possible", file.string(),
                        name_of(*options.type));
  if (options.type)
    return save_arrays(file, converted(content, *options.type),
                       {.max_bytes = options.max_bytes, .compressed = options.compressed});
  for (const auto& [name, array] : content.arrays) check_name(file, name);
  if (npz) {
    files::write_npz(file, content, options.compressed);
  } else if (torch) {
    files::write_torch(file, content);
  } else if (options.max_bytes > 0) {
    return files::write_safetensors_parts(file, content, options.max_bytes);
  } else {
    files::write_safetensors(file, content);
  }
  return file;
}

}  // namespace gradus
