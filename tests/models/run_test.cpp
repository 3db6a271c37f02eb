#include <cmath>
#include <cstring>

#include "models/checkpoint.hpp"
#include "models/run/defaults.hpp"
#include "models/run/folder.hpp"
#include "models/run/metrics.hpp"
#include "models/run/run.hpp"
#include "models/run/trainer.hpp"
#include "nn/weights.hpp"
#include "optim/rules.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/small_runs.hpp"
#include "text/synthetic.hpp"

// Training runs that are stopped and go on.

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;
using gradus::test::finish;
using gradus::test::Folder;
using gradus::test::network_of;
using gradus::test::read_bytes;
using gradus::test::same;
using gradus::test::small;
using gradus::test::Text;
using gradus::test::variants;

namespace {

/// The settings of a small run on a text in the folder.
RunConfig gru_of(const Folder& folder) {
  RunConfig config;
  config.data.text = folder.write("text.txt", synthetic_corpus(1, 3000).text).string();
  config.model.kind = "gru";
  config.model.width = 8;
  return config;
}

}  // namespace

TEST_CASE("a trainer goes on to the same bits from any update, with any number of threads",
          "[models][run][threads]") {
  const Text text;
  const Folder folder;
  for (const auto& [kind, settings] : variants) {
    const RunConfig config = small(kind, settings, text);
    const auto whole = network_of(config, text);
    Trainer unbroken(*whole, text.train(), text.valid(), config);
    std::vector<std::filesystem::path> files;
    while (!unbroken.done()) {
      files.push_back(folder.path() / std::to_string(files.size()));
      unbroken.state().save(files.back());
      if (unbroken.update().number % 3 == 0) unbroken.validate();
    }
    const Safetensors kept = unbroken.kept()->weights();
    for (const std::size_t at : {std::size_t{0}, std::size_t{1}, std::size_t{7}, files.size() - 1}) {
      INFO(kind << " from update " << at);
      set_threads(at == 7 ? 3 : static_cast<int>(at % 2 + 1));
      const auto again = network_of(config, text);
      Trainer resumed(*again, text.train(), text.valid(), config);
      resumed.set_state(optim::RunState::load(files[at]));
      CHECK(resumed.step() == static_cast<std::int64_t>(at));
      finish(resumed);
      CHECK(same(again->weights(), whole->weights()));
      CHECK(same(resumed.kept()->weights(), kept));
      CHECK(resumed.best_loss() == unbroken.best_loss());
      set_threads(0);
    }
  }
}

TEST_CASE("a trainer makes the updates of models::train", "[models][run]") {
  const Text text;
  for (const char* const kind : {"lstm", "gpt"}) {
    INFO(kind);
    std::vector<std::string> settings{"model.dropout=0.2", "training.updates=0", "training.epochs=2",
                                      "schedule.name=constant", "schedule.warmup=0"};
    if (kind == std::string("gpt")) settings.insert(settings.end(), {"model.heads=2", "model.context=12"});
    const RunConfig config = small(kind, settings, text);
    const auto network = network_of(config, text), other = network_of(config, text);
    Trainer trainer(*network, text.train(), {}, config);
    double last = 0;
    while (!trainer.done()) last = trainer.update().loss;
    // AdamW of models::train, whose rate falls by half a cosine unless the last is the first.
    const TrainProgress plain = other->train(
        text.train(),
        {.batch = 4, .steps = 12, .epochs = 2, .lr = config.optimizer.options.at("lr"), .final_lr = 1});
    CHECK(trainer.step() == plain.steps);
    CHECK(trainer.tokens() == plain.tokens);
    CHECK(last > 0);
    CHECK(same(network->weights(), other->weights()));
  }
}

