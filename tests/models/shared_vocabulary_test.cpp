#include "models/shared_vocabulary.hpp"

#include <cmath>
#include <limits>

#include "models/interpolate.hpp"
#include "models/ngram/ngram.hpp"
#include "tests/models/language_model_battery.hpp"
#include "tests/support/catch.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;

namespace {

struct Words {
  Vocabulary vocabulary;
  NgramModel model;

  explicit Words(const std::string& text)
      : vocabulary(Vocabulary::build(Unit::word, text)),
        model(encode(vocabulary, text), static_cast<std::int32_t>(vocabulary.size()),
              {.order = 3, .sentence_end = vocabulary.line_end()}) {}
};

const std::string few_text = "a b\nb a\na b <unk>\n", more_text = "d a b c\nd c b a\nc c\n";

}  // namespace

TEST_CASE("the union of vocabularies holds each symbol once", "[interpolate]") {
  const Words few(few_text), more(more_text);
  const std::vector<Vocabulary> both{few.vocabulary, more.vocabulary};
  const Vocabulary all = union_of(both);
  CHECK(all.size() == 6);
  CHECK(all.unknown() == 0);
  for (const char* word : {"a", "b", "c", "d", "</s>"}) CHECK(all.contains(word));
  CHECK(union_of(std::span(both).first(1)).size() == few.vocabulary.size());
  CHECK_THROWS_AS(union_of({}), ArgumentError);
  const std::vector<Vocabulary> units{few.vocabulary, Vocabulary::build(Unit::character, "ab")};
  CHECK_THROWS_AS(union_of(units), ArgumentError);
}

TEST_CASE("a widened model shares what is unknown to it, and still sums to one", "[interpolate]") {
  const Words few(few_text), more(more_text);
  const Vocabulary all = union_of(std::vector<Vocabulary>{few.vocabulary, more.vocabulary});
  const WidenedModel wide(ErasedModel(few.model), few.vocabulary, all);
  CHECK(wide.unlisted() == 2);
  const std::vector<std::int32_t> text = encode(all, "a c b\nzebra d a\nb b a c\n");
  test::language_model_battery("widened", wide, text, 1e-5);

  const Tensor log_probs = wide.log_probs(wide.advance(wide.start(), all.line_end()));
  const Tensor own = few.model.log_probs(few.model.advance(few.model.start(), few.vocabulary.line_end()));
  for (const char* word : {"a", "b", "</s>"})
    CHECK(log_probs.at(all.id(word)) == own.at(few.vocabulary.id(word)));
  for (const char* word : {"c", "d", "<unk>"})
    CHECK(log_probs.at(all.id(word)) == Approx(own.at(0) - std::log(3.0)));

  // Over its own vocabulary, whatever the order of the ids, it is the model itself.
  const WidenedModel same(ErasedModel(few.model), few.vocabulary, few.vocabulary);
  const std::vector<std::int32_t> own_text = encode(few.vocabulary, few_text);
  CHECK(score(same, own_text) == score(few.model, own_text));
  CHECK_THROWS_AS(WidenedModel(ErasedModel(more.model), more.vocabulary, few.vocabulary), ArgumentError);
  CHECK_THROWS_AS(WidenedModel(ErasedModel(few.model), more.vocabulary, all), ArgumentError);
  CHECK_THROWS_AS(wide.advance(wide.start(), 6), ArgumentError);
}

TEST_CASE("models of different vocabularies are mixed in every way", "[interpolate]") {
  const Words few(few_text), more(more_text);
  const Vocabulary all = union_of(std::vector<Vocabulary>{few.vocabulary, more.vocabulary});
  const ErasedModel wide_few(WidenedModel(ErasedModel(few.model), few.vocabulary, all)),
      wide_more(WidenedModel(ErasedModel(more.model), more.vocabulary, all));
  const std::vector<std::int32_t> text = encode(all, "a c b\nzebra d a\nb b a c\na b\nc d d\n");
  test::language_model_battery("widened and erased", wide_few, text, 1e-5);
  const ModelSet models({wide_few, wide_more});
  test::language_model_battery("linear over different vocabularies", LinearInterpolation(models, {0.4, 0.6}),
                               text, 1e-5);
  test::language_model_battery("log-linear over different vocabularies",
                               LogLinearInterpolation(models, {0.4, 0.6}), text, 1e-5);
  CHECK(fit_log_linear(models, text, {.epochs = 2}).weights.size() == 2);
  // Both generate, behind one type too.
  const std::span<const std::int32_t> prompt = std::span(text).first(2);
  const GenerateOptions how{.max_tokens = 20, .temperature = 0.8, .top_k = 4};
  const LinearInterpolation sum(models, {0.4, 0.6});
  const LogLinearInterpolation product(models, {0.4, 0.6});
  CHECK(generate(sum, prompt, how).size() == 20);
  CHECK(generate(product, prompt, how).size() == 20);
  CHECK(generate(ErasedModel(sum), prompt, how) == generate(sum, prompt, how));
  CHECK(generate(ErasedModel(product), prompt, how) == generate(product, prompt, how));
  CHECK(generate(wide_few, prompt, how).size() == 20);
  // A mixture of mixtures.
  const ErasedModel inner(LinearInterpolation(models, {0.4, 0.6}));
  test::language_model_battery("nested", LinearInterpolation(ModelSet({inner, wide_few}), {0.5, 0.5}), text,
                               1e-5);
  CHECK_THROWS_WITH(wide_few.advance(ErasedModel(few.model).start(), 1),
                    Catch::Contains("state of another kind of model"));
}

TEST_CASE("where unknown words end the context, what follows is predicted from nothing before",
          "[interpolate]") {
  const Words few(few_text);
  const UnknownEndsContext model(few.model, 0);
  const std::vector<std::int32_t> text = encode(few.vocabulary, "a b zebra b a\nb a\n");
  test::language_model_battery("unknown ends context", model, text, 1e-5);
  const std::vector<std::int32_t> line = encode(few.vocabulary, "a zebra b a");
  const std::vector<double> scored = score(model, line);
  const std::int32_t a = line[0], b = line[2];
  CHECK(scored[1] == few.model.log_prob(few.model.context({}), b));
  CHECK(scored[2] == few.model.log_prob(few.model.context({b}), a));
  CHECK(scored[1] != score(few.model, line)[1]);
}

TEST_CASE("log-probabilities are mixed as an interpolation mixes them", "[interpolate]") {
  const double none = -std::numeric_limits<double>::infinity();
  const std::vector<std::vector<double>> each{{std::log(0.5), none, -2000},
                                              {std::log(0.1), std::log(0.4), -2001}};
  const std::vector<double> mixed = mix_log_probs(each, std::vector<double>{0.25, 0.75});
  CHECK(mixed[0] == Approx(std::log(0.2)));
  CHECK(mixed[1] == Approx(std::log(0.3)));
  CHECK(mixed[2] == Approx(-2000 + std::log(0.25 + 0.75 * std::exp(-1.0))));
  CHECK_THROWS_AS(mix_log_probs(each, std::vector<double>{1}), ArgumentError);
  CHECK_THROWS_AS(mix_log_probs(std::vector<std::vector<double>>{}, std::vector<double>{}), ArgumentError);
}
