#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/files/number_type.hpp"
#include "tensor/indices.hpp"
#include "tensor/support/function_ref.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

namespace files {
class StoredBytes;
/// Where an array lies among bytes; for those that read files.
struct Layout {
  NumberType type = NumberType::f32;
  Shape shape{};
  std::vector<std::int64_t> strides{};  // in elements, none negative; empty for row-major order
  bool swapped = false;                 // each number has its highest byte first
};
}  // namespace files

/// An array of a file, of any type of numbers, which is read when it is asked for: opening a file of several
/// GB takes next to no memory, and an array that nobody asks for is never read. One made from a Tensor or
/// from Indices is what is written to a file.
class StoredArray {
 public:
  /// Shares the tensor's storage.
  StoredArray(Tensor tensor);
  StoredArray(const Indices& ids);
  /// The tensor's numbers in another type: the nearest number of f64, f32, f16 or bf16, of two the even one.
  /// Throws ArgumentError where an integer type or bool does not hold a number exactly.
  StoredArray(const Tensor& tensor, NumberType type);
  /// What `bytes` hold from `begin` on; errors call it `what`. For those that read files: it is all there.
  StoredArray(std::shared_ptr<const files::StoredBytes> bytes, std::uint64_t begin, files::Layout layout,
              std::string what);

  NumberType type() const { return layout_.type; }
  const Shape& shape() const { return layout_.shape; }
  /// Of all its numbers.
  std::uint64_t bytes() const { return static_cast<std::uint64_t>(shape().size()) * bytes_of(type()); }

  /// The numbers as a Tensor of f32 or f64. f64 is rounded to f32; an integer that is not exactly one of the
  /// dtype's numbers throws DataError, which names the array, as does a file that can no longer be read.
  Tensor tensor(Dtype dtype) const;
  /// The same, of the first dtype that holds every number of its type: f32 for f32, f16, bf16, bool and
  /// integers of 8 and 16 bits, f64 for f64 and the longer integers.
  Tensor tensor() const;
  /// Integers or bools as Indices. Throws DataError for numbers with fractions and for what does not fit 32
  /// bits.
  Indices indices() const;
  /// The bytes of its numbers in row-major order, the lowest byte of each first, in pieces.
  void read(FunctionRef<void(std::string_view)> take) const;

 private:
  std::string in_order() const;

  std::shared_ptr<const files::StoredBytes> bytes_;
  std::uint64_t begin_ = 0;
  files::Layout layout_;
  std::string what_;
  Tensor tensor_;  // where it was made from one
};

/// What a file of arrays holds: arrays by name, and texts by key.
struct StoredArrays {
  std::map<std::string, StoredArray> arrays;
  std::map<std::string, std::string> metadata;

  /// The array of this name. Throws DataError, with the names that are there, when there is none.
  const StoredArray& at(const std::string& name) const;
};

/// Opens a file of arrays. What it is, is told by its content, not by its name:
///
///  - safetensors: F64, F32, F16, BF16, I8 to I64, U8 to U64 and BOOL;
///  - the index of a safetensors file in several parts ("model.safetensors.index.json"), which lie beside it;
///  - .npz, NumPy's, stored or deflated: '?', i1 to i8, u1 to u8, f2 to f8, in either byte order;
///  - .pt, which PyTorch 1.6 or later wrote: tensors in dicts, lists and tuples, under names joined by
///    dots, as in "model.embed.weight"; numbers and texts beside them, up to 100,000, become metadata. A .pt
///    file is a program for Python's unpickler. None of it is run: whatever does not rebuild a tensor or a
///    container is refused.
///
/// Throws DataError, naming the file and what was found, when it is missing, damaged, cut short, or holds
/// what is not read.
StoredArrays open_arrays(const std::filesystem::path& file);
/// The same for the bytes of a file, which must outlive what this gives; errors call it `name`.
StoredArrays parse_arrays(std::string_view bytes, const std::string& name);

struct SaveOptions {
  /// The type that arrays of f64, f32, f16 and bf16 are written in; by default, as they are.
  std::optional<NumberType> type{};
  /// Of safetensors: the most bytes of numbers in one file; 0 for no bound. A larger content goes to
  /// "name-00001-of-00003.safetensors" and so on, whose index is "name.safetensors.index.json". An array is
  /// never divided. Parts of an older content that the new one does not replace stay.
  std::uint64_t max_bytes = 0;
  /// Of .npz: deflated, as numpy.savez_compressed does.
  bool compressed = false;
};

/// Writes a file of arrays, as .npz where its name ends in ".npz", as PyTorch does where it ends in ".pt" or
/// ".pth", and as safetensors otherwise. Returns what to open: the file, or the index of its parts. An older
/// file is replaced once every byte is on the disk. Only safetensors keeps the metadata. Throws DataError
/// naming the file when it cannot be written, and ArgumentError for an option or an array that the format
/// does not know (.npz has no bf16).
std::filesystem::path save_arrays(const std::filesystem::path& file, const StoredArrays& content,
                                  const SaveOptions& options = {});

}  // namespace gradus
