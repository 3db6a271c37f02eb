#include <nlohmann/json.hpp>

#include "models/checkpoint.hpp"
#include "models/evaluate.hpp"
#include "models/generate.hpp"
#include "models/kinds.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

// The option --quantize of the commands that use a model.

using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::json;
using gradus::test::misused;
using gradus::test::output;
using gradus::test::refused;

TEST_CASE("eval --quantize reports the rounded model beside the exact one", "[cli][quantize]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 4000).text);
  folder.write("test.txt", gradus::synthetic_corpus(2, 600).text + "zebra\n");
  for (const std::string kind : {"lstm --width 64", "gpt --width 64 --heads 2 --context 32"}) {
    output(folder, "train text.txt --out model.safetensors --updates 20 --kind " + kind);
    const auto exact = json(folder, "eval --model model.safetensors test.txt");
    CHECK_FALSE(exact.contains("quantize"));
    for (const std::string dtype : {"i8", "bf16"}) {
      for (const std::string unknown : {"kenlm", "srilm"}) {
        INFO(kind << " in " << dtype << ", " << unknown);
        const auto both = json(
            folder, "eval --model model.safetensors test.txt --quantize " + dtype + " --unknown " + unknown);
        CHECK(both.at("perplexity") ==
              exact.at(unknown == "kenlm" ? "perplexity" : "perplexity_without_unknown"));
        CHECK(both.at("quantize") == dtype);
        const double perplexity = both.at("perplexity"), rounded = both.at("quantized_perplexity");
        CHECK(rounded != perplexity);
        CHECK(both.at("quantized_rise") == Approx(rounded / perplexity - 1));
        CHECK(std::abs(rounded / perplexity - 1) < 0.01);
        const double smaller =
            both.at("quantized_bytes").get<double>() / both.at("exact_bytes").get<double>();
        CHECK(smaller < (dtype == "i8" ? 0.5 : 0.7));
      }
    }
    CHECK_THAT(output(folder, "eval --model model.safetensors test.txt --quantize i8"),
               Contains("perplexity ") && Contains("with weights of i8: perplexity ") &&
                   Contains("% beside the exact ones; "));
  }
}

TEST_CASE("score and generate --quantize use the rounded weights", "[cli][quantize]") {
  using namespace gradus;
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 4000).text);
  folder.write("line.txt", "the queen has a crown .\n");
  output(folder, "train text.txt --out model --updates 20 --kind gru --width 64");
  const models::TrainedModel exact = models::load_model(folder.path() / "model");
  const Vocabulary& v = exact.vocabulary;
  for (const auto& [name, dtype] : {std::pair("i8", Dtype::i8), std::pair("bf16", Dtype::bf16)}) {
    const models::ErasedModel rounded = models::quantized(exact.model, {.dtype = dtype}).model;
    const std::string with = std::string(" --quantize ") + name;
    std::vector<std::int32_t> line{v.line_end()};
    const std::vector<std::int32_t> words = encode(v, "the queen has a crown .\n");
    line.insert(line.end(), words.begin(), words.end());
    const double log10 = models::evaluate(rounded, line, 1).log_prob / std::log(10.0);
    const auto scored = json(folder, "score --model model line.txt" + with);
    CHECK(scored.at("log10") == Approx(log10).epsilon(1e-9));
    CHECK(scored.at("quantize") == name);
    CHECK(scored.at("log10") != json(folder, "score --model model line.txt").at("log10"));

    const models::GenerateOptions how{.max_tokens = 40, .seed = 5, .banned = {v.unknown()}};
    const auto drawn = json(folder, "generate --model model --tokens 40 --seed 5" + with);
    CHECK(drawn.at("text") == decode(v, models::generate(rounded, std::vector{v.line_end()}, how)));
    CHECK(drawn.at("quantize") == name);
  }
}

TEST_CASE("--quantize refuses what has no weights and what is no compact type", "[cli][quantize]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 2000).text);
  output(folder, "train text.txt --kind ngram --out model");
  for (const std::string command :
       {"eval --model model text.txt", "score --model model text.txt", "generate --model model"}) {
    refused(folder, command + " --quantize i8", {"model: --quantize", "an n-gram model has none"});
    for (const std::string type : {"f16", "8", "''"})
      misused(folder, command + " --quantize " + type, "{i8,bf16}");
    CHECK_THAT(output(folder, command.substr(0, command.find(' ')) + " --help"), Contains("--quantize"));
  }
  using namespace gradus;
  CHECK_THROWS_WITH(models::quantized(models::load_model(folder.path() / "model").model),
                    Contains("no network has no weights to quantize; networks are feed-forward"));
}
