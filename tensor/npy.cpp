#include "tensor/npy.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>

#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"

namespace gradus {

namespace {

constexpr std::string_view magic = "\x93NUMPY";

struct Array {
  std::string bytes;      // the whole file
  std::size_t begin = 0;  // where the numbers start
  char kind = 0;          // 'f' or 'i'
  std::size_t width = 0;  // bytes an element
  bool swapped = false;
  Shape shape;

  std::string_view element(std::int64_t i) const {
    return std::string_view(bytes).substr(begin + static_cast<std::size_t>(i) * width, width);
  }
};

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

Array read(const std::filesystem::path& file) {
  const std::string name = file.string();
  Array array;
  array.bytes = read_file(file);
  const std::string& bytes = array.bytes;
  const auto byte = [&](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i]));
  };
  if (bytes.size() < 10 || !bytes.starts_with(magic))
    fail<DataError>("{}: not a .npy file (its first bytes are others)", name);
  const std::size_t version = byte(6), start = version == 1 ? 10 : 12;
  if (version < 1 || version > 3 || bytes.size() < start)
    fail<DataError>("{}: .npy version {}; 1 to 3 are read", name, version);
  std::size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  if (length > bytes.size() - start) fail<DataError>("{}: cut short within its .npy header", name);
  const std::string_view header = std::string_view(bytes).substr(start, length);

  const std::string_view descr = value_of(header, "descr", ',', name);  // such as '<f4'
  const bool known = descr == "'<f4'" || descr == "'<f8'" || descr == "'<i4'" || descr == "'<i8'" ||
                     descr == "'>f4'" || descr == "'>f8'" || descr == "'>i4'" || descr == "'>i8'";
  if (!known) fail<DataError>("{}: holds {}; f4, f8, i4 and i8 are read", name, descr);
  if (value_of(header, "fortran_order", ',', name) != "False") {
    fail<DataError>("{}: in Fortran order; save numpy.ascontiguousarray(x)", name);
  }
  array.kind = descr[2];
  array.width = static_cast<std::size_t>(descr[3] - '0');
  array.swapped = (descr[1] == '>') == (std::endian::native == std::endian::little);
  array.shape = parse_shape(value_of(header, "shape", ')', name), name);
  array.begin = start + length;
  const std::size_t needed = static_cast<std::size_t>(array.shape.size()) * array.width;
  if (bytes.size() - array.begin < needed) {
    fail<DataError>("{}: {} bytes of numbers where its shape {} needs {}; it was cut short", name,
                    bytes.size() - array.begin, array.shape, needed);
  }
  return array;
}

template <class T>
T number(const Array& array, std::int64_t i) {
  char buffer[sizeof(T)];
  const std::string_view from = array.element(i);
  std::copy(from.begin(), from.end(), buffer);
  if (array.swapped) std::reverse(buffer, buffer + sizeof(T));
  T out;
  std::memcpy(&out, buffer, sizeof(T));
  return out;
}

}  // namespace

Tensor load_npy(const std::filesystem::path& file) {
  const Array array = read(file);
  if (array.kind != 'f')
    fail<DataError>("{}: holds whole numbers; read it with load_npy_indices", file.string());
  Tensor out = Tensor::uninitialized(array.shape, array.width == 4 ? Dtype::f32 : Dtype::f64);
  const auto read_numbers = [&]<class T>(T* to) {
    for (std::int64_t i = 0; i < out.size(); ++i) to[i] = number<T>(array, i);
  };
  visit_elements(read_numbers, out);
  return out;
}

Indices load_npy_indices(const std::filesystem::path& file) {
  const Array array = read(file);
  if (array.kind != 'i')
    fail<DataError>("{}: holds floating-point numbers; read it with load_npy", file.string());
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < array.shape.size(); ++i) {
    const std::int64_t value =
        array.width == 4 ? number<std::int32_t>(array, i) : number<std::int64_t>(array, i);
    if (value < std::numeric_limits<std::int32_t>::min() ||
        value > std::numeric_limits<std::int32_t>::max()) {
      fail<DataError>("{}: {} at position {} does not fit 32 bits", file.string(), value, i);
    }
    out.push_back(static_cast<std::int32_t>(value));
  }
  return Indices(std::move(out), array.shape);
}

void save_npy(const std::filesystem::path& file, const Tensor& tensor) {
  static_assert(std::endian::native == std::endian::little);
  std::string header = fmt::format("{{'descr': '<f{}', 'fortran_order': False, 'shape': {}, }}",
                                   bytes_of(tensor.dtype()), tensor.shape());
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string bytes(magic);
  bytes += std::string_view("\1\0", 2);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  visit_dtype(tensor.dtype(), [&](auto tag) {
    const auto values = tensor.values<decltype(tag)>();
    bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  });
  write_file(file, bytes);
}

}  // namespace gradus
