#include "tensor/mutable_values.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

namespace {

bool share(const Tensor& a, const Tensor& b) {
  return a.data<float>() == b.data<float>();
}

}  // namespace

TEST_CASE("what is written to lent elements reaches nothing that was copied meanwhile", "[tensor]") {
  using Copy = std::function<Tensor(const Tensor&)>;
  const std::vector<std::pair<const char*, Copy>> copies{
      {"copy", [](const Tensor& x) { return x; }},
      {"assignment",
       [](const Tensor& x) {
         Tensor out = zeros({1});
         out = x;
         return out;
       }},
      {"reshape", [](const Tensor& x) { return x.reshape({4}); }},
      {"the same shape", [](const Tensor& x) { return x.reshape(x.shape()); }},
      {"entry", [](const Tensor& x) { return x[1]; }},
      {"rows", [](const Tensor& x) { return x.rows(0, 2); }},
      {"part", [](const Tensor& x) { return x.part(2, {2}); }},
      {"the same dtype", [](const Tensor& x) { return x.to(Dtype::f32); }},
      {"slice", [](const Tensor& x) { return slice(x, 0, 1, 2); }},
      {"a view of a view",
       [](const Tensor& x) {
         return x[1].reshape({2, 1})[0];
       }},
  };
  for (const bool as_span : {false, true}) {
    for (const auto& [name, copy] : copies) {
      INFO(name);
      Tensor x = ones({2, 2});
      MutableValues<float> values = x.mutable_values<float>();
      std::span<float> written = values;
      if (as_span) written = x.mutable_values<float>();
      const Tensor taken = copy(x), again = taken;
      std::ranges::fill(written, 7.0F);
      CHECK(x.text() == "[[7, 7], [7, 7]]");
      CHECK(max(taken).item() == 1);
      CHECK(max(again).item() == 1);
      // A copy is an ordinary tensor, which shares its elements.
      CHECK_FALSE(taken.lent());
      CHECK(share(taken, Tensor(taken)));
    }
  }
}

TEST_CASE("a loan ends with its last holder, and a std::span's never", "[tensor]") {
  Tensor x = ones({3});
  {
    const auto values = x.mutable_values<float>();
    const auto part = values.subspan(1), both = values;
    CHECK(x.lent());
    CHECK(x.unique());
    CHECK(part.size() == 2);
    CHECK(both.first(2).data() == values.data());
    CHECK(values.last(1).data() == &values[2]);
  }
  CHECK_FALSE(x.lent());
  CHECK(share(x, Tensor(x)));
  for (float& v : x.mutable_values<float>()) v = 2;
  CHECK(x.text() == "[2, 2, 2]");
  CHECK(share(x, Tensor(x)));

  auto moved = x.mutable_values<float>();
  auto held = std::move(moved);
  CHECK(x.lent());
  held = x.mutable_values<float>();
  CHECK(x.lent());

  Tensor y = ones({3});
  const std::span<float> span = y.mutable_values<float>();
  CHECK(y.lent());
  CHECK_FALSE(share(y, Tensor(y)));
  span[0] = 5;
  CHECK(y.at(0) == 5);
  // Only to be read from, and through a name, a span asks for nothing.
  const auto named = x.mutable_values<float>();
  const std::span<const float> read = named;
  const std::span<float> by_name = named;
  CHECK(read.data() == by_name.data());
}

TEST_CASE("lent elements stay where they are while their tensor is written, moved or ends", "[tensor]") {
  Tensor x = ones({3});
  auto values = x.mutable_values<float>();
  x += 1;
  CHECK(values[0] == 2);
  values[1] = 9;
  CHECK(x.text() == "[2, 9, 2]");
  CHECK(x.mutable_data<float>() == values.data());
  CHECK(x.mutable_values<float>().data() == values.data());

  // A temporary whose memory an op would take keeps it while it is lent.
  const Tensor sum = std::move(x) + 1;
  values[0] = 100;
  CHECK(sum.text() == "[3, 10, 3]");

  Tensor from = ones({3});
  auto of_moved = from.mutable_values<float>();
  Tensor to = std::move(from);
  of_moved[2] = 4;
  CHECK(to.at(2) == 4);
  const Tensor copy = to;
  of_moved[2] = 5;
  CHECK(copy.at(2) == 4);
  to = zeros({3});
  of_moved[0] = 6;  // the memory is there still
  CHECK(of_moved[0] == 6);
  CHECK(to.text() == "[0, 0, 0]");
}

TEST_CASE("elements that are shared are copied before they are lent", "[tensor]") {
  Tensor x = ones({4});
  const Tensor copy = x, view = x.reshape({2, 2});
  auto values = x.mutable_values<float>();
  values[0] = 3;
  CHECK(x.at(0) == 3);
  CHECK(copy.at(0) == 1);
  CHECK(view.at(0) == 1);
  Tensor row = view[0];
  auto of_row = row.mutable_values<float>();
  of_row[0] = 8;
  CHECK(view.at(0) == 1);
  Tensor scalar = Tensor::scalar(2);
  auto of_scalar = scalar.mutable_values<float>();
  const Tensor same = scalar;
  of_scalar[0] = 3;
  CHECK(scalar.item() == 3);
  CHECK(same.item() == 2);
  CHECK_THROWS_AS(scalar.mutable_values<double>(), DtypeError);
}

TEST_CASE("threads copy a tensor whose elements are lent", "[tensor][threads]") {
  Tensor x = ones({1000});
  auto values = x.mutable_values<float>();
  std::vector<Tensor> copies(4);
  std::vector<std::thread> threads;
  for (Tensor& copy : copies) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) copy = x;
    });
  }
  for (std::thread& thread : threads) thread.join();
  values[0] = 7;
  for (const Tensor& copy : copies) CHECK(copy.at(0) == 1);
  // The loan outlives the tensor, on another thread.
  std::thread([held = std::move(values)] { held[1] = 8; }).join();
  CHECK_FALSE(x.lent());
}

TEST_CASE("threads make and end loans of the same elements", "[tensor][threads]") {
  constexpr std::size_t count = 4;
  Tensor x = zeros({static_cast<std::int64_t>(count)});
  {
    const MutableValues<float> all = x.mutable_values<float>();
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < count; ++t) {
      threads.emplace_back([&all, t] {
        for (int i = 0; i < 20'000; ++i) all.subspan(t, 1)[0] += 1;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(x.lent());
  }
  CHECK_FALSE(x.lent());
  CHECK(identical(x, full({static_cast<std::int64_t>(count)}, 20'000)));
  const Tensor copy = x;
  CHECK(share(copy, x));
}

TEST_CASE("a tensor and the last loan of its elements may end at the same time", "[tensor][threads]") {
  for (int i = 0; i < 2'000; ++i) {
    auto x = std::make_unique<Tensor>(ones({3}));
    auto values = std::make_unique<MutableValues<float>>(x->mutable_values<float>());
    std::thread other([&x] { x.reset(); });
    values.reset();
    other.join();
    // The memory of both is free again, and whole.
    const Tensor next = full({3}, i);
    CHECK(next.unique());
    CHECK_FALSE(next.lent());
  }
}
