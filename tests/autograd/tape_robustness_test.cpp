#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/tape.hpp"
#include "nn/lstm.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/sanitizers.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

Tensor number(double x) {
  return Tensor::scalar(x, Dtype::f64);
}

/// Counts its living copies, as what a closure saved.
class Counted {
 public:
  explicit Counted(int& alive) : alive_(&alive) { ++*alive_; }
  Counted(const Counted& other) : alive_(other.alive_) { ++*alive_; }
  Counted(Counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*alive_; }
  int alive() const { return *alive_; }

 private:
  int* alive_;
};

/// Passes x on; its closure holds a Counted, and calls `then` in the sweep.
template <class Then>
Variable counted(const Variable& x, int& alive, Then then) {
  return record("counted", x.value(), wrt(x, [held = Counted(alive), then](const Variable& g) {
                  then(held.alive());
                  return g;
                }));
}
Variable counted(const Variable& x, int& alive) {
  return counted(x, alive, [](int) {});
}

/// Throws as it is moved or copied for the n-th time.
struct ThrowsWhenMoved {
  int* left;
  explicit ThrowsWhenMoved(int& moves) : left(&moves) {}
  ThrowsWhenMoved(const ThrowsWhenMoved& other) : left(other.left) { spend(); }
  ThrowsWhenMoved(ThrowsWhenMoved&& other) : left(other.left) { spend(); }
  ThrowsWhenMoved& operator=(const ThrowsWhenMoved&) = delete;
  ~ThrowsWhenMoved() = default;
  void spend() const {
    if ((*left)-- == 0) throw std::runtime_error("moved once too often");
  }
};

/// The tape and the pool work as ever.
void check_all_is_well() {
  const Parameter p(number(3));
  CHECK((p * p).is_constant());  // no tape is active
  Tape tape;
  CHECK(tape.backward(square(p) * p)[p].item() == 27);
}

}  // namespace

