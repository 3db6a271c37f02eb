#include "tensor/npy.hpp"

#include <algorithm>
#include <charconv>

#include "tensor/files/formats.hpp"

namespace gradus {

namespace files {

namespace {

constexpr std::string_view magic = "\x93NUMPY";

/// The value of a key in the header, which is a Python dict: the text between the colon and `end`.
std::string_view value_of(std::string_view header, std::string_view key, char end, const std::string& name) {
  const std::size_t at = header.find(fmt::format("'{}':", key));
  const std::size_t begin = at == header.npos ? at : at + key.size() + 3;
  const std::size_t stop = begin == header.npos ? begin : header.find(end, begin);
  if (stop == header.npos) fail<DataError>("{}: its .npy header has no '{}'", name, key);
  std::string_view value = header.substr(begin, stop - begin);
  while (value.starts_with(' ')) value.remove_prefix(1);
  return value;
}

Shape parse_shape(std::string_view text, const std::string& name) {
  std::vector<std::int64_t> dims;
  if (!text.starts_with('(')) fail<DataError>("{}: its .npy shape is '{})'", name, text);
  text.remove_prefix(1);
  while (!text.empty()) {
    std::int64_t dim = 0;
    while (text.starts_with(' ') || text.starts_with(',')) text.remove_prefix(1);
    if (text.empty()) break;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), dim);
    if (error != std::errc() || dim < 0) fail<DataError>("{}: its .npy shape holds '{}'", name, text);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    dims.push_back(dim);
  }
  try {
    return Shape(dims);
  } catch (const ShapeError& error) {
    fail<DataError>("{}: its .npy header holds {}", name, error.what());
  }
}

/// What NumPy calls a type, without the order of bytes: "f4", "b1"; empty for bf16.
std::string npy_name(NumberType type) {
  if (type == NumberType::bf16) return {};
  return fmt::format("{}{}", name_of(type)[0], bytes_of(type));
}

/// Strides of an array whose first axis lies closest.
std::vector<std::int64_t> fortran_strides(const Shape& shape) {
  std::vector<std::int64_t> out;
  std::int64_t stride = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    out.push_back(stride);
    stride *= shape[i];
  }
  return out;
}

}  // namespace

NpyHeader read_npy_header(const StoredBytes& bytes) {
  constexpr std::size_t longest = 1 << 16;
  const std::string& name = bytes.name();
  const std::string start = bytes.bytes(0, 12);
  if (start.size() < 10 || !start.starts_with(magic))
    fail<DataError>("{}: not a .npy file (its first bytes are others)", name);
  const std::size_t version = static_cast<unsigned char>(start[6]), before = version == 1 ? 10 : 12;
  if (version < 1 || version > 3 || start.size() < before)
    fail<DataError>("{}: .npy version {}; 1 to 3 are read", name, version);
  const std::uint64_t length = little_endian(start, 8, version == 1 ? 2 : 4);
  if (length > bytes.size() - before) fail<DataError>("{}: cut short within its .npy header", name);
  if (length > longest) fail<DataError>("{}: its .npy header is of {} bytes", name, length);
  const std::string header = bytes.bytes(before, length);

  const std::string_view descr = value_of(header, "descr", ',', name);  // such as '<f4'
  const auto type = std::find_if(all_number_types.begin(), all_number_types.end(), [&](NumberType known) {
    return descr.size() == 5 && descr.substr(2, 2) == npy_name(known) && descr[0] == '\'' && descr[4] == '\'';
  });
  if (type == all_number_types.end() || std::string_view("<>|=").find(descr[1]) == std::string_view::npos)
    fail<DataError>("{}: holds {}; f2 to f8, i1 to i8, u1 to u8 and b1 are read", name, descr);
  NpyHeader out;
  out.layout = {.type = *type, .shape = parse_shape(value_of(header, "shape", ')', name), name)};
  out.layout.swapped = descr[1] == '>' && bytes_of(*type) > 1;
  std::string_view fortran = value_of(header, "fortran_order", ',', name);
  while (fortran.ends_with(' ')) fortran.remove_suffix(1);
  if (fortran == "True") {
    out.layout.strides = fortran_strides(out.layout.shape);
  } else if (fortran != "False") {
    fail<DataError>("{}: its .npy header has '{}' for fortran_order; True or False is read", name, fortran);
  }
  out.begin = before + length;
  const std::uint64_t needed = static_cast<std::uint64_t>(out.layout.shape.size()) * bytes_of(*type);
  if (bytes.size() - out.begin < needed) {
    fail<DataError>("{}: {} bytes of numbers where its shape {} needs {}; it was cut short", name,
                    bytes.size() - out.begin, out.layout.shape, needed);
  }
  return out;
}

std::string npy_header(NumberType type, const Shape& shape) {
  const std::string descr = npy_name(type);
  if (descr.empty()) fail<ArgumentError>("NumPy has no numbers of bf16; write f32 or f16");
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': {}, }}",
                                   bytes_of(type) == 1 ? '|' : '<', descr, shape);
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string bytes(magic);
  bytes += std::string_view("\1\0", 2);
  append_little_endian(bytes, header.size(), 2);
  return bytes + header;
}

StoredArrays read_npz(const ZipReader& zip) {
  constexpr std::size_t suffix = std::string_view(".npy").size();
  StoredArrays out;
  for (const auto& entry : zip.entries()) {
    const SharedBytes bytes = zip.open(entry.first, true);
    NpyHeader header = read_npy_header(*bytes);
    out.arrays.emplace(entry.first.substr(0, entry.first.size() - suffix),
                       StoredArray(bytes, header.begin, std::move(header.layout), bytes->name()));
  }
  return out;
}

void write_npz(const std::filesystem::path& file, const StoredArrays& content, bool compressed) {
  FileSink sink(file);
  ZipWriter zip(sink);
  for (const auto& [name, array] : content.arrays) {
    const std::string header = npy_header(array.type(), array.shape());
    const std::uint64_t size = array.bytes();
    zip.add(name + ".npy", header.size() + size,
            [&, &stored = array](TakeBytes take) {  // clang 14 captures no binding by itself
              take(header);
              stored.read(take);
            },
            {.deflated = compressed});
  }
  zip.finish();
  sink.commit();
}

}  // namespace files

namespace {

StoredArray open_npy(const std::filesystem::path& file) {
  const files::SharedBytes bytes = files::open_bytes(file);
  files::NpyHeader header = files::read_npy_header(*bytes);
  return {bytes, header.begin, std::move(header.layout), bytes->name()};
}

}  // namespace

Tensor load_npy(const std::filesystem::path& file) {
  const StoredArray array = open_npy(file);
  if (!is_floating(array.type()))
    fail<DataError>("{}: holds whole numbers; read it with load_npy_indices", file.string());
  return array.tensor();
}

Indices load_npy_indices(const std::filesystem::path& file) {
  const StoredArray array = open_npy(file);
  if (is_floating(array.type()))
    fail<DataError>("{}: holds floating-point numbers; read it with load_npy", file.string());
  return array.indices();
}

void save_npy(const std::filesystem::path& file, const Tensor& tensor) {
  const StoredArray array(tensor);
  files::FileSink sink(file);
  sink.write(files::npy_header(array.type(), array.shape()));
  array.read([&](std::string_view piece) { sink.write(piece); });
  sink.commit();
}

}  // namespace gradus
