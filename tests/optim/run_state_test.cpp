#include "optim/run_state.hpp"

#include <limits>

#include "optim/schedule.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "text/loader.hpp"

using namespace gradus;
using Catch::Contains;
using optim::RunState;

TEST_CASE("sets of tensors, numbers and states come back to the bit from one file", "[optim][run_state]") {
  const test::Folder folder;
  const auto file = folder.path() / "run";
  RunState run;
  Safetensors weights;
  weights.tensors.emplace("head.weight", Tensor::of({1.5, -0.0}));
  weights.metadata.emplace("made.by", "a test");
  run.put("model", weights);
  run.put("nothing", Safetensors());
  run.put("step", std::int64_t{1} << 62);
  run.put("seed", std::numeric_limits<std::uint64_t>::max());
  run.put("loss", 0.1);
  run.put("worst", -std::numeric_limits<double>::infinity());
  run.put("done", true);
  run.put("losses", std::vector<double>{0.1, 1e-300, 3});
  run.put("rng", Rng::State{~std::uint64_t{0}, 2, 3});
  run.put("stopping", optim::EarlyStopping::State{1.0 / 3, 7});
  run.put("plateau", optim::PlateauSchedule::State{0.1, 0.2, 3, 4});
  run.put("batches", LoaderState{2, 5});
  run.put("step", 41);  // the later one stands
  run.put("sets", 1);
  run.put("changed", Rng::State{});
  run.put("changed", 5.5);
  run.put("turned", 5.5);
  run.put("turned", weights);
  run.save(file);

  const RunState read = RunState::load(file);
  CHECK(identical(read.tensors("model").tensors.at("head.weight"), Tensor::of({1.5, -0.0})));
  CHECK(read.tensors("model").metadata == weights.metadata);
  CHECK(read.tensors("nothing").tensors.empty());
  CHECK(read.get<std::int64_t>("step") == 41);
  CHECK(read.get<std::uint64_t>("seed") == std::numeric_limits<std::uint64_t>::max());
  CHECK(read.get<double>("loss") == 0.1);
  CHECK(read.get<double>("worst") == -std::numeric_limits<double>::infinity());
  CHECK(read.get<bool>("done"));
  CHECK(read.numbers("losses") == std::vector<double>{0.1, 1e-300, 3});
  CHECK(read.get<Rng::State>("rng") == Rng::State{~std::uint64_t{0}, 2, 3});
  CHECK(read.get<optim::EarlyStopping::State>("stopping").best == 1.0 / 3);
  CHECK(read.get<optim::EarlyStopping::State>("stopping").bad == 7);
  CHECK(read.get<optim::PlateauSchedule::State>("plateau").cooling == 4);
  CHECK(read.get<LoaderState>("batches") == LoaderState{2, 5});
  CHECK(read.get<int>("sets") == 1);
  CHECK(read.get<double>("changed") == 5.5);
  CHECK_THROWS_AS(read.get<Rng::State>("changed"), DataError);
  CHECK(read.tensors("turned").metadata == weights.metadata);
  CHECK_THROWS_AS(read.get<double>("turned"), DataError);
  CHECK(read.contains("rng"));
  CHECK(read.contains("nothing"));
  CHECK_FALSE(read.contains("rn"));
}

TEST_CASE("what is not in a run's state is an error that lists what is", "[optim][run_state]") {
  const test::Folder folder;
  const auto file = folder.path() / "run";
  RunState run;
  run.put("model", Safetensors());
  run.put("step", -3);
  run.put("rng", Rng::State{});
  run.save(file);
  const RunState read = RunState::load(file);
  CHECK_THROWS_WITH(read.tensors("optimizer"),
                    Contains(file.string()) && Contains("no optimizer in it") &&
                        Contains("model, rng.counter, rng.seed, rng.stream, step"));
  CHECK_THROWS_WITH(read.get<optim::EarlyStopping::State>("rng"), Contains("no rng.best"));
  CHECK_THROWS_WITH(read.get<std::uint64_t>("step"), Contains("step is \"-3\""));
  CHECK_THROWS_WITH(read.numbers("model"), Contains("model is no list of numbers"));
  run.put("step", 300);
  CHECK(run.get<std::uint16_t>("step") == 300);
  CHECK_THROWS_AS(run.get<std::int8_t>("step"), DataError);
  CHECK_THROWS_AS(run.put("", 1), ArgumentError);
  CHECK_THROWS_AS(run.put("a.b", Safetensors()), ArgumentError);
  CHECK_THROWS_AS(RunState().get<double>("x"), DataError);

  save_safetensors(folder.path() / "weights", {{{"w", zeros({2})}}, {}});
  CHECK_THROWS_WITH(RunState::load(folder.path() / "weights"), Contains("weights: it is no state of a run"));
  save_safetensors(folder.path() / "odd", {{{"w", zeros({2})}}, {{".sets", "model"}}});
  CHECK_THROWS_WITH(RunState::load(folder.path() / "odd"), Contains("w stands outside of all sets"));
}

TEST_CASE("names of a run's state may begin alike and have spaces", "[optim][run_state]") {
  const test::Folder folder;
  const auto file = folder.path() / "run";
  RunState run;
  Safetensors weights;
  weights.tensors.emplace("w", Tensor::of({1, 2}));
  weights.metadata.emplace("seed", "of the weights");
  run.put("my model", weights);
  run.put("my other", Safetensors());
  run.put("model", 3);
  run.put("my", Rng::State{1, 2, 3});
  run.put("my-2", 1);
  run.save(file);
  const RunState read = RunState::load(file);
  CHECK(identical(read.tensors("my model").tensors.at("w"), Tensor::of({1, 2})));
  CHECK(read.tensors("my model").metadata == weights.metadata);
  CHECK(read.tensors("my other").tensors.empty());
  CHECK(read.get<int>("model") == 3);
  CHECK(read.get<Rng::State>("my") == Rng::State{1, 2, 3});
  CHECK(read.contains("my"));
  CHECK_FALSE(read.contains("m"));
}

TEST_CASE("a run's state says what is of another kind, no number or cut short", "[optim][run_state]") {
  const test::Folder folder;
  RunState run;
  run.put("model", Safetensors());
  run.put("loss", 1e300);
  CHECK_THROWS_WITH(run.tensors("loss"), Contains("loss is of another kind"));
  CHECK_THROWS_WITH(run.get<int>("model"), Contains("model is of another kind"));
  CHECK_THROWS_WITH(run.get<float>("loss"), Contains("loss is \"1e+300\""));
  run.put("loss", std::numeric_limits<double>::infinity());
  CHECK(run.get<float>("loss") == std::numeric_limits<float>::infinity());
  save_safetensors(folder.path() / "odd", {{}, {{".sets", ""}, {"step", "1x"}}});
  CHECK_THROWS_WITH(RunState::load(folder.path() / "odd").get<int>("step"), Contains("step is \"1x\""));
  run.save(folder.path() / "run");
  std::filesystem::resize_file(folder.path() / "run", 30);
  CHECK_THROWS_AS(RunState::load(folder.path() / "run"), DataError);
}