TEST_CASE("gradients of several batches add up to that of all their tokens", "[models][run]") {
  const Text text;
  const std::vector<std::string> settings{
      "training.precision=f64", "optimizer.name=sgd", "optimizer.lr=1", "training.clip=0",
      "schedule.name=constant", "training.updates=1", "model.heads=2",  "model.context=12",
      "model.layers=1",         "model.dropout=0"};
  std::vector<std::string> halves = settings;
  halves.emplace_back("training.accumulate=2");
  const RunConfig in_two = small("gpt", halves, text);
  const auto accumulated = network_of(in_two, text);
  Trainer trainer(*accumulated, text.train(), {}, in_two);
  const Update update = trainer.update();
  CHECK(update.tokens == 2 * 4 * 12);
  // By hand, at the weights of before.
  const auto by_hand = network_of(in_two, text);
  const Batches streams(text.train(), {.batch = 4, .steps = 12}, "text");
  const ParameterView view = by_hand->parameter_view();
  Gradients sum;
  double loss = 0;
  for (int i = 0; i < 2; ++i) {
    Tape tape;
    const ErasedLoss of = by_hand->loss(streams[i], by_hand->start(4), nullptr);
    loss += of.mean.item() / 2;
    Gradients gradients = tape.backward(of.mean);
    gradients *= 0.5;
    if (i == 0) {
      sum = std::move(gradients);
    } else {
      sum += gradients;
    }
  }
  optim::Sgd({.lr = 1}).step(view, sum);
  CHECK(update.loss == Approx(loss).epsilon(1e-12));
  CHECK(same(accumulated->weights(), by_hand->weights()));
}

TEST_CASE("a validation loss is the mean over the text by the network's own cross entropy", "[models][run]") {
  const Text text;
  const RunConfig config = small("lstm", {"model.dropout=0.5", "training.precision=f64"}, text);
  const auto network = network_of(config, text);
  const std::span<const std::int32_t> few = text.valid().first(40);  // too short for more than one stream
  Trainer trainer(*network, text.train(), few, config);
  const ErasedModel model = network->model();
  double total = 0;
  for (const double log_prob : score(model, few)) total -= log_prob;
  const Validation seen = trainer.validate();
  CHECK(seen.loss == Approx(total / 39).epsilon(1e-6));
  CHECK(seen.best);
}

TEST_CASE("training ends early when validation gets no better, and a plateau lowers the rate",
          "[models][run]") {
  const Text text;
  const RunConfig config = small("rnn",
                                 {"training.updates=100", "training.patience=2", "schedule.name=plateau",
                                  "optimizer.name=sgd", "optimizer.lr=1e-30", "schedule.factor=0.5"},
                                 text);
  const auto network = network_of(config, text);
  Trainer trainer(*network, text.train(), text.valid(), config);
  // Steps this small change no weight, so that no evaluation is better than the first.
  CHECK(trainer.update().lr == 1e-30);
  CHECK(trainer.validate().best);
  CHECK(trainer.update().lr == 1e-30);
  CHECK_FALSE(trainer.validate().best);
  CHECK_FALSE(trainer.done());
  CHECK(trainer.update().lr == 0.5e-30);
  CHECK(trainer.validate().stopped);
  CHECK(trainer.done());
}

TEST_CASE("metrics are JSON lines and TensorBoard's records", "[models][run]") {
  CHECK(events::crc32c("123456789") == 0xE3069283U);  // RFC 3720, B.4 has more
  CHECK(events::crc32c(std::string(32, '\0')) == 0x8A9136AAU);
  const MetricsLine line{300, {{"loss", 1.5}, {"nan", std::nan("")}}};
  CHECK(json_line(line) == R"({"step":300,"loss":1.5,"nan":null})");
  // Worked out by hand from the definitions of tensorflow.Event and Summary.
  const std::string record = events::scalars(2.0, {300, {{"loss", 1.5}}});
  const std::string event("\x09\0\0\0\0\0\0\0\x40\x10\xAC\x02\x2A\x0D\x0A\x0B\x0A\x04loss\x15\0\0\xC0\x3F",
                          27);
  REQUIRE(record.size() == 8 + 4 + event.size() + 4);
  CHECK(record.substr(0, 8) == std::string("\x1B\0\0\0\0\0\0\0", 8));
  CHECK(record.substr(12, event.size()) == event);
  const auto masked = [](std::string_view bytes) {
    const std::uint32_t crc = events::crc32c(bytes);
    return (crc >> 15 | crc << 17) + 0xA282EAD8U;
  };
  std::uint32_t stored = 0;
  std::memcpy(&stored, record.data() + 8, 4);
  CHECK(stored == masked(record.substr(0, 8)));
  std::memcpy(&stored, record.data() + 12 + event.size(), 4);
  CHECK(stored == masked(event));
}

