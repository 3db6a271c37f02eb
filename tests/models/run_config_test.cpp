#include <sstream>

#include "models/run/config.hpp"
#include "models/run/defaults.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

// The settings of training runs as TOML.

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;

TEST_CASE("a configuration is written and read back as it is", "[models][run]") {
  RunConfig config;
  config.data.text = "a \"b\"\n\\c'.txt";
  config.model.kind = "gpt";
  config.model.width = 96;
  config.model.dropout = 0.1;
  config.model.tied = false;
  config.model.cutoffs = {10, 200};
  config.training.seed = std::numeric_limits<std::int64_t>::max();
  config.training.average_decay = 0.30000000000000004;
  config.optimizer.name = "sgd";
  config.optimizer.options = {{"lr", 1e-30}, {"momentum", 0.9}};
  config.start.freeze = {"embed.*", "h.0.*"};
  const std::string text = to_toml(config);
  RunConfig read;
  merge_toml(read, text, "config");
  CHECK(to_toml(read) == text);
  CHECK(read.data.text == config.data.text);
  CHECK(read.model.width == 96);
  CHECK(read.model.tied == false);
  CHECK_FALSE(read.model.layers);
  CHECK(read.training.average_decay == 0.30000000000000004);
  CHECK(read.optimizer.options == config.optimizer.options);
  CHECK(read.start.freeze == config.start.freeze);
  CHECK(read.training.seed == config.training.seed);
}

TEST_CASE("a setting is taken by its type, with or without quotes", "[models][run]") {
  RunConfig config;
  for (const char* const one : {"model.width=64", "model.kind=gru", "data.text=true", "data.valid=\"a b\"",
                                "model.tied=true", "optimizer.lr=3", "optimizer.nesterov=true",
                                "start.freeze=embed.*,head.*", "model.cutoffs=[2, 30]", "training.clip=0.25"})
    merge_setting(config, one);
  CHECK(config.model.width == 64);
  CHECK(config.model.kind == "gru");
  CHECK(config.data.text == "true");
  CHECK(config.data.valid == "a b");
  CHECK(config.model.tied == true);
  CHECK(config.optimizer.options == std::map<std::string, double>{{"lr", 3}, {"nesterov", 1}});
  CHECK(config.start.freeze == std::vector<std::string>{"embed.*", "head.*"});
  CHECK(config.model.cutoffs == std::vector<std::int64_t>{2, 30});
  CHECK(config.training.clip == 0.25);
}

