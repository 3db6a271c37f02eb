#include "tensor/storage.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <mutex>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define GRADUS_NO_POOL 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GRADUS_NO_POOL 1
#endif
#endif

namespace gradus::storage {

namespace {

#ifdef GRADUS_NO_POOL
constexpr bool pooled = false;  // so that the sanitizer sees every use after release
#else
constexpr bool pooled = true;
#endif

// Size classes: every 64 bytes to 1 KiB, then four an octave to 2^50 bytes.
constexpr std::size_t fine_classes = 16;
constexpr std::size_t classes = fine_classes + 4 * 40;
constexpr std::size_t thread_bytes = std::size_t{256} << 20;  // free memory that one thread keeps at most
constexpr std::size_t shared_bytes = std::size_t{2} << 30;    // free memory in the shared lists at most

std::size_t class_of(std::size_t bytes) {
  if (bytes <= 1024) return (bytes + 63) / 64 - 1;
  const auto octave =
      static_cast<std::size_t>(std::bit_width(bytes - 1) - 1);  // 2^octave < bytes <= 2^(octave+1)
  const std::size_t quarter = (bytes - 1 - (std::size_t{1} << octave)) >> (octave - 2);
  return fine_classes + (octave - 10) * 4 + quarter;
}
constexpr std::array<std::size_t, classes> bytes_by_class = [] {
  std::array<std::size_t, classes> out{};
  for (std::size_t index = 0; index < classes; ++index) {
    if (index < fine_classes) {
      out[index] = (index + 1) * 64;
    } else {
      const std::size_t octave = (index - fine_classes) / 4 + 10;
      out[index] =
          (std::size_t{1} << octave) + ((index - fine_classes) % 4 + 1) * (std::size_t{1} << (octave - 2));
    }
  }
  return out;
}();
std::size_t class_bytes(std::size_t index) {
  return bytes_by_class[index];
}

std::atomic<std::int64_t> heap_allocations{0};
std::atomic<std::int64_t> heap_bytes{0};

// A block of several large pages is aligned to them and asks for them: reading many rows of a large matrix
// side by side would otherwise need an address translation for each row.
constexpr std::size_t large_page = std::size_t{2} << 20;
std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes >= 2 * large_page ? large_page : 64};
}

/// Only the first `used` of the bytes are needed. A large page takes memory as a whole, so the last large
/// page, which they would not fill, is made of small ones.
void* heap_allocate(std::size_t bytes, [[maybe_unused]] std::size_t used) {
  void* memory = ::operator new(bytes, alignment_of(bytes));
#ifdef MADV_HUGEPAGE
  // A failure does not matter: the memory then has small pages.
  if (bytes >= 2 * large_page)
    static_cast<void>(madvise(memory, used / large_page * large_page, MADV_HUGEPAGE));
#endif
  heap_allocations.fetch_add(1, std::memory_order_relaxed);
  heap_bytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  return memory;
}
void heap_free(void* memory, std::size_t bytes) noexcept {
  heap_bytes.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  ::operator delete(memory, alignment_of(bytes));
}

struct Free {
  Free* next;
};

struct Lists {
  std::array<Free*, classes> first{};
  std::size_t bytes = 0;

  void push(void* memory, std::size_t index) {
    first[index] = new (memory) Free{first[index]};
    bytes += class_bytes(index);
  }
  void* pop(std::size_t index) {
    Free* found = first[index];
    if (found == nullptr) return nullptr;
    first[index] = found->next;
    bytes -= class_bytes(index);
    return found;
  }
};

struct Shared {
  std::mutex mutex;
  Lists lists;

  void* pop(std::size_t index) {
    const std::lock_guard lock(mutex);
    return lists.pop(index);
  }
  void push(void* memory, std::size_t index) {
    {
      const std::lock_guard lock(mutex);
      if (lists.bytes + class_bytes(index) <= shared_bytes) return lists.push(memory, index);
    }
    heap_free(memory, class_bytes(index));
  }
};
// Never destroyed, since threads may hand over memory after main has returned.
Shared& shared() {
  alignas(Shared) static std::byte memory[sizeof(Shared)];
  static Shared* const instance = new (memory) Shared;
  return *instance;
}

enum class Stage : unsigned char { unused, open, closed };
constinit thread_local Lists local;
constinit thread_local Stage stage = Stage::unused;
constinit thread_local std::size_t local_limit = 0;  // of local.bytes; 0 unless the stage is open

// Moves a thread's free blocks to the shared lists when the thread ends, so that other threads can use them.
struct Handover {
  ~Handover() {
    stage = Stage::closed;
    local_limit = 0;
    for (std::size_t index = 0; index < classes; ++index) {
      while (void* memory = local.pop(index)) shared().push(memory, index);
    }
  }
};

void open_thread() {
  thread_local const Handover handover;
  static_cast<void>(handover);
  stage = Stage::open;
  local_limit = thread_bytes;
}

void* take_elsewhere(std::size_t index, std::size_t bytes) {
  if constexpr (pooled) {
    if (void* memory = shared().pop(index)) return memory;
  }
  return heap_allocate(class_bytes(index), bytes);
}

/// Memory of size class `index`, of which the first `bytes` are needed.
void* take(std::size_t index, std::size_t bytes) {
  if constexpr (pooled) {
    if (void* memory = local.pop(index)) return memory;
  }
  return take_elsewhere(index, bytes);
}

