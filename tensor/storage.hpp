#pragma once

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

namespace gradus {

/// The type of a tensor's elements. i8 and bf16 are compact forms of a matrix of f32, for weights that are
/// only read (tensor/compact.hpp): ops on them compute in f32.
enum class Dtype : std::uint8_t { f32, f64, i8, bf16 };

template <class T>
constexpr Dtype dtype_of() {
  static_assert(
      std::is_same_v<T, float> || std::is_same_v<T, double>,
      "the elements of a Tensor are of type float or double: convert the numbers first, or keep ids in "
      "Indices");
  return std::is_same_v<T, double> ? Dtype::f64 : Dtype::f32;
}
constexpr std::size_t bytes_of(Dtype dtype) {
  constexpr std::size_t bytes[] = {4, 8, 1, 2};
  return bytes[static_cast<std::size_t>(dtype)];
}
/// "f32", "f64", "i8" or "bf16".
constexpr const char* name_of(Dtype dtype) {
  constexpr const char* names[] = {"f32", "f64", "i8", "bf16"};
  return names[static_cast<std::size_t>(dtype)];
}

}  // namespace gradus

/// The memory behind tensors: reference-counted blocks from a pool, so that a training step in steady state
/// takes nothing from the heap.
namespace gradus::storage {

/// What holds elements that did not come from the pool: destroyed with the last tensor that shares them.
struct Keeper {
  Keeper() = default;
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  virtual ~Keeper() = default;
};

/// A header of one cache line. The elements of a tensor that owns them follow it in the same block of the
/// pool; a scalar's element lies inside the header, so that a scalar is one cache line; a view's elements lie
/// in another block, and foreign ones wherever a Keeper has them.
struct alignas(64) Block {
  enum class Kind : std::uint8_t { own, view, foreign };

  std::atomic<std::int32_t> count;  // of references; below 0 while the elements are lent, see below
  Dtype dtype;
  std::uint8_t rank;
  std::uint8_t size_class;  // the pool's list that it returns to; see storage.cpp
  Kind kind;
  void* data;
  union {
    Block* owner;    // of a view: the block that holds the elements
    Keeper* keeper;  // of foreign elements
    double scalar;   // rank 0: the element itself
  };
  std::int64_t elements;
  std::int32_t dims[8];  // 0 from `rank` on

  std::int64_t size() const { return elements; }
};
static_assert(sizeof(Block) == 64);

/// A block with room for `elements` elements and a reference count of 1. The caller fills in `dims`.
Block* allocate(Dtype dtype, int rank, std::int64_t elements);
/// The same for rank 0, in fewer instructions: a tape over scalars mostly allocates these.
Block* allocate_scalar(Dtype dtype);
/// A block that shares the elements of `of`, or of the block that `of` is a view of, from `offset` on.
Block* allocate_view(Block* of, int rank, std::int64_t elements, std::int64_t offset);
/// A block of elements that the keeper holds, of a rank above 0. They need the alignment of their type alone.
Block* allocate_foreign(Dtype dtype, int rank, std::int64_t elements, void* data,
                        std::unique_ptr<Keeper> keeper);
void destroy(Block* block) noexcept;

/// True while the process has a single thread. Reference counts then need no atomic read-modify-write, which
/// small ops would notice. (The C++ library's shared_ptr does the same.)
inline bool one_thread() noexcept {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded != 0;
#else
  return false;
#endif
}
inline void retain(Block* block) noexcept {
  if (block == nullptr) return;
  if (one_thread()) {
    block->count.store(block->count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  } else {
    block->count.fetch_add(1, std::memory_order_relaxed);
  }
}

/// The elements of a block that has one reference may be lent: somebody outside of tensors writes to them, at
/// any time. While they are, nobody else comes to share them, as what would share them takes a copy. The
/// count then is this bit, a bit for the reference as long as it is there, a bit for a loan that is never
/// given back, and from there on the number of the other loans.
inline constexpr std::int32_t lent_bit = std::numeric_limits<std::int32_t>::min();
inline constexpr std::int32_t reference_bit = 1, forever_bit = 2, one_loan = 4;

inline bool lent(const Block* block) noexcept {
  return block != nullptr && block->count.load(std::memory_order_relaxed) < 0;
}
/// One loan more of elements of which there is one reference, and one less. The block lives as long as
/// either.
void lend(Block* block) noexcept;
void take_back(Block* block) noexcept;
/// The loans become one that is never given back; it does not keep the block.
void lend_forever(Block* block) noexcept;
/// A block of the same elements that nobody else has.
Block* copied(const Block* block);
/// Releases the only reference of a block.
void release_last(Block* block) noexcept;

/// Another reference to a block, or to a copy of one whose elements are lent. A copy of a Tensor promises not
/// to throw, which small ops would notice, so where there is no memory for these elements the program ends.
inline Block* shared(Block* block) {
  if (block == nullptr) return block;
  const std::int32_t count = block->count.load(std::memory_order_relaxed);
  if (count < 0) [[unlikely]]
    return copied(block);
  if (one_thread()) {
    block->count.store(count + 1, std::memory_order_relaxed);
  } else {
    block->count.fetch_add(1, std::memory_order_relaxed);
  }
  return block;
}
inline void release(Block* block) noexcept {
  if (block == nullptr) return;
  // A plain load is enough when this is the only reference, since nobody else can make another one.
  const std::int32_t count = block->count.load(std::memory_order_acquire);
  if (count <= 1) return release_last(block);
  if (one_thread()) {
    block->count.store(count - 1, std::memory_order_relaxed);
  } else if (block->count.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    destroy(block);
  }
}
/// True when no other reference shares the elements; they may be lent.
inline bool unique(const Block* block) noexcept {
  return block == nullptr ||
         (block->count.load(std::memory_order_acquire) <= 1 && block->kind != Block::Kind::view);
}
/// True when moreover they are not lent, so that they may serve for something else.
inline bool disposable(const Block* block) noexcept {
  return block == nullptr ||
         (block->count.load(std::memory_order_acquire) == 1 && block->kind != Block::Kind::view);
}

/// Memory from the same pool for other things of a training step, such as a list of gradients.
void* allocate_bytes(std::size_t bytes);
void free_bytes(void* memory, std::size_t bytes) noexcept;

/// An allocator over that memory for standard containers.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class Other>
  PoolAllocator(const PoolAllocator<Other>&) noexcept {}
  T* allocate(std::size_t count) { return static_cast<T*>(allocate_bytes(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) noexcept { free_bytes(memory, count * sizeof(T)); }
  template <class Other>
  bool operator==(const PoolAllocator<Other>&) const noexcept {
    return true;
  }
};

/// A vector in that memory.
template <class T>
using PoolVector = std::vector<T, PoolAllocator<T>>;

/// What the pool has taken from the heap, over all threads; watched by a benchmark and a test.
struct Statistics {
  std::int64_t heap_allocations;
  std::int64_t heap_bytes_held;
};
Statistics statistics();

}  // namespace gradus::storage
