#include "tensor/support/parallel.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "tensor/support/error.hpp"
#include "tensor/support/float_mode.hpp"

// Debian's oneTBB is not instrumented, so the thread sanitizer must be told of the order that oneTBB
// guarantees: a call's begin comes before its body, and the body before the call's end.
#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void*);
extern "C" void __tsan_release(void*);
#endif

namespace gradus {

namespace {

void happens_after([[maybe_unused]] void* call) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(call);
#endif
}
void happens_before([[maybe_unused]] void* call) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(call);
#endif
}

int cores() {
  const unsigned count = std::thread::hardware_concurrency();
  return count == 0 ? 1 : static_cast<int>(count);
}

/// The library's threads: its only global state.
struct Pool {
  std::mutex mutex;
  std::atomic<int> count{cores()};
  std::unique_ptr<tbb::global_control> limit;
  std::shared_ptr<tbb::task_arena> arena;

  std::shared_ptr<tbb::task_arena> current() {
    const std::lock_guard lock(mutex);
    if (!arena) {
      const int wanted = count.load();
      limit = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                    static_cast<std::size_t>(wanted));
      arena = std::make_shared<tbb::task_arena>(wanted);
    }
    return arena;
  }
};

/// A thread's floating-point mode while it lives. The library's threads keep their own otherwise.
class FloatMode {
 public:
  explicit FloatMode(std::uint64_t mode) : before_(detail::float_mode()), changed_(mode != before_) {
    if (changed_) detail::set_float_mode(mode);
  }
  ~FloatMode() {
    if (changed_) detail::set_float_mode(before_);
  }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
  std::uint64_t before_;
  bool changed_;
};

Pool& pool() {
  static Pool instance;
  return instance;
}

}  // namespace

void set_threads(int count) {
  if (count < 0)
    fail<ArgumentError>("set_threads({}): a number of threads from 1, or 0 for one a core", count);
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.count.store(count == 0 ? cores() : count);
  p.arena.reset();
  p.limit.reset();
}

int threads() {
  return pool().count.load(std::memory_order_relaxed);
}

void parallel::detail::run(std::int64_t chunks, FunctionRef<void(std::int64_t)> body) {
  const std::shared_ptr<tbb::task_arena> arena = pool().current();
  // The caller's way to compute, as a program that flushes subnormal numbers, or rounds up, would have other
  // bits with another number of threads.
  const std::uint64_t mode = gradus::detail::float_mode();
  const auto ordered_body = [&](std::int64_t chunk) {
    happens_after(&body);
    const FloatMode as_caller(mode);
    body(chunk);
    happens_before(&body);
  };
  happens_before(&body);
  arena->execute([&] {
    // Isolated, since a task stolen from another caller would otherwise record on this thread's tape.
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(std::int64_t{0}, chunks, ordered_body, tbb::static_partitioner()); });
  });
  happens_after(&body);
}

}  // namespace gradus
