#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tensor/mutable_values.hpp"
#include "tensor/shape.hpp"
#include "tensor/storage.hpp"

namespace gradus {

namespace detail {
struct CompactAccess;
/// What ops say of weights that are compact, which they do not take.
[[noreturn]] void throw_compact(Dtype dtype);
}  // namespace detail

/// A dense, row-major array of f32 or f64 with up to 8 axes. It is a value: copies share storage until one of
/// them is written to (copy on write), so writing to one never changes another. Slices along the first axis
/// and reshapes share storage too. A default-constructed Tensor is undefined: it holds nothing, and
/// everything but assignment, destruction and `defined` throws on it.
///
/// Writing goes through `mutable_values`, which lends the elements: while what it gives lives, copies of the
/// tensor are copies of its elements, so nothing that was copied or recorded can change.
///
/// Several threads may read and copy the same Tensor; to write, a thread needs a copy of its own.
class Tensor {
 public:
  /// What an elementwise function of it gives (tensor/ops/elementwise.hpp).
  using ElementwiseResult = Tensor;

  Tensor() noexcept = default;
  Tensor(const Tensor& other) noexcept : block_(storage::shared(other.block_)) {}
  Tensor(Tensor&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  /// Of a tensor that has a name alone: `x[0] = y` would change nothing but what x[0] gives.
  Tensor& operator=(Tensor other) & noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Tensor() { storage::release(block_); }

  /// The elements have no defined values. Throws std::bad_alloc when there is not enough memory.
  static Tensor uninitialized(const Shape& shape, Dtype dtype = Dtype::f32);
  /// The same, with the shape and dtype of another tensor.
  static Tensor uninitialized_like(const Tensor& x);
  /// The same, of rank 0.
  static Tensor uninitialized_scalar(Dtype dtype) { return Tensor(storage::allocate_scalar(dtype)); }
  /// Copies the values. Throws ShapeError unless there are shape.size() of them.
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape);
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from(std::span<const T>(values), shape);
  }
  /// Elements that are somebody else's, taken over without a copy: shape.size() of them in row-major order,
  /// which the keeper holds and no one else writes to any more. It is destroyed with the last tensor that
  /// shares them; of a scalar, whose element is copied, at once.
  template <class T>
  static Tensor over(T* first, const Shape& shape, std::unique_ptr<storage::Keeper> keeper) {
    return over(first, dtype_of<T>(), shape, std::move(keeper));
  }
  /// A vector of the listed numbers.
  static Tensor of(std::initializer_list<double> values, Dtype dtype = Dtype::f32);
  static Tensor scalar(double value, Dtype dtype = Dtype::f32);

  bool defined() const { return block_ != nullptr; }
  Dtype dtype() const { return checked()->dtype; }
  int rank() const { return checked()->rank; }
  Shape shape() const {
    const storage::Block* block = checked();
    return Shape::unchecked(block->dims, block->rank);
  }
  /// shape() == wanted and shape() == other.shape(), without constructing a Shape.
  bool has_shape(const Shape& wanted) const { return has_dims(wanted.data(), wanted.rank()); }
  bool same_shape(const Tensor& other) const { return has_dims(other.checked()->dims, other.block_->rank); }
  /// The length of an axis; negative axes count from the end. Throws ShapeError when it is out of range.
  std::int64_t dim(int axis) const;
  std::int64_t size() const { return checked()->size(); }

  /// The elements in row-major order. Throws DtypeError when the tensor's elements are not of type T.
  template <class T>
  const T* data() const {
    check_dtype(dtype_of<T>());
    return static_cast<const T*>(block_->data);
  }
  /// The same for writing. Storage that is shared with other tensors is copied first. The pointer is for ops,
  /// which use it at once: whoever shares the storage later would be written to as well, so it must not be
  /// used after the tensor was copied, sliced or recorded. To keep, take `mutable_values`.
  template <class T>
  T* mutable_data() {
    check_dtype(dtype_of<T>());
    make_unique();
    return static_cast<T*>(block_->data);
  }
  template <class T>
  std::span<const T> values() const {
    return {data<T>(), static_cast<std::size_t>(size())};
  }
  /// The elements for writing, lent as long as what this gives lives; see MutableValues.
  template <class T>
  MutableValues<T> mutable_values() {
    T* first = mutable_data<T>();
    return {block_, first, static_cast<std::size_t>(size())};
  }
  /// True when no other Tensor shares this storage, so that writing need not copy it.
  bool unique() const { return storage::unique(block_); }
  /// True while its elements are lent by `mutable_values`.
  bool lent() const { return storage::lent(block_); }
  /// True when nobody else shares or borrows this storage, so that an op may take it over.
  bool disposable() const { return storage::disposable(block_); }