std::size_t checked_class_of(std::size_t bytes) {
  const std::size_t index = class_of(bytes);
  if (index >= classes) throw std::bad_alloc();
  return index;
}

[[gnu::noinline]] void give_back_elsewhere(void* memory, std::size_t index) noexcept {
  if constexpr (!pooled) return heap_free(memory, class_bytes(index));
  if (stage == Stage::unused) {
    open_thread();
    if (class_bytes(index) <= local_limit) return local.push(memory, index);
  }
  // Otherwise a thread that frees what another one allocates would keep more and more.
  shared().push(memory, index);
}

void give_back(void* memory, std::size_t index) noexcept {
  if (!pooled || local.bytes + class_bytes(index) > local_limit) return give_back_elsewhere(memory, index);
  local.push(memory, index);
}

Block* make_block(std::size_t size_class, std::size_t bytes = sizeof(Block)) {
  Block* block = new (take(size_class, bytes)) Block;
  block->count.store(1, std::memory_order_relaxed);
  block->size_class = static_cast<std::uint8_t>(size_class);
  return block;
}

constexpr std::size_t header_class = 0;  // a block without elements behind it

/// Of one whose elements are elsewhere.
[[gnu::noinline]] void destroy_elsewhere(Block* block) noexcept {
  const bool is_view = block->kind == Block::Kind::view;
  Block* const owner = is_view ? block->owner : nullptr;
  const std::unique_ptr<Keeper> keeper(is_view ? nullptr : block->keeper);
  give_back(block, block->size_class);
  release(owner);
}

}  // namespace

Block* allocate_scalar(Dtype dtype) {
  Block* block = make_block(header_class);
  block->dtype = dtype;
  block->rank = 0;
  block->kind = Block::Kind::own;
  block->elements = 1;
  block->scalar = 0;
  block->data = &block->scalar;
  std::ranges::fill(block->dims, 0);
  return block;
}

Block* allocate(Dtype dtype, int rank, std::int64_t elements) {
  if (rank == 0) return allocate_scalar(dtype);
  const std::size_t bytes = sizeof(Block) + static_cast<std::size_t>(elements) * bytes_of(dtype);
  Block* block = make_block(checked_class_of(bytes), bytes);
  block->dtype = dtype;
  block->rank = static_cast<std::uint8_t>(rank);
  block->kind = Block::Kind::own;
  block->elements = elements;
  block->scalar = 0;
  block->data = block + 1;
  return block;
}

Block* allocate_view(Block* of, int rank, std::int64_t elements, std::int64_t offset) {
  Block* owner = of->kind == Block::Kind::view ? of->owner : of;
  Block* block = make_block(header_class);
  retain(owner);
  block->dtype = of->dtype;
  block->rank = static_cast<std::uint8_t>(rank);
  block->kind = Block::Kind::view;
  block->elements = elements;
  block->owner = owner;
  block->data = static_cast<std::byte*>(of->data) + static_cast<std::size_t>(offset) * bytes_of(of->dtype);
  return block;
}

Block* allocate_foreign(Dtype dtype, int rank, std::int64_t elements, void* data,
                        std::unique_ptr<Keeper> keeper) {
  Block* block = allocate(dtype, rank, 0);
  block->kind = Block::Kind::foreign;
  block->elements = elements;
  block->keeper = keeper.release();
  block->data = data;
  return block;
}

void destroy(Block* block) noexcept {
  if (block->kind == Block::Kind::own) return give_back(block, block->size_class);
  destroy_elsewhere(block);
}

void lend(Block* block) noexcept {
  // In one exchange: another thread may end the last loan at the same time.
  std::int32_t count = block->count.load(std::memory_order_relaxed), left = 0;
  do {
    left = (count < 0 ? count : lent_bit | reference_bit) + one_loan;
  } while (!block->count.compare_exchange_weak(count, left, std::memory_order_acq_rel));
}
void lend_forever(Block* block) noexcept {
  block->count.fetch_or(forever_bit, std::memory_order_relaxed);
}
void take_back(Block* block) noexcept {
  // In one exchange: after it another thread may release the reference, and the block end.
  std::int32_t count = block->count.load(std::memory_order_relaxed), left = 0;
  do {
    left = count - one_loan;
    if (left == (lent_bit | reference_bit)) left = 1;  // the last loan
  } while (!block->count.compare_exchange_weak(count, left, std::memory_order_acq_rel));
  if ((left & ~forever_bit) == lent_bit) destroy(block);
}
void release_last(Block* block) noexcept {
  if (!lent(block)) return destroy(block);
  const std::int32_t left = block->count.fetch_sub(reference_bit, std::memory_order_acq_rel) - reference_bit;
  if ((left & ~(lent_bit | forever_bit)) == 0) destroy(block);
}
Block* copied(const Block* block) {
  Block* const out = allocate(block->dtype, block->rank, block->elements);
  std::ranges::copy(block->dims, out->dims);
  std::memcpy(out->data, block->data, static_cast<std::size_t>(block->elements) * bytes_of(block->dtype));
  return out;
}

void* allocate_bytes(std::size_t bytes) {
  return take(checked_class_of(bytes == 0 ? 1 : bytes), bytes);
}
void free_bytes(void* memory, std::size_t bytes) noexcept {
  give_back(memory, class_of(bytes == 0 ? 1 : bytes));
}

Statistics statistics() {
  return {heap_allocations.load(std::memory_order_relaxed), heap_bytes.load(std::memory_order_relaxed)};
}

}  // namespace gradus::storage
