#pragma once

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#ifndef sigev_notify_thread_id  // glibc before 2.38 does not name it
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace bench {

/// Samples where the calling thread spends its time: a wall-clock timer interrupts it, and its stack is
/// recorded. The thread that calls an op works on it like all others and then waits for them, so its time is
/// that of the step. Unlike perf this needs no privileges on Debian. Linux only.
class Sampler {
 public:
  /// Allocates memory for `room` samples, since the signal handler must not allocate any.
  explicit Sampler(std::size_t room) : samples_(room) {
    void* warm[1];
    backtrace(warm, 1);  // loads the unwinder
    struct sigaction action {};
    action.sa_sigaction = [](int, siginfo_t* info, void*) {
      static_cast<Sampler*>(info->si_value.sival_ptr)->take();
    };
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGPROF, &action, &before_);
    struct sigevent event {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
    event.sigev_value.sival_ptr = this;
    event.sigev_notify_thread_id = static_cast<pid_t>(syscall(SYS_gettid));
    works_ = timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
    every(microseconds);
  }
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;
  ~Sampler() {
    if (works_) timer_delete(timer_);
    sigaction(SIGPROF, &before_, nullptr);
  }

  void stop() { every(0); }
  /// False if the system has no such timer.
  bool works() const { return works_; }
  bool full() const { return count_ == samples_.size(); }

  /// Prints a line for each sample, the innermost frame first: addresses in this program as nm lists them,
  /// and =NAME for those in a library.
  void print(std::ostream& out) const {
    Dl_info own{};
    dladdr(reinterpret_cast<void*>(&main_marker), &own);
    for (std::size_t i = 0; i < count_; ++i) {
      for (int frame = 2; frame < samples_[i].depth; ++frame) {  // past the interrupt's own two
        const char* const at = static_cast<const char*>(samples_[i].frames[static_cast<std::size_t>(frame)]);
        Dl_info where{};
        if (dladdr(at, &where) == 0) {
          out << "=? ";
        } else if (where.dli_fbase == own.dli_fbase) {
          // A caller's address is the one it returns to, which may be the next function's.
          out << at - static_cast<const char*>(where.dli_fbase) - (frame > 2 ? 1 : 0) << ' ';
        } else {
          const std::string path = where.dli_fname;
          out << '=' << path.substr(path.rfind('/') + 1) << ' ';
        }
      }
      out << '\n';
    }
  }

 private:
  static constexpr long microseconds = 997;  // so as not to be in step with the kernel's ticks
  struct Sample {
    std::array<void*, 64> frames;
    int depth = 0;
  };

  static void main_marker() {}

  void take() {
    if (full()) return;
    Sample& sample = samples_[count_];
    sample.depth = backtrace(sample.frames.data(), static_cast<int>(sample.frames.size()));
    ++count_;
  }
  void every(long period) {
    const itimerspec spec{{0, period * 1000}, {0, period * 1000}};
    if (works_) timer_settime(timer_, 0, &spec, nullptr);
  }

  std::vector<Sample> samples_;
  std::atomic<std::size_t> count_ = 0;
  timer_t timer_{};
  struct sigaction before_ {};
  bool works_ = false;
};

}  // namespace bench