TEST_CASE("what is no setting is named with its line and the nearest name, and changes nothing",
          "[models][run]") {
  const RunConfig before;
  const auto refused = [&](const std::string& text, const auto& matcher) {
    RunConfig config;
    INFO(text.substr(0, 80));
    CHECK_THROWS_WITH(merge_toml(config, text, "my.toml"), matcher);
    CHECK(to_toml(config) == to_toml(before));
  };
  refused("[model]\nkind = \"gru\"\nwidht = 3",
          Contains("my.toml, line 3: there is no setting 'widht' in [model]; did you mean 'width'?"));
  refused("[modle]\nwidth = 3",
          Contains("line 1") && Contains("'modle'") && Contains("did you mean 'model'?"));
  refused("width = 3", Contains("the setting 'width' is no section") && Contains("training"));
  refused("[model]\nwidth = \"3\"", Contains("line 2: model.width is '3'; it must be a whole number") ||
                                        Contains("model.width is \"3\""));
  refused("[model]\nwidth = 3.5", Contains("a whole number"));
  refused("[model]\nwidth = 0", Contains("model.width is 0; it must be from 1"));
  refused("[model]\nwidth = 9223372036854775807", Contains("model.width"));
  refused("[model]\nkind = \"lsmt\"", Contains("did you mean 'lstm'?"));
  refused("[model]\ndropout = 1.0", Contains("model.dropout is 1; it must be at least 0 and below 1"));
  refused("[model]\ndropout = nan", Contains("model.dropout"));
  refused("[model]\ntied = 1", Contains("true or false"));
  refused("[model]\ncutoffs = [1, \"a\"]", Contains("a list of values of one type"));
  refused("[training]\nclip = inf", Contains("training.clip"));
  refused("[training]\nseed = -1", Contains("0 or more"));
  refused("[training]\nmatmul_precision = \"mediun\"", Contains("did you mean 'medium'?"));
  refused("[optimizer]\nname = \"adamv\"", Contains("did you mean 'adam"));
  refused("[optimizer]\nbeta3 = 1", Contains("'beta3'"));
  refused("[optimizer]\nlr = \"fast\"", Contains("optimizer.lr"));
  refused("[optimizer]\nlr = inf", Contains("optimizer.lr"));
  refused("[schedule]\nname = \"cosinus\"", Contains("did you mean 'cosine'?"));
  refused("[start]\nlora_alpha = 0", Contains("start.lora_alpha"));
  refused("[model\nwidth = 3", Contains("my.toml, line 1: it is no TOML"));
  refused(std::string("[model]\nkind = \"\xFF\""), Contains("my.toml, line 2"));
  refused(std::string(200'000, '['), Contains("my.toml"));
  refused(std::string("[data]\ntext = \"") + std::string(1, '\0') + "\"", Contains("my.toml"));
  RunConfig config;
  CHECK_THROWS_WITH(merge_setting(config, "width=3"), Contains("section.key=value"));
  CHECK_THROWS_WITH(merge_setting(config, "model.width"), Contains("section.key=value"));
  CHECK_THROWS_WITH(merge_setting(config, "model.width=wide"),
                    Contains("the setting model.width=wide: model.width is"));
}

TEST_CASE("damaged configurations are read or refused, whatever stands in them", "[models][run]") {
  RunConfig config;
  config.optimizer.options = {{"lr", 0.1}};
  const std::string whole = to_toml(config);
  const std::string special = "[]{}=\"'#.,\n\\\0\xFF-0e";
  Rng rng(3);
  int read = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string text = whole;
    for (std::uint64_t k = rng.below(4) + 1; k > 0; --k) {
      const std::size_t at = rng.below(text.size());
      if (rng.below(3) == 0) text.erase(at, rng.below(20));
      if (rng.below(3) != 0) text.insert(at, 1 + rng.below(3), special[rng.below(special.size())]);
    }
    RunConfig taken;
    try {
      merge_toml(taken, text, "my.toml");
      ++read;
    } catch (const DataError& error) {
      if (std::string_view(error.what()).find("my.toml") == std::string_view::npos) FAIL(error.what());
    }
  }
  CHECK(read > 10);
  CHECK(read < 1900);
}

TEST_CASE("a file of settings that is missing or huge is refused before it is read", "[models][run]") {
  const test::Folder folder;
  RunConfig config;
  CHECK_THROWS_WITH(merge_toml_file(config, folder.path() / "none.toml"), Contains("none.toml"));
  folder.write("huge.toml", std::string(std::size_t{2} << 20, '#'));
  CHECK_THROWS_WITH(merge_toml_file(config, folder.path() / "huge.toml"), Contains("is it the right file?"));
}

TEST_CASE("a resolved configuration has all that the kind needs, and refuses what is another's",
          "[models][run]") {
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, "a b c d\n");
  for (const NetworkKind& kind : network_kinds()) {
    INFO(kind.name);
    RunConfig config;
    config.model.kind = kind.name;
    const RunConfig all = resolved(config, kind, vocabulary, 100'000);
    CHECK(all.training.batch);
    CHECK(all.optimizer.options.contains("lr"));
    const NetworkOptions options = network_options(all, vocabulary);
    Rng rng(1);
    CHECK_NOTHROW(kind.make(rng, options));
    const Recipe usual = recipe(kind, vocabulary, 100'000);
    CHECK(options.width == usual.network.width);
    CHECK(options.dropout == usual.network.dropout);
    CHECK(all.training.epochs == usual.train.epochs);
    // Once resolved, it stays as it is.
    CHECK(to_toml(resolved(all, kind, vocabulary, 5)) == to_toml(all));
    const auto refused = [&](const std::string& setting) {
      RunConfig other = config;
      merge_setting(other, setting);
      INFO(setting);
      CHECK_THROWS_AS(resolved(other, kind, vocabulary, 100'000), ArgumentError);
    };
    if (!kind.is_transformer) refused("model.heads=2");
    if (!kind.is_transformer) refused("training.contexts=random");
    if (!kind.is_transformer) refused("training.checkpoint_layers=true");
    if (!kind.has_order) refused("model.order=3");
    if (kind.has_order) refused("model.layers=2");
    if (kind.name != "llama") refused("model.sinks=2");
    if (kind.name != "lstm" && kind.name != "gru" && kind.name != "rnn") {
      for (const char* const of_recurrent :
           {"model.weight_dropout=0.5", "model.word_dropout=0.1", "model.cutoffs=2",
            "model.output_dropout=0.1", "model.locked_dropout=true", "training.activation_penalty=2"})
        refused(of_recurrent);
    }
  }
}