TEST_CASE("metrics go on behind the step of a resumed run, without what a killed one had begun",
          "[models][run]") {
  const Folder folder;
  const auto none = [](const std::string& line) { FAIL(line); };
  {
    MetricsFiles files(folder.path(), 0, none);
    for (std::int64_t step = 1; step <= 5; ++step) files.add({step, {{"loss", 1.0}}});
  }
  const std::string whole = read_bytes(folder.path() / "metrics.jsonl");
  std::ofstream(folder.path() / "metrics.jsonl", std::ios::app) << "{\"step\":6,\"lo";
  {
    MetricsFiles files(folder.path(), 3, none);
    files.add({4, {{"loss", 2.0}}});
  }
  CHECK(read_bytes(folder.path() / "metrics.jsonl") ==
        whole.substr(0, whole.find("{\"step\":4")) + "{\"step\":4,\"loss\":2.0}\n");
  // A line that was cut short by a full disk costs no other one.
  folder.write("metrics.jsonl", "{\"step\":1,\"loss\":1.0}\n{\"step\":2,\"lo\n{\"step\":3,\"loss\":3.0}\n");
  CHECK(read_metrics(folder.path()).size() == 2);
  { const MetricsFiles files(folder.path(), 3, none); }
  CHECK(read_bytes(folder.path() / "metrics.jsonl") ==
        "{\"step\":1,\"loss\":1.0}\n{\"step\":3,\"loss\":3.0}\n");
}

TEST_CASE("a run in a folder keeps all, is refused to be begun twice, and loads as a model",
          "[models][run]") {
  const Folder folder;
  const auto text = folder.write("text.txt", synthetic_corpus(1, 3000).text);
  RunConfig config;
  config.data.text = text.string();
  config.model.kind = "gru";
  config.model.width = 8;
  config.training.epochs = 1;
  config.training.steps = 8;
  const auto run = folder.path() / "run";
  std::vector<std::string> said;
  const auto say = [&](const std::string& line) { said.push_back(line); };
  const RunResult done = train_run(config, {.folder = run, .say = say, .warn = say});
  CHECK(done.best_loss);
  CHECK(done.progress.step == done.progress.steps);
  CHECK(said.size() >= 10);
  for (const char* const name :
       {"config.toml", "vocabulary.txt", "model.safetensors", "metrics.jsonl", "log.txt"}) {
    INFO(name);
    CHECK(std::filesystem::file_size(run / name) > 0);
  }
  CHECK_THROWS_WITH(train_run(config, {.folder = run}),
                    Contains("a run in this folder already") && Contains("--resume"));
  const TrainedModel loaded = load_model(run);
  CHECK(loaded.kind == "gru");
  CHECK(loaded.vocabulary == done.vocabulary);
  CHECK(same(load_network(run).network->weights(), done.network->weights()));
  // What is over stays so.
  const RunResult again = train_run({}, {.folder = run, .resume = true});
  CHECK(again.best_loss == done.best_loss);
  CHECK(same(again.network->weights(), done.network->weights()));
  // Another text is no continuation.
  folder.write("text.txt", synthetic_corpus(2, 3000).text);
  CHECK_THROWS_WITH(train_run({}, {.folder = run, .resume = true}), Contains("made of another text than"));
  // Two processes may not train in it.
  folder.write("text.txt", synthetic_corpus(1, 3000).text);
  const RunFolder held = RunFolder::open(run);
  CHECK_THROWS_WITH(train_run({}, {.folder = run, .resume = true}),
                    Contains("another process trains in this folder"));
  CHECK_THROWS_WITH(RunFolder::open(folder.path()), Contains("there is no run in it"));
}

TEST_CASE("a run that is resumed and stopped at once keeps the best model of before", "[models][run]") {
  const Folder folder;
  RunConfig config = gru_of(folder);
  config.training.updates = 60;
  config.training.evaluate_every = 10;
  config.training.save_every = 1;
  const auto run = folder.path() / "run";
  std::int64_t updates = 0;
  const auto stop_after = [&](std::int64_t count) {
    updates = count;
    return [&] { return --updates <= 0; };
  };
  CHECK(train_run(config, {.folder = run, .stop = stop_after(15)}).interrupted);
  const std::string best = read_bytes(run / "model.safetensors");
  const RunResult again = train_run({}, {.folder = run, .resume = true, .stop = stop_after(2)});
  CHECK(again.interrupted);
  CHECK(again.progress.step == 17);
  CHECK(read_bytes(run / "model.safetensors") == best);
  CHECK(same(again.network->weights(), load_network(run).network->weights()));
}

