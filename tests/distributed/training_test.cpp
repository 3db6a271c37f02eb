#include "distributed/run_ranks.hpp"
#include "models/run/trainer.hpp"
#include "optim/any_optimizer.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/distributed/world.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/small_runs.hpp"

// Each process trains alone too, and compares.

using namespace gradus;
using namespace gradus::models;
using gradus::test::finish;
using gradus::test::network_of;
using gradus::test::same;
using gradus::test::small;
using gradus::test::Text;
using gradus::test::variants;
using gradus::test::world;

namespace {

std::vector<std::string> with(std::vector<std::string> settings, std::initializer_list<const char*> more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

/// The states of two trainers, of which all processes ask together.
void check_same_state(const Trainer& a, const Trainer& b) {
  const optim::RunState x = a.state(), y = b.state();
  for (const char* part : {"weights", "optimizer", "average", "carried"}) {
    INFO(part);
    CHECK(same(x.tensors(part), y.tensors(part)));
  }
  CHECK(x.get<Rng::State>("contexts") == y.get<Rng::State>("contexts"));
}

}  // namespace

TEST_CASE("a network that several processes train has the bits of one process", "[training]") {
  const Text text;
  distributed::RunRanks ranks(world());
  for (std::size_t i = 0; i < 2 * variants.size(); ++i) {
    const auto& [kind, settings] = variants[i / 2];
    const char* const sharded =
        i % 2 == 0 ? "training.shard_optimizer=false" : "training.shard_optimizer=true";
    INFO(kind << " in " << ranks.size() << " processes, " << sharded);
    const RunConfig config =
        small(kind, with(settings, {"training.pieces=4", "training.batch=8", sharded}), text);
    const auto alone = network_of(config, text), shared = network_of(config, text);
    Trainer one(*alone, text.train(), text.valid(), config);
    Trainer several(*shared, text.train(), text.valid(), config, &ranks);
    while (!one.done()) {
      const Update a = one.update({.part_norms = true}), b = several.update({.part_norms = ranks.leads()});
      CHECK(a.loss == b.loss);
      CHECK(a.gradient_norm == b.gradient_norm);
      if (ranks.leads()) CHECK(a.part_norms == b.part_norms);
      CHECK(std::ssize(b.seconds) == ranks.size());
      if (a.number % 3 == 0) CHECK(one.validate().loss == several.validate().loss);
    }
    CHECK(several.done());
    CHECK(same(alone->weights(), shared->weights()));
    // Rank 0 saves, and 1 where that is gone.
    if (several.shards() && !ranks.leads()) {
      several.give_state();
    } else if (ranks.rank() < 2) {
      check_same_state(several, one);
    }
  }
}

TEST_CASE("every optimizer gives the same bits, also where its state is shared out", "[training]") {
  const Text text;
  distributed::RunRanks ranks(world());
  for (const std::string& name : optim::optimizer_names()) {
    for (const char* sharded : {"training.shard_optimizer=false", "training.shard_optimizer=true"}) {
      INFO(name << ", " << sharded);
      const std::string optimizer = "optimizer.name=" + name;
      const RunConfig config = small("lstm",
                                     {"training.pieces=4", "training.batch=8", "training.updates=6",
                                      "training.clip=0.1", "model.layers=2", optimizer, sharded},
                                     text);
      const auto alone = network_of(config, text), shared = network_of(config, text);
      Trainer one(*alone, text.train(), {}, config);
      Trainer several(*shared, text.train(), {}, config, &ranks);
      while (!one.done()) CHECK(one.update().gradient_norm == several.update().gradient_norm);
      CHECK(same(alone->weights(), shared->weights()));
      if (!ranks.leads()) {
        if (several.shards()) CHECK_THROWS_AS(several.state(), ArgumentError);  // when it has given its own
        continue;
      }
      const optim::RunState state = several.state();
      CHECK(same(state.tensors("optimizer"), one.state().tensors("optimizer")));
    }
  }
}

TEST_CASE("a run goes on in another number of processes, to the same bits", "[training]") {
  const Text text;
  distributed::RunRanks ranks(world());
  for (const char* sharded : {"training.shard_optimizer=false", "training.shard_optimizer=true"}) {
    for (const char* kind : {"lstm", "gpt"}) {
      INFO(kind << ", " << sharded);
      const RunConfig config = small(
          kind,
          {"training.pieces=4", "training.batch=8", "model.dropout=0.2", "training.average=mean", sharded},
          text);
      const auto whole = network_of(config, text);
      Trainer unbroken(*whole, text.train(), text.valid(), config);
      for (int i = 0; i < 5; ++i) unbroken.update();
      const gradus::test::Folder folder;
      const auto file = folder.path() / "state";
      unbroken.state().save(file);
      finish(unbroken);
      // From one process to several.
      const auto shared = network_of(config, text);
      Trainer several(*shared, text.train(), text.valid(), config, &ranks);
      several.set_state(optim::RunState::load(file));
      for (int i = 0; i < 3; ++i) several.update();
      if (!ranks.leads()) several.give_state();
      const optim::RunState state = ranks.leads() ? several.state() : optim::RunState();
      // And back, from what rank 0 would save.
      if (ranks.rank() == 0) {
        const auto again = network_of(config, text);
        Trainer one(*again, text.train(), text.valid(), config);
        state.save(file);
        one.set_state(optim::RunState::load(file));
        const auto reference = network_of(config, text);
        Trainer from_start(*reference, text.train(), text.valid(), config);
        for (int i = 0; i < 8; ++i) from_start.update();
        CHECK(same(again->weights(), reference->weights()));
        CHECK(same(one.state().tensors("carried"), from_start.state().tensors("carried")));
        for (int i = 0; i < 3; ++i) CHECK(one.update().loss == from_start.update().loss);
      }
      while (!several.done()) {
        if (several.update().number % 3 == 0) several.validate();
      }
      CHECK(same(shared->weights(), whole->weights()));
    }
  }
}

TEST_CASE("what one process asks for, all hear; a number of processes that does not fit is refused",
          "[training]") {
  const Text text;
  distributed::RunRanks ranks(world());
  const RunConfig config = small("rnn", {"training.pieces=4", "training.batch=8"}, text);
  const auto network = network_of(config, text);
  Trainer trainer(*network, text.train(), {}, config, &ranks);
  Update seen = trainer.update();
  CHECK_FALSE(seen.stop);
  CHECK_FALSE(seen.save);
  const bool last = ranks.rank() == ranks.size() - 1;
  seen = trainer.update({.stop = last, .save = ranks.rank() == 0});
  CHECK(seen.stop);
  CHECK(seen.save);
  if (ranks.size() == 4) {
    const RunConfig few = small("rnn", {"training.pieces=2", "training.batch=8"}, text);
    CHECK_THROWS_WITH(Trainer(*network, text.train(), {}, few, &ranks),
                      "4 processes cannot share training.pieces 2 evenly; start a divisor of it");
  }
}

TEST_CASE("a loss of no use in one process ends the update in all, and leaves all as it was", "[training]") {
  const Text text;
  distributed::RunRanks ranks(world());
  const RunConfig config =
      small("lstm", {"training.pieces=4", "training.batch=8", "training.updates=6"}, text);
  const auto network = network_of(config, text);
  Trainer trainer(*network, text.train(), {}, config, &ranks);
  trainer.update();
  const bool knows_all = ranks.rank() < 2;  // of the states that are carried on
  const optim::RunState before = knows_all ? trainer.state() : optim::RunState();
  // The weights of the last process alone.
  const Safetensors weights = network->weights();
  if (ranks.rank() == ranks.size() - 1) {
    const ParameterView view = network->parameter_view();
    view.parts().back().second->mutable_value() = full(view.parts().back().second->shape(), std::nan(""));
  }
  try {
    trainer.update();
    FAIL("no error");
  } catch (const NumericError& error) {
    const std::string what = error.what();
    INFO(what);
    CHECK(what.find("step 2") != what.npos);
    if (ranks.rank() != ranks.size() - 1)
      CHECK(what.find("rank " + std::to_string(ranks.size() - 1)) != what.npos);
  }
  network->set_weights(weights, "the weights of before");
  if (knows_all) {
    const optim::RunState after = trainer.state();
    CHECK(same(after.tensors("carried"), before.tensors("carried")));
    CHECK(after.get<std::int64_t>("batch") == before.get<std::int64_t>("batch"));
  } else {
    CHECK_THROWS_AS(trainer.state(), ArgumentError);
  }
  CHECK(trainer.update().number == 2);
}

TEST_CASE("a gradient that is not finite is named alike in all processes, whoever owns it", "[training]") {
  const Text text;
  distributed::RunRanks ranks(world());
  for (const char* sharded : {"training.shard_optimizer=false", "training.shard_optimizer=true"}) {
    INFO(sharded);
    const RunConfig config =
        small("lstm", {"training.pieces=4", "training.batch=8", "training.clip=1", sharded}, text);
    // The loss is finite, as the states are 0; the gradient of the recurrent weights is not.
    const auto spoiled = [&] {
      auto network = network_of(config, text);
      const ParameterView view = network->parameter_view();
      for (const auto& [path, parameter] : view.parts()) {
        Tensor& value = parameter->mutable_value();
        const bool head = path.find("head") != path.npos && value.rank() == 2;
        value = full(value.shape(), path.find("embed") != path.npos ? 1e8 : 0.0);
        float* const at = value.mutable_data<float>();
        for (std::int64_t i = 0; head && i < value.size(); ++i)
          at[i] = i / value.dim(1) % 2 == 0 ? 3e38F : -3e38F;
      }
      return network;
    };
    const auto what_of = [&](models::RunRanks* with) {
      const auto network = spoiled();
      const Safetensors before = network->weights();
      Trainer trainer(*network, text.train(), {}, config, with);
      std::string what;
      try {
        trainer.update();
      } catch (const NumericError& error) {
        what = error.what();
      }
      CHECK_FALSE(trainer.torn());
      CHECK(same(network->weights(), before));
      return what;
    };
    const std::string alone = what_of(nullptr);
    INFO(alone);
    CHECK(alone.find("recurrent") != alone.npos);
    CHECK(what_of(&ranks) == alone);
  }
}