TEST_CASE("a chain of a million steps needs no recursion, forward, backward or as it is dropped",
          "[tape][robust]") {
  const auto chain = [](Variable y, int steps) {
    const Variable x = y;
    for (int i = 0; i < steps; ++i) y = y + x;
    return y;
  };
  Tape tape;
  const Variable x = tape.watch(number(1));
  CHECK(tape.backward(chain(x, 1'000'000))[x].item() == 1'000'001);
  {
    Tape dropped;
    chain(dropped.watch(number(1)), 1'000'000);
  }
  // Recorded, and differentiated again: 2 x per step.
  const Variable z = tape.watch(number(0.5));
  Variable h = z;
  for (int i = 0; i < 100'000; ++i) h = h * 1 + z * z;
  const Variable slope = grad(h, z);
  CHECK(slope.item() == Approx(1 + 100'000 * 2 * 0.5));
  CHECK(tape.backward(slope)[z].item() == Approx(200'000));
}

TEST_CASE("what closures saved is released as the sweep passes", "[tape][robust]") {
  int alive = 0;
  Tape tape;
  const Variable x = tape.watch(number(1));
  Variable y = x;
  std::vector<int> seen;
  for (int i = 0; i < 5; ++i) y = counted(y, alive, [&seen](int now) { seen.push_back(now); });
  CHECK(alive == 5);
  tape.backward(y, {.keep = true});
  CHECK(seen == std::vector<int>{5, 5, 5, 5, 5});
  seen.clear();
  tape.backward(y);
  CHECK(seen == std::vector<int>{5, 4, 3, 2, 1});
  CHECK(alive == 0);
}

TEST_CASE("ops that the loss does not depend on are released too", "[tape][robust]") {
  int alive = 0;
  Tape tape;
  const Variable x = tape.watch(number(1));
  const Variable used = counted(x, alive), before = counted(x, alive);
  const Variable loss = used * 2;
  const Variable after = counted(loss, alive);
  CHECK(alive == 3);
  tape.backward(loss);
  CHECK(alive == 0);
}

TEST_CASE("only what a needed gradient uses is saved", "[tape][robust]") {
  int alive = 0;
  Tape tape;
  const Variable x = tape.watch(Tensor::of({1, 2, 3}, Dtype::f64));
  const Variable constant(Tensor::of({4, 5, 6}, Dtype::f64));
  const Variable y =
      record("pair", x.value(),
             wrt(constant, [held = Counted(alive)](const Variable& g) { return held.alive() > 0 ? g : -g; }),
             wrt(x, [](const Variable& g) { return g; }));
  CHECK(alive == 0);  // the constant's closure is gone
  // x * c keeps c and not x; linear keeps the weight only where x is wanted, and x only where the weight is.
  const auto keeps = [](auto op, const Tensor& wanted, const Tensor& other) {
    Tape inner;
    Tensor a = wanted * 1, b = other * 1;
    Variable left = inner.watch(a);
    Variable right{b};
    const Variable result = op(left, right);
    left = right = Variable();
    return std::pair(!a.unique(), !b.unique());
  };
  const Tensor square_matrix = ones({2, 2});
  CHECK(keeps([](const Variable& a, const Variable& b) { return a * b; }, square_matrix, square_matrix) ==
        std::pair(false, true));
  CHECK(keeps([](const Variable& a, const Variable& b) { return b / a; }, square_matrix, square_matrix)
            .second == false);
  CHECK(keeps([](const Variable& a, const Variable& b) { return a + b; }, square_matrix, square_matrix) ==
        std::pair(false, false));
  CHECK(keeps([](const Variable& a, const Variable& b) { return matmul(a, b); }, square_matrix,
              square_matrix) == std::pair(false, true));
  CHECK(keeps([](const Variable& a, const Variable& b) { return linear(a, b, Variable()); }, square_matrix,
              square_matrix) == std::pair(false, true));
}

TEST_CASE("an exception in a closure leaves everything usable", "[tape][robust]") {
  int alive = 0;
  const Parameter p(number(2));
  {
    Tape tape;
    Variable y = counted(p * 1, alive);
    y = counted(y, alive, [](int) { throw std::runtime_error("in a closure"); });
    y = counted(y, alive);
    CHECK_THROWS_WITH(grad(y, p), "in a closure");
    CHECK(alive == 3);
    // The tape still records and differentiates what is sound.
    CHECK(grad(p * p, p).item() == 4);
    CHECK_THROWS_WITH(tape.backward(y), "in a closure");
    CHECK(alive == 0);
    CHECK(tape.size() == 0);
    CHECK_THROWS_AS(y * 2, TapeError);
    CHECK(tape.backward(p * p)[p].item() == 4);
  }
  check_all_is_well();
}

TEST_CASE("what a joint closure left as it threw is not taken for the next one's", "[tape][robust]") {
  Tape tape;
  const auto joint = [&](const Variable& x, const Variable& y, bool throws) {
    return record("joint", x.value(),
                  jointly({x, y}, [throws](const Tensor& g, std::span<const bool>, std::span<Tensor> out) {
                    if (throws) out[0] = g * 7;
                    if (throws) throw std::runtime_error("half done");
                    out[1] = g;
                  }));
  };
  const Variable x = tape.watch(number(1)), y = tape.watch(number(2));
  CHECK_THROWS_WITH(tape.backward(joint(x, y, true)), "half done");
  const Variable again = tape.watch(number(1)), other = tape.watch(number(2));
  const Gradients gradients = tape.backward(joint(again, other, false));
  CHECK_FALSE(gradients.contains(again));
  CHECK(gradients[other].item() == 1);
}

TEST_CASE("an exception as a closure is recorded takes the op back", "[tape][robust]") {
  for (int moves = 0; moves < 6; ++moves) {
    INFO(moves);
    int alive = 0;
    {
      Tape tape;
      const Variable x = tape.watch(number(2));
      const Variable before = counted(x * 1, alive);
      int left = moves;
      const auto throwing = [&] {
        return record(
            "throwing", x.value(),
            wrt(x, [held = Counted(alive)](const Variable& g) { return held.alive() > 0 ? g : -g; }),
            wrt(before,
                [bad = ThrowsWhenMoved(left)](const Variable& g) { return bad.left != nullptr ? g : -g; }));
      };
      try {
        const Variable y = throwing();
        CHECK(tape.size() == 4);
        CHECK(alive == 2);
      } catch (const std::runtime_error&) {
        CHECK(tape.size() == 3);
        CHECK(alive == 1);
      }
      left = moves;
      try {
        record("joint", x.value(),
               jointly({x, before},
                       [bad = ThrowsWhenMoved(left)](const Tensor&, std::span<const bool>,
                                                     std::span<Tensor>) { static_cast<void>(bad); }));
      } catch (const std::runtime_error&) {
      }
      CHECK(tape.backward(before * x)[x].item() == 4);
    }
    CHECK(alive == 0);
  }
  check_all_is_well();
}

TEST_CASE("an op without a result is refused and leaves the tape usable", "[tape][robust]") {
  const Parameter p(Tensor::of({1, 2}));
  for (int round = 0; round < 2; ++round) {
    Tape tape;
    const Variable h = p * p;
    CHECK_THROWS_WITH(record({"bad"}, Tensor(), wrt(h, [](const Variable& g) { return g; })),
                      Contains("bad") && Contains("undefined"));
    const auto held = std::make_shared<int>(0);
    const auto joint = [held](const Tensor&, std::span<const bool>, std::span<Tensor>) {};
    CHECK_THROWS_WITH(record({"worse"}, Tensor(), jointly({h}, joint)), Contains("worse"));
    CHECK(held.use_count() == 2);  // here and in `joint`
    CHECK(tape.backward(sum(h))[p].text() == "[2, 4]");
  }
}

TEST_CASE("a tape may end in any state and order", "[tape][robust]") {
  int alive = 0;
  const Parameter p(number(2));
  try {
    Tape tape;
    const Variable y = counted(p * p, alive);
    throw std::runtime_error("mid-forward");
  } catch (const std::runtime_error&) {
  }
  CHECK(alive == 0);
  check_all_is_well();

  // Held by a pointer, ended under another tape, in a closure, and while recording is paused.
  auto outer = std::make_unique<Tape>();
  const Variable a = counted(p * p, alive);
  auto inner = std::make_unique<Tape>();
  const Variable b = counted(p * 3, alive);
  outer.reset();
  CHECK(alive == 1);
  CHECK(inner->backward(b)[p].item() == 3);
  {
    const PauseRecording pause;
    inner.reset();
  }
  check_all_is_well();

  std::optional<Tape> in_closure(std::in_place);
  const Variable inside = counted(p * 1, alive);
  {
    Tape tape;
    const Variable y = counted(p * 5, alive, [&](int) { in_closure.reset(); });
    CHECK(tape.backward(y)[p].item() == 5);
  }
  CHECK(alive == 0);
  check_all_is_well();
}

TEST_CASE("a tape made within a closure is independent of the one that is swept", "[tape][robust]") {
  const Parameter p(number(3));
  double inside = 0;
  {
    Tape tape;
    const Variable y =
        record("nested", square(p.value()), wrt(p, [&inside, p = p.value()](const Variable& g) {
                 Tape inner;
                 const Variable x = inner.watch(p);
                 const Tensor slope = inner.backward(square(x))[x];
                 inside = slope.item();
                 return g * Variable(slope);
               }));
    CHECK(tape.backward(y * 2)[p].item() == 12);
    CHECK(inside == 6);
  }
  check_all_is_well();
}

TEST_CASE("a tape that ends on another thread than its own leaves both usable", "[tape][robust][threads]") {
  int alive = 0;
  std::unique_ptr<Tape> tape;
  std::thread([&] {
    tape = std::make_unique<Tape>();
    const Parameter p(number(2));
    counted(p * p, alive);
    // Not ended by its own thread: this one forgets it first.
    const PauseRecording pause;
  }).join();
  tape.reset();
  CHECK(alive == 0);
  check_all_is_well();
}

TEST_CASE("a tape may end after its thread's own objects have", "[tape][robust][threads]") {
  const auto held = std::make_shared<int>(0);
  std::thread([&] {
    thread_local std::unique_ptr<Tape> kept;
    kept = std::make_unique<Tape>();
    const Variable x = kept->watch(Tensor::scalar(2));
    record({"holds"}, x.value(), wrt(x, [held](const Variable& g) { return g; }));
    const Tape other;  // leaves its storage to the thread, behind `kept`, which the thread ends with last
  }).join();
  CHECK(held.use_count() == 1);
}

TEST_CASE("tapes on several threads do not meet", "[tape][robust][threads]") {
  const Parameter p(number(3));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 200; ++round) {
        Tape tape;
        Variable y = p * (t + 1);
        for (int i = 0; i < 20; ++i) y = y + p * i;
        if (tape.backward(y)[p].item() != t + 1 + 190) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

#if !defined(GRADUS_ADDRESS_SANITIZER)  // under it the pool is off
TEST_CASE("memory is flat over 10,000 steps of varying lengths", "[tape][robust][memory]") {
  Rng rng(1);
  const nn::Lstm lstm(rng, 4, 8);
  const auto run = [&](std::int64_t steps) {
    Tape tape;
    const auto [h, state] = lstm(Variable(rng.normal({steps, 2, 4})), lstm.start(2));
    tape.backward(sum(square(h)));
  };
  for (std::int64_t i = 0; i < 300; ++i) run(1 + i * 37 % 61);
  const std::int64_t held = storage::statistics().heap_bytes_held;
  for (std::int64_t i = 0; i < 10'000; ++i) run(1 + i * 37 % 61);
  CHECK(storage::statistics().heap_bytes_held == held);
}

TEST_CASE("memory is flat over tapes on short-lived threads", "[tape][robust][memory][threads]") {
  const Parameter p(ones({100}));
  const auto run = [&](int threads) {
    for (int i = 0; i < threads; ++i) {
      std::thread([&] {
        Tape tape;
        tape.backward(sum(square(p * 2)));
      }).join();
    }
  };
  run(100);
  const std::int64_t held = storage::statistics().heap_bytes_held;
  run(20'000);
  CHECK(storage::statistics().heap_bytes_held == held);
}

TEST_CASE("memory is bounded with one thread that makes tensors and one that drops them",
          "[tape][robust][memory][threads]") {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Tensor> queue;
  constexpr int count = 20'000, waiting = 16;
  constexpr std::int64_t elements = 64 << 10;  // 256 KiB each: 5 GiB in all
  const std::int64_t before = storage::statistics().heap_bytes_held;
  std::thread consumer([&] {
    for (int i = 0; i < count; ++i) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !queue.empty(); });
      const Tensor taken = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      changed.notify_all();
    }
  });
  for (int i = 0; i < count; ++i) {
    Tensor made = Tensor::uninitialized({elements});
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return queue.size() < waiting; });
    queue.push_back(std::move(made));
    lock.unlock();
    changed.notify_all();
  }
  consumer.join();
  const std::int64_t grown = storage::statistics().heap_bytes_held - before;
  // What a thread may keep before it hands over, and what is on the way.
  CHECK(grown <= (std::int64_t{256} << 20) + 4 * waiting * elements * 4);
}
#endif