  /// The only element. Throws ShapeError unless size() is 1.
  double item() const;
  /// The element at a flat, row-major position, as a double; a negative one counts from the end. For tests
  /// and printing.
  double at(std::int64_t position) const;
  /// The i-th slice along the first axis, sharing storage; a negative i counts from the end. Throws
  /// ShapeError when out of range or rank 0.
  Tensor operator[](std::int64_t i) const;
  /// Entries begin..end-1 along the first axis, sharing storage; negative bounds count from the end.
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  /// The elements from position `offset` on, in row-major order, as a tensor of this shape, sharing storage.
  /// For ops; the elements must be there.
  Tensor part(std::int64_t offset, const Shape& shape) const { return view(shape, offset); }
  /// The same elements in another shape, sharing storage. One length may be -1, to be inferred.
  Tensor reshape(std::initializer_list<std::int64_t> dims) const;
  Tensor reshape(const Shape& shape) const;
  template <std::integral Length>
  Tensor reshape(Length length) const {
    return reshape({static_cast<std::int64_t>(length)});
  }
  /// The values converted to a dtype; the tensor itself, sharing storage, when it has that dtype already. To
  /// i8 and bf16 a matrix is rounded (tensor/compact.hpp).
  Tensor to(Dtype dtype) const;
  /// "[[1, 2], [3, 4]]", with "..." after the first 8 entries of an axis: one line, for messages.
  std::string text() const;

 private:
  explicit Tensor(storage::Block* block) : block_(block) {}
  const storage::Block* checked() const {
    if (block_ == nullptr) throw_undefined();
    return block_;
  }
  bool has_dims(const std::int32_t* dims, int wanted) const {
    const storage::Block* block = checked();
    if (block->rank != wanted) return false;
    for (int i = 0; i < wanted; ++i) {
      if (block->dims[i] != dims[i]) return false;
    }
    return true;
  }
  void check_dtype(Dtype wanted) const {
    if (checked()->dtype != wanted) throw_dtype(wanted);
  }
  void make_unique() {
    if (!storage::unique(block_)) separate();
  }
  static Tensor over(void* first, Dtype dtype, const Shape& shape, std::unique_ptr<storage::Keeper> keeper);
  friend struct detail::CompactAccess;
  Tensor view(const Shape& shape, std::int64_t offset) const;
  void separate();
  [[noreturn]] static void throw_undefined();
  [[noreturn]] void throw_dtype(Dtype wanted) const;

  storage::Block* block_ = nullptr;
};

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape) {
  if (static_cast<std::int64_t>(values.size()) != shape.size()) {
    fail<ShapeError>("Tensor::from: {} values for the shape {} of {} elements", values.size(), shape,
                     shape.size());
  }
  Tensor out = uninitialized(shape, dtype_of<T>());
  if (!values.empty()) std::memcpy(out.mutable_data<T>(), values.data(), values.size_bytes());
  return out;
}

/// Prints the elements, the shape and the dtype, as `fmt::print("{}", x)` does too, a row a line:
///
///   [[1, 2],
///    [3, 4]] (2, 2) f32
///
/// Six significant digits, of f64 eight. Of more than 1000 elements the first and the last three entries of
/// each axis are printed, with "..." between them; of a scalar the number alone.
std::ostream& operator<<(std::ostream& to, const Tensor& x);

/// A shape may be a single length: `zeros(n)`.
Tensor zeros(const Shape& shape, Dtype dtype = Dtype::f32);
Tensor ones(const Shape& shape, Dtype dtype = Dtype::f32);
Tensor full(const Shape& shape, double value, Dtype dtype = Dtype::f32);
// Not possible: they say what to write instead.
template <std::integral A, std::integral B, class... Rest>
Tensor zeros(A, B, Rest...) {
  static_assert(detail::always_false<A, B>, "a shape of several axes stands in braces: zeros({2, 3})");
  return {};
}
template <std::integral A, std::integral B, class... Rest>
Tensor ones(A, B, Rest...) {
  static_assert(detail::always_false<A, B>, "a shape of several axes stands in braces: ones({2, 3})");
  return {};
}
inline Tensor zeros_like(const Tensor& x) {
  return zeros(x.shape(), x.dtype());
}
inline Tensor ones_like(const Tensor& x) {
  return ones(x.shape(), x.dtype());
}

/// Calls f with a float or a double, whose type stands for the dtype: `visit_dtype(d, [&](auto tag) { using T
/// = decltype(tag); ... })`. Throws DtypeError for a compact one.
template <class F>
decltype(auto) visit_dtype(Dtype dtype, F&& f) {
  if (dtype == Dtype::f32) return f(float{});
  if (dtype != Dtype::f64) [[unlikely]]
    detail::throw_compact(dtype);
  return f(double{});
}
/// Calls f with the elements of tensors of one dtype, those of the first to be written, of the others to be
/// read: `visit_elements([&]<class T>(T* to, const T* from) { ... }, out, x)`.
template <class F, class... Xs>
decltype(auto) visit_elements(F&& f, Tensor& to, const Xs&... from) {
  return visit_dtype(to.dtype(), [&](auto tag) {
    using T = decltype(tag);
    return f(to.mutable_data<T>(), from.template data<T>()...);
  });
}

namespace detail {
/// For fmt, whose own names the shared library does not show.
fmt::format_context::iterator print(const fmt::formatter<fmt::string_view>& how, const Tensor& x,
                                    fmt::format_context& context);
}  // namespace detail

}  // namespace gradus

template <>
struct fmt::formatter<gradus::Tensor> : fmt::formatter<fmt::string_view> {
  fmt::format_context::iterator format(const gradus::Tensor& x, fmt::format_context& context) const {
    return gradus::detail::print(*this, x, context);
  }
};
