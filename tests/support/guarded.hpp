#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace gradus::test {

/// Elements that end where a page begins that may not be touched: reading one too many ends the program.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::int64_t count) : size_(static_cast<std::size_t>(count) * sizeof(T)) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    whole_ = (size_ + page - 1) / page * page;
    memory_ = mmap(nullptr, whole_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    total_ = whole_ + page;
    mprotect(static_cast<std::byte*>(memory_) + whole_, page, PROT_NONE);
  }
  ~Guarded() { munmap(memory_, total_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return reinterpret_cast<T*>(static_cast<std::byte*>(memory_) + whole_ - size_); }

 private:
  std::size_t size_, whole_ = 0, total_ = 0;
  void* memory_ = nullptr;
};

}  // namespace gradus::test