TEST_CASE("no checkpoint is newer than a best model that could not be written", "[models][run]") {
  const Folder folder;
  RunConfig config = gru_of(folder);
  config.training.updates = 12;
  config.training.evaluate_every = 2;
  config.training.save_every = 1;
  const auto whole = folder.path() / "whole", run = folder.path() / "run";
  train_run(config, {.folder = whole});
  std::vector<std::string> warnings;
  // In the way of the model's file, from the third update on, stands a folder.
  const auto block = [&](const RunProgress& p) {
    if (p.step != 3) return;
    std::filesystem::remove(run / "model.safetensors");
    std::filesystem::create_directories(run / "model.safetensors" / "in the way");
  };
  CHECK_THROWS_WITH(train_run(config, {.folder = run,
                                       .progress = block,
                                       .warn = [&](const std::string& line) { warnings.push_back(line); }}),
                    Contains("could not be saved"));
  REQUIRE_FALSE(warnings.empty());
  CHECK_THAT(warnings.front(), Contains("update 4: the best model was not saved"));
  const auto newest = RunFolder::open(run).newest_checkpoint([](const std::string& line) { FAIL(line); });
  CHECK(newest->state.get<std::int64_t>("step") == 3);
  std::filesystem::remove_all(run / "model.safetensors");
  train_run({}, {.folder = run, .resume = true});
  CHECK(read_bytes(run / "model.safetensors") == read_bytes(whole / "model.safetensors"));
}

TEST_CASE("a model that ends documents does so when it is trained on", "[models][run]") {
  const Folder folder;
  RunConfig config = gru_of(folder);
  config.data.document_end = ".";
  config.training.updates = 2;
  const RunResult first = train_run(config, {.folder = folder.path() / "first"});
  const std::int64_t end = first.vocabulary.id(".");
  REQUIRE(first.network->options().document_end == end);
  RunConfig on;
  on.data.text = config.data.text;
  on.start.from = (folder.path() / "first").string();
  on.training.updates = 2;
  const RunResult next = train_run(on, {.folder = folder.path() / "next"});
  CHECK(next.network->options().document_end == end);
  CHECK(next.config.data.document_end == ".");
  on.data.document_end = "the";
  CHECK_THROWS_WITH(train_run(on, {.folder = folder.path() / "other"}),
                    Contains("data.document_end is the, but") && Contains("has ., which stays"));
}

TEST_CASE("a damaged checkpoint is told from a whole one, and the one before it is used", "[models][run]") {
  const Folder folder;
  const Text text;
  const RunConfig config = small("gru", {}, text);
  const auto network = network_of(config, text);
  Trainer trainer(*network, text.train(), text.valid(), config);
  const RunFolder run = RunFolder::create(folder.path() / "run");
  run.save_checkpoint(trainer.state(), 1, 2);
  trainer.update();
  run.save_checkpoint(trainer.state(), 2, 2);
  trainer.update();
  run.save_checkpoint(trainer.state(), 3, 2);
  const auto files = folder.path() / "run" / "checkpoints";
  CHECK(std::distance(std::filesystem::directory_iterator(files), {}) == 2);
  const auto newest = files / "step-0000000003.safetensors";
  const std::string whole = read_bytes(newest);
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& line) { warnings.push_back(line); };
  CHECK(run.newest_checkpoint(warn)->file == newest);
  CHECK(warnings.empty());
  Rng rng(5);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = whole;
    const std::size_t at = i < 20 ? static_cast<std::size_t>(i) : rng.below(whole.size());
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << rng.below(8)));
    if (i % 10 == 9) damaged.resize(at);
    std::ofstream(newest, std::ios::binary) << damaged;
    warnings.clear();
    const auto loaded = run.newest_checkpoint(warn);
    INFO("byte " << at << " of " << whole.size());
    REQUIRE(loaded);
    if (loaded->file == newest) {  // a space of the header, or the name of the checksum
      CHECK(loaded->state.get<std::int64_t>("step") == 2);
      CHECK(same(loaded->state.tensors("weights"), trainer.state().tensors("weights")));
    } else {
      CHECK(warnings.size() == 1);
      CHECK_THAT(warnings.front(),
                 Contains("step-0000000003") && Contains("the checkpoint before it is tried"));
      CHECK(loaded->state.get<std::int64_t>("step") == 1);
    }
  }
  std::ofstream(files / "step-0000000002.safetensors", std::ios::binary) << "x";
  std::ofstream(newest, std::ios::binary) << "";
  CHECK_THROWS_WITH(run.newest_checkpoint(warn), Contains("none of its 2 checkpoints is whole"));
}
