// Counts what the whole program takes from the heap. The functions here stand before those of the C library,
// for the libraries too that this program loads.

#include "tests/support/heap_count.hpp"
#include "tests/support/sanitizers.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {
std::atomic<std::int64_t> count{0};
}  // namespace

#if defined(__GLIBC__) && !defined(GRADUS_ADDRESS_SANITIZER) && !defined(GRADUS_THREAD_SANITIZER)

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): these are glibc's own.
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t number, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
// NOLINTEND(bugprone-reserved-identifier)

void* malloc(std::size_t bytes) noexcept {
  count.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t number, std::size_t bytes) noexcept {
  count.fetch_add(1, std::memory_order_relaxed);
  return __libc_calloc(number, bytes);
}
void* realloc(void* memory, std::size_t bytes) noexcept {
  count.fetch_add(1, std::memory_order_relaxed);
  return __libc_realloc(memory, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  count.fetch_add(1, std::memory_order_relaxed);
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  void* const found = memalign(alignment, bytes);
  if (found == nullptr) return ENOMEM;
  *memory = found;
  return 0;
}

}  // extern "C"

const bool gradus::test::counts_heap = true;
#else
const bool gradus::test::counts_heap = false;
#endif

std::int64_t gradus::test::heap_count() {
  return count.load(std::memory_order_relaxed);
}
