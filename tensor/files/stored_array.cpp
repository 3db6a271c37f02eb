#include "tensor/files/stored_array.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <limits>

#include "tensor/files/numbers.hpp"
#include "tensor/files/stored_bytes.hpp"

namespace gradus {

using files::Bfloat16;
using files::Boolean;
using files::Half;

namespace {

static_assert(std::endian::native == std::endian::little, "files are read and written as the processor's");

template <class T>
constexpr bool is_half = std::same_as<T, Half> || std::same_as<T, Bfloat16>;

/// The bytes of a tensor.
class TensorBytes : public files::StoredBytes {
 public:
  explicit TensorBytes(Tensor tensor) : StoredBytes("a tensor"), tensor_(std::move(tensor)) {}
  std::uint64_t size() const override {
    return static_cast<std::uint64_t>(tensor_.size()) * bytes_of(tensor_.dtype());
  }
  void read(std::uint64_t begin, std::uint64_t length, files::TakeBytes take) const override {
    visit_dtype(tensor_.dtype(), [&](auto tag) {
      const auto values = tensor_.values<decltype(tag)>();
      take(std::string_view(reinterpret_cast<const char*>(values.data()), values.size_bytes())
               .substr(begin, length));
    });
  }

 private:
  Tensor tensor_;
};

/// For integers of 32 and 64 bits; shorter ones are exact in any dtype.
template <std::integral Int>
bool is_exact(Int value, int digits) {
  std::uint64_t magnitude = static_cast<std::uint64_t>(value);
  if constexpr (std::signed_integral<Int>) {
    if (value < 0) magnitude = 0 - magnitude;
  }
  return magnitude == 0 ||
         static_cast<int>(std::bit_width(magnitude)) - std::countr_zero(magnitude) <= digits;
}

/// A number of a file as a float or a double.
template <class To, class From>
To converted(From value, const std::string& what) {
  if constexpr (is_half<From>) {
    return widened(value);
  } else if constexpr (std::same_as<From, Boolean>) {
    return value.bits != 0 ? To{1} : To{0};
  } else if constexpr (std::integral<From>) {
    if constexpr (sizeof(From) > 2) {
      if (!is_exact(value, std::numeric_limits<To>::digits)) {
        fail<DataError>("{} holds {}, which is no number of {}{}", what, value, name_of(dtype_of<To>()),
                        std::same_as<To, float> ? "; read it as f64 or as Indices" : "");
      }
    }
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

/// A float or a double as a number of a file.
template <class To, class From>
To narrowed(From value) {
  if constexpr (is_half<To>) {
    const float once = std::same_as<From, double> ? files::rounded_to_odd(static_cast<double>(value))
                                                  : static_cast<float>(value);
    if constexpr (std::same_as<To, Half>) {
      return files::to_half(once);
    } else {
      return files::to_bfloat16(once);
    }
  } else if constexpr (std::floating_point<To>) {
    return static_cast<To>(value);
  } else {
    using Int = std::conditional_t<std::same_as<To, Boolean>, std::uint8_t, To>;
    const auto wide = static_cast<double>(value);
    const double end = std::same_as<To, Boolean> ? 2 : std::ldexp(1.0, std::numeric_limits<Int>::digits);
    if (!(wide >= static_cast<double>(std::numeric_limits<Int>::min()) && wide < end &&
          wide == std::floor(wide))) {
      fail<ArgumentError>("StoredArray: {} is no number of the integer type asked for", wide);
    }
    if constexpr (std::same_as<To, Boolean>) {
      return Boolean{static_cast<std::uint8_t>(wide)};
    } else {
      return static_cast<To>(wide);
    }
  }
}

std::string narrowed_bytes(const Tensor& tensor, NumberType type) {
  return visit_dtype(tensor.dtype(), [&](auto from) {
    return files::visit_number(type, [&](auto to) {
      std::string out(static_cast<std::size_t>(tensor.size()) * sizeof to, '\0');
      char* at = out.data();
      for (const auto value : tensor.values<decltype(from)>()) {
        const auto number = narrowed<decltype(to)>(value);
        std::memcpy(at, &number, sizeof number);
        at += sizeof number;
      }
      return out;
    });
  });
}

}  // namespace

StoredArray::StoredArray(Tensor tensor)
    : bytes_(std::make_shared<TensorBytes>(tensor)),
      layout_{.type = number_type_of(tensor.dtype()), .shape = tensor.shape()},
      what_("a tensor"),
      tensor_(std::move(tensor)) {}

StoredArray::StoredArray(const Indices& ids)
    : bytes_(files::owned_bytes(
          std::string(reinterpret_cast<const char*>(ids.data()), ids.values().size_bytes()), "indices")),
      layout_{.type = NumberType::i32, .shape = ids.shape()},
      what_("indices") {}

StoredArray::StoredArray(const Tensor& tensor, NumberType type)
    : bytes_(files::owned_bytes(narrowed_bytes(tensor, type), "a tensor")),
      layout_{.type = type, .shape = tensor.shape()},
      what_("a tensor") {}

StoredArray::StoredArray(std::shared_ptr<const files::StoredBytes> bytes, std::uint64_t begin,
                         files::Layout layout, std::string what)
    : bytes_(std::move(bytes)), begin_(begin), layout_(std::move(layout)), what_(std::move(what)) {}

/// The bytes of an array that lies in another order, in row-major order and with the lowest byte first.
std::string StoredArray::in_order() const {
  const std::size_t width = bytes_of(type());
  const Shape& dims = shape();
  const auto count = static_cast<std::size_t>(dims.size());
  if (count == 0) return {};
  std::vector<std::int64_t> strides = layout_.strides;
  if (strides.empty()) {
    strides.resize(static_cast<std::size_t>(dims.rank()));
    std::int64_t stride = 1;
    for (int i = dims.rank(); i-- > 0; stride *= dims[i]) strides[static_cast<std::size_t>(i)] = stride;
  }
  std::int64_t last = 0;
  for (int i = 0; i < dims.rank(); ++i) last += (dims[i] - 1) * strides[static_cast<std::size_t>(i)];
  const std::string from = bytes_->bytes(begin_, (static_cast<std::uint64_t>(last) + 1) * width);
  std::string out(count * width, '\0');
  std::vector<std::int64_t> index(static_cast<std::size_t>(dims.rank()), 0);
  std::int64_t at = 0;  // the element in `from` that `index` stands for
  for (std::size_t n = 0; n < count; ++n) {
    char* const to = out.data() + n * width;
    std::memcpy(to, from.data() + static_cast<std::size_t>(at) * width, width);
    if (layout_.swapped) std::reverse(to, to + width);
    for (int axis = dims.rank(); axis-- > 0;) {
      const auto i = static_cast<std::size_t>(axis);
      at += strides[i];
      if (++index[i] < dims[axis]) break;
      at -= strides[i] * dims[axis];
      index[i] = 0;
    }
  }
  return out;
}

void StoredArray::read(FunctionRef<void(std::string_view)> take) const {
  if (layout_.strides.empty() && !layout_.swapped) {
    bytes_->read(begin_, bytes(), take);
  } else {
    take(in_order());
  }
}

Tensor StoredArray::tensor(Dtype dtype) const {
  if (tensor_.defined()) return tensor_.to(dtype);
  Tensor out = Tensor::uninitialized(shape(), dtype);
  const auto fill = [&]<class To>(To* to) {
    files::visit_number(type(), [&]<class From>(From) {
      read([&](std::string_view piece) {
        const std::size_t count = piece.size() / sizeof(From);
        if constexpr (std::same_as<From, To>) {
          if (count > 0) std::memcpy(to, piece.data(), piece.size());
        } else {
          for (std::size_t i = 0; i < count; ++i) {
            From value;
            std::memcpy(&value, piece.data() + i * sizeof(From), sizeof(From));
            to[i] = converted<To>(value, what_);
          }
        }
        to += count;
      });
    });
  };
  visit_elements(fill, out);
  return out;
}

Tensor StoredArray::tensor() const {
  const bool wide = type() == NumberType::f64 || (bytes_of(type()) > 2 && !is_floating(type()));
  return tensor(wide ? Dtype::f64 : Dtype::f32);
}

Indices StoredArray::indices() const {
  if (is_floating(type()))
    fail<DataError>("{} is of {}, not of integers; read it with tensor()", what_, name_of(type()));
  std::vector<std::int32_t> out;
  out.reserve(static_cast<std::size_t>(shape().size()));
  files::visit_number(type(), [&]<class From>(From) {
    read([&](std::string_view piece) {
      for (std::size_t i = 0; i < piece.size() / sizeof(From); ++i) {
        From value;
        std::memcpy(&value, piece.data() + i * sizeof(From), sizeof(From));
        if constexpr (std::integral<From>) {
          if (!std::in_range<std::int32_t>(value))
            fail<DataError>("{} holds {} at position {}, which does not fit 32 bits", what_, value,
                            out.size());
          out.push_back(static_cast<std::int32_t>(value));
        } else if constexpr (std::same_as<From, Boolean>) {
          out.push_back(value.bits != 0);
        }
      }
    });
  });
  return Indices(std::move(out), shape());
}

const StoredArray& StoredArrays::at(const std::string& name) const {
  const auto found = arrays.find(name);
  if (found != arrays.end()) return found->second;
  std::string there;
  std::size_t named = 0;
  for (const auto& entry : arrays) {
    if (named++ == 10) break;
    there += (named > 1 ? ", " : "") + entry.first;
  }
  if (arrays.size() > 10) there += fmt::format(" and {} more", arrays.size() - 10);
  fail<DataError>("there is no array {}; there {} {}", name, arrays.size() == 1 ? "is" : "are",
                  arrays.empty() ? "none" : there);
}

}  // namespace gradus
