#include "tensor/tensor.hpp"

#include <algorithm>
#include <cstring>

#include "tensor/kernels/copy.hpp"
#include "tensor/kernels/elementwise.hpp"
#include "tensor/ops/compact.hpp"

namespace gradus {

namespace {
void set_dims(storage::Block* block, const Shape& shape) {
  std::ranges::copy(shape.all_dims(), block->dims);
}
}  // namespace

Tensor Tensor::uninitialized(const Shape& shape, Dtype dtype) {
  storage::Block* block = storage::allocate(dtype, shape.rank(), shape.size());
  set_dims(block, shape);
  return Tensor(block);
}

Tensor Tensor::uninitialized_like(const Tensor& x) {
  const storage::Block* from = x.checked();
  storage::Block* block = storage::allocate(from->dtype, from->rank, from->elements);
  std::ranges::copy(from->dims, block->dims);
  return Tensor(block);
}

Tensor Tensor::over(void* first, Dtype dtype, const Shape& shape, std::unique_ptr<storage::Keeper> keeper) {
  if (shape.rank() == 0 || shape.size() == 0) {
    Tensor out = uninitialized(shape, dtype);
    if (shape.size() > 0) std::memcpy(out.block_->data, first, bytes_of(dtype));
    return out;
  }
  storage::Block* block =
      storage::allocate_foreign(dtype, shape.rank(), shape.size(), first, std::move(keeper));
  set_dims(block, shape);
  return Tensor(block);
}

Tensor Tensor::of(std::initializer_list<double> values, Dtype dtype) {
  return from(std::span<const double>(values.begin(), values.size()),
              {static_cast<std::int64_t>(values.size())})
      .to(dtype);
}

Tensor Tensor::scalar(double value, Dtype dtype) {
  storage::Block* block = storage::allocate_scalar(dtype);
  if (dtype == Dtype::f32) {
    *static_cast<float*>(block->data) = static_cast<float>(value);
  } else {
    *static_cast<double*>(block->data) = value;
  }
  return Tensor(block);
}

std::int64_t Tensor::dim(int axis) const {
  const storage::Block* block = checked();
  const int normal = axis < 0 ? axis + block->rank : axis;
  if (normal < 0 || normal >= block->rank) return shape()[axis];  // throws
  return block->dims[normal];
}

double Tensor::item() const {
  if (size() != 1) fail<ShapeError>("item: a tensor of shape {} has {} elements, not one", shape(), size());
  return at(0);
}

double Tensor::at(std::int64_t position) const {
  const std::int64_t i = position < 0 ? position + size() : position;
  if (i < 0 || i >= size()) {
    fail<ShapeError>("at: position {} in a tensor of shape {} with {} elements", position, shape(), size());
  }
  return visit_dtype(dtype(), [&](auto tag) { return static_cast<double>(data<decltype(tag)>()[i]); });
}

Tensor Tensor::view(const Shape& shape, std::int64_t offset) const {
  if (lent()) {
    Tensor out = uninitialized(shape, dtype());
    const std::size_t bytes = bytes_of(dtype());
    kernels::copy_bytes(
        static_cast<const std::byte*>(block_->data) + static_cast<std::size_t>(offset) * bytes,
        static_cast<std::byte*>(out.block_->data), static_cast<std::size_t>(shape.size()) * bytes);
    return out;
  }
  storage::Block* block = storage::allocate_view(block_, shape.rank(), shape.size(), offset);
  set_dims(block, shape);
  return Tensor(block);
}

Tensor Tensor::operator[](std::int64_t i) const {
  if (rank() == 0) fail<ShapeError>("x[{}]: a scalar has no axes to index", i);
  const std::int64_t length = dim(0), at = i < 0 ? i + length : i;
  if (at < 0 || at >= length)
    fail<ShapeError>("x[{}]: the first axis of shape {} has {} entries", i, shape(), length);
  const Shape rest = shape().erased(0);
  return view(rest, at * rest.size());
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  const std::int64_t length = rank() == 0 ? 0 : dim(0);
  const std::int64_t first = begin < 0 ? begin + length : begin, last = end < 0 ? end + length : end;
  if (rank() == 0 || first < 0 || last < first || last > length) {
    fail<ShapeError>("rows({}, {}) of a tensor of shape {}", begin, end, shape());
  }
  const std::int64_t row = shape().erased(0).size();
  return view(shape().with(0, last - first), first * row);
}

Tensor Tensor::reshape(std::initializer_list<std::int64_t> dims) const {
  if (std::find(dims.begin(), dims.end(), -1) == dims.end()) return reshape(Shape(dims));
  std::vector<std::int64_t> wanted(dims);
  const auto open = std::find(wanted.begin(), wanted.end(), -1);
  *open = 1;
  if (std::count(wanted.begin(), wanted.end(), -1) > 0)
    fail<ShapeError>("reshape: more than one length of -1; one of them at most is worked out");
  const std::int64_t known = Shape(wanted).size();
  if (known == 0 || size() % known != 0) {
    fail<ShapeError>("reshape: {} elements do not fill rows of {} (from {}, one length -1)", size(), known,
                     shape());
  }
  *open = size() / known;
  return reshape(Shape(wanted));
}

Tensor Tensor::reshape(const Shape& wanted) const {
  if (wanted == shape()) return *this;
  if (wanted.size() != size()) {
    fail<ShapeError>("reshape: {} has {} elements, {} needs {}", shape(), size(), wanted, wanted.size());
  }
  return view(wanted, 0);
}

Tensor Tensor::to(Dtype wanted) const {
  if (dtype() == wanted) return *this;
  if (is_compact(dtype())) return detail::expanded(*this).to(wanted);
  if (is_compact(wanted)) return detail::compacted(to(Dtype::f32), wanted);
  Tensor out = uninitialized(shape(), wanted);
  const auto convert = [n = size()](const auto* from, auto* to) {
    using To = std::remove_pointer_t<decltype(to)>;
    std::transform(from, from + n, to, [](auto value) { return static_cast<To>(value); });
  };
  if (wanted == Dtype::f32) {
    convert(data<double>(), out.mutable_data<float>());
  } else {
    convert(data<float>(), out.mutable_data<double>());
  }
  return out;
}

std::string Tensor::text() const {
  if (!defined()) return "undefined";
  if (rank() == 0) return fmt::format("{:.6g}", item());
  if (is_compact(dtype())) return to(Dtype::f32).text();
  constexpr std::int64_t shown = 8;
  std::string out = "[";
  for (std::int64_t i = 0; i < dim(0); ++i) {
    if (i != 0) out += ", ";
    if (i == shown) {
      out += "...";
      break;
    }
    out += (*this)[i].text();
  }
  return out + "]";
}

void Tensor::separate() {
  Tensor copy = uninitialized(shape(), dtype());
  kernels::copy_bytes(static_cast<const std::byte*>(block_->data), static_cast<std::byte*>(copy.block_->data),
                      static_cast<std::size_t>(size()) * bytes_of(dtype()));
  *this = std::move(copy);
}

void Tensor::throw_undefined() {
  fail<ShapeError>(
      "an undefined Tensor was used: one made without a value, or moved from; give it a value first");
}

void Tensor::throw_dtype(Dtype wanted) const {
  fail<DtypeError>("a tensor of {} and shape {} was read as {}; convert it with to(Dtype::{})",
                   name_of(dtype()), shape(), name_of(wanted), name_of(wanted));
}

Tensor full(const Shape& shape, double value, Dtype dtype) {
  Tensor out = Tensor::uninitialized(shape, dtype);
  visit_elements([&]<class T>(T* to) { kernels::fill(static_cast<T>(value), to, out.size()); }, out);
  return out;
}
Tensor zeros(const Shape& shape, Dtype dtype) {
  return full(shape, 0, dtype);
}
Tensor ones(const Shape& shape, Dtype dtype) {
  return full(shape, 1, dtype);
}

}  // namespace gradus
