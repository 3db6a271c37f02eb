#include "tensor/storage.hpp"

#include <algorithm>
#include <array>
#include <bit>
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
constexpr std::size_t thread_bytes = std::size_t{256} << 20;  // what a thread keeps before it hands over
constexpr std::size_t shared_bytes = std::size_t{2} << 30;    // what all keep before memory goes back

std::size_t class_of(std::size_t bytes) {
  if (bytes <= 1024) return (bytes + 63) / 64 - 1;
  const auto octave =
      static_cast<std::size_t>(std::bit_width(bytes - 1) - 1);  // 2^octave < bytes <= 2^(octave+1)
  const std::size_t quarter = (bytes - 1 - (std::size_t{1} << octave)) >> (octave - 2);
  return fine_classes + (octave - 10) * 4 + quarter;
}
std::size_t class_bytes(std::size_t index) {
  if (index < fine_classes) return (index + 1) * 64;
  const std::size_t octave = (index - fine_classes) / 4 + 10;
  return (std::size_t{1} << octave) + ((index - fine_classes) % 4 + 1) * (std::size_t{1} << (octave - 2));
}

std::atomic<std::int64_t> heap_allocations{0};
std::atomic<std::int64_t> heap_bytes{0};

void* heap_allocate(std::size_t bytes) {
  void* memory = ::operator new (bytes, std::align_val_t{64});
  heap_allocations.fetch_add(1, std::memory_order_relaxed);
  heap_bytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  return memory;
}
void heap_free(void* memory, std::size_t bytes) noexcept {
  heap_bytes.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  ::operator delete (memory, std::align_val_t{64});
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
// Never destroyed: threads may hand memory over after main has returned.
Shared& shared() {
  alignas(Shared) static std::byte memory[sizeof(Shared)];
  static Shared* const instance = new (memory) Shared;
  return *instance;
}

enum class Stage : unsigned char { unused, open, closed };
constinit thread_local Lists local;
constinit thread_local Stage stage = Stage::unused;

// Hands a thread's free blocks over when it ends, so that what one thread frees another can use.
struct Handover {
  ~Handover() {
    stage = Stage::closed;
    for (std::size_t index = 0; index < classes; ++index) {
      while (void* memory = local.pop(index)) shared().push(memory, index);
    }
  }
};

void open_thread() {
  thread_local const Handover handover;
  static_cast<void>(handover);
  stage = Stage::open;
}

void* take(std::size_t bytes, std::uint8_t& size_class) {
  const std::size_t index = class_of(bytes);
  if (index >= classes) throw std::bad_alloc();
  size_class = static_cast<std::uint8_t>(index);
  if constexpr (pooled) {
    if (void* memory = local.pop(index)) return memory;
    if (void* memory = shared().pop(index)) return memory;
  }
  return heap_allocate(class_bytes(index));
}

void give_back(void* memory, std::size_t index) noexcept {
  if constexpr (!pooled) return heap_free(memory, class_bytes(index));
  if (stage == Stage::unused) open_thread();
  // A producing and a consuming thread would otherwise fill the consumer's lists for ever.
  if (stage == Stage::closed || local.bytes + class_bytes(index) > thread_bytes) {
    return shared().push(memory, index);
  }
  local.push(memory, index);
}

Block* make_block(std::size_t bytes) {
  std::uint8_t size_class = 0;
  void* memory = take(bytes, size_class);
  Block* block = new (memory) Block;
  block->count.store(1, std::memory_order_relaxed);
  block->size_class = size_class;
  return block;
}

}  // namespace

Block* allocate(Dtype dtype, int rank, std::int64_t elements) {
  const bool scalar = rank == 0;
  Block* block =
      make_block(sizeof(Block) + (scalar ? 0 : static_cast<std::size_t>(elements) * bytes_of(dtype)));
  block->dtype = dtype;
  block->rank = static_cast<std::uint8_t>(rank);
  block->is_view = false;
  block->elements = elements;
  block->scalar = 0;
  block->data = scalar ? static_cast<void*>(&block->scalar) : static_cast<void*>(block + 1);
  return block;
}

Block* allocate_view(Block* of, int rank, std::int64_t elements, std::int64_t offset) {
  Block* owner = of->is_view ? of->owner : of;
  Block* block = make_block(sizeof(Block));
  retain(owner);
  block->dtype = of->dtype;
  block->rank = static_cast<std::uint8_t>(rank);
  block->is_view = true;
  block->elements = elements;
  block->owner = owner;
  block->data = static_cast<std::byte*>(of->data) + static_cast<std::size_t>(offset) * bytes_of(of->dtype);
  return block;
}

void destroy(Block* block) noexcept {
  Block* owner = block->is_view ? block->owner : nullptr;
  give_back(block, block->size_class);
  release(owner);
}

void* allocate_bytes(std::size_t bytes) {
  std::uint8_t unused = 0;
  return take(bytes == 0 ? 1 : bytes, unused);
}
void free_bytes(void* memory, std::size_t bytes) noexcept {
  give_back(memory, class_of(bytes == 0 ? 1 : bytes));
}

Statistics statistics() {
  return {heap_allocations.load(std::memory_order_relaxed), heap_bytes.load(std::memory_order_relaxed)};
}

}  // namespace gradus::storage
