#include "tests/models/language_model_battery.hpp"

#include "autograd/gradcheck.hpp"
#include "autograd/members.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "models/adapt/adapt.hpp"
#include "models/adapt/learned_counts.hpp"
#include "models/kinds.hpp"
#include "models/lines_apart.hpp"
#include "models/neural.hpp"
#include "models/ngram/ngram.hpp"
#include "models/train.hpp"
#include "models/transformers.hpp"
#include "optim/rules.hpp"
#include "tensor/support/parallel.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;
using gradus::test::language_model_battery;

namespace {

struct Sample {
  Vocabulary vocabulary;
  std::vector<std::int32_t> train, test;
};

Sample sample_text() {
  const std::string text = synthetic_corpus(3, 3000).text;
  const std::size_t cut = text.find('\n', text.size() * 9 / 10) + 1;
  Sample out;
  out.vocabulary = Vocabulary::build(Unit::word, text);
  out.train = encode(out.vocabulary, text.substr(0, cut));
  out.test = encode(out.vocabulary, text.substr(cut));
  out.train.insert(out.train.begin(), out.vocabulary.line_end());
  out.test.insert(out.test.begin(), out.vocabulary.line_end());
  return out;
}

template <class Network>
NeuralModel<Network> trained(const Sample& sample, NetworkOptions options) {
  options.vocab = sample.vocabulary.size();
  Rng rng(5);
  NeuralModel<Network> model{Network(rng, options)};
  train(model.network, sample.train, {.batch = 4, .steps = 20, .epochs = 2, .lr = 5e-3});
  return model;
}

/// Checks the gradient of what `loss` makes of the network with respect to every parameter.
template <class Network, class Loss>
GradcheckResult check_loss(const Network& network, std::uint64_t seed, bool second_order, const Loss& loss) {
  std::vector<Tensor> values;
  for_each_parameter(network, [&](const std::string&, const Parameter& parameter) {
    values.push_back(parameter.value().to(Dtype::f64));
  });
  // Larger weights than at the start, so that every path counts.
  Rng rng(seed);
  for (Tensor& value : values) value = rng.uniform(value.shape(), -0.8, 0.8, Dtype::f64);
  return gradcheck(
      [&](std::span<const Variable> inputs) {
        // The checked tensors are put where the parameters were, places included.
        Network copy = network;
        std::size_t next = 0;
        for_each_parameter(copy, [&](const std::string&, Parameter& parameter) {
          static_cast<Variable&>(parameter) = inputs[next++];
        });
        return loss(copy);
      },
      values, {.second_order = second_order});
}

const Indices ids({0, 3, 1, 2, 4, 0, 3, 3}, {4, 2}),
    targets({1, 2, 4, 0, 3, 3, 0, 1}, {4, 2});  // (time, batch)

/// Of the logits of two batches.
template <class Network>
GradcheckResult check_network(const Network& network, std::uint64_t seed) {
  return check_loss(network, seed, count_parameters(network) < 400, [](const Network& of) {
    const auto first = of(ids, of.start(2));
    const auto second = of(targets, first.second);  // the state is carried, with its gradient
    return cross_entropy(first.first, targets) + cross_entropy(second.first, ids);
  });
}

/// Of the loss of a recurrent network in training, with penalties of its activations.
template <class Network>
GradcheckResult check_penalized(const Network& network, std::uint64_t seed) {
  return check_loss(network, seed, false, [](const Network& of) {
    const auto first = of.penalized_loss(ids, targets, of.start(2), nullptr, {.size = 2, .change = 1});
    const auto second = of.penalized_loss(targets, ids, first.next, nullptr, {.size = 0.5, .change = 3});
    return first.mean + first.penalty + second.mean + second.penalty;
  });
}

}  // namespace

TEST_CASE("every n-gram model passes the battery of all language models", "[models]") {
  const Sample s = sample_text();
  const auto vocab = static_cast<std::int32_t>(s.vocabulary.size());
  for (int order = 1; order <= 5; ++order) {
    for (const std::int32_t end : {-1, s.vocabulary.line_end()}) {
      const std::string name = std::to_string(order) + (end < 0 ? "-gram" : "-gram with sentences");
      language_model_battery(
          name + ", Kneser-Ney",
          NgramModel(std::span(s.train).subspan(1), vocab, {.order = order, .sentence_end = end}), s.test,
          1e-5);
      language_model_battery(
          name + ", add-k",
          NgramModel(std::span(s.train).subspan(1), vocab,
                     {.order = order, .method = NgramMethod::add_k, .k = 0.3, .sentence_end = end}),
          s.test, 1e-5);
      language_model_battery(
          name + ", maximum likelihood",
          NgramModel(std::span(s.train).subspan(1), vocab,
                     {.order = order, .method = NgramMethod::maximum_likelihood, .sentence_end = end}),
          s.test, 1e-5);
    }
  }
}

TEST_CASE("every neural model passes the battery of all language models", "[models]") {
  const Sample s = sample_text();
  for (const NetworkKind& kind : network_kinds()) {
    for (const int order : {2, 4}) {
      Rng rng(5);
      const auto network = kind.make(rng, {.vocab = s.vocabulary.size(),
                                           .embedding = 12,
                                           .width = 16,
                                           .layers = 4 - order / 2 - 1,
                                           .dropout = 0.1,
                                           .order = order});
      network->train(s.train, {.batch = 4, .steps = 20, .epochs = 2, .lr = 5e-3});
      language_model_battery(std::string(kind.name) + " of order " + std::to_string(order), network->model(),
                             s.test, 1e-5);
    }
  }
}

TEST_CASE("recurrent networks with other outputs pass the battery of all language models", "[models]") {
  const Sample s = sample_text();
  const auto tied = trained<LstmNetwork>(s, {.embedding = 16, .width = 16, .layers = 2, .tied = true});
  language_model_battery("tied lstm", tied, s.test, 1e-5);
  const auto adaptive = trained<GruNetwork>(s, {.embedding = 12, .width = 16, .cutoffs = {5, 20}});
  language_model_battery("gru with an adaptive softmax", adaptive, s.test, 1e-5);
}

TEST_CASE("models that adapt pass the battery of all language models", "[models][adapt]") {
  const Sample s = sample_text();
  const auto lstm = trained<LstmNetwork>(s, {.embedding = 12, .width = 16});
  language_model_battery("neural cache", NeuralCache(lstm, {.weight = 0.2, .theta = 0.5, .window = 50}),
                         s.test, 1e-5);
  language_model_battery("dynamic evaluation",
                         DynamicEvaluation(lstm.network, {.lr = 1e-3, .decay = 1e-3, .steps = 5}), s.test,
                         1e-5);
  language_model_battery("learned counts", LearnedCounts(ErasedModel(lstm), {.order = 3, .strength = 1}),
                         s.test, 1e-5);
  language_model_battery("lines apart", LinesApart(ErasedModel(lstm), s.vocabulary), s.test, 1e-5);
}

TEST_CASE("transformers pass the battery of all language models", "[models]") {
  const Sample s = sample_text();
  const NetworkOptions options{.width = 16, .layers = 2, .dropout = 0.1, .heads = 2, .context = 20};
  language_model_battery("gpt", trained<GptNetwork>(s, options), s.test, 1e-5);
  language_model_battery("llama", trained<LlamaNetwork>(s, options), s.test, 1e-5);
}

TEST_CASE("every neural model samples, generates and scores in f64 as in f32", "[models]") {
  const auto check = [](const auto& narrow) {
    auto wide = narrow;
    for_each_parameter(wide.network, [](const std::string&, Parameter& parameter) {
      parameter.mutable_value() = parameter.value().to(Dtype::f64);
    });
    auto state = wide.start(), state_of_narrow = narrow.start();
    Rng rng(3);
    for (const std::int32_t token : {1, 0, 4}) {
      CHECK(draw(wide, state, {}, rng) < 6);
      state = wide.advance(state, token);
      state_of_narrow = narrow.advance(state_of_narrow, token);
      CHECK(wide.log_probs(state).dtype() == Dtype::f32);
      CHECK(log_prob(wide, state, 2) == Approx(log_prob(narrow, state_of_narrow, 2)).epsilon(1e-5));
      CHECK(top_k(wide, state, 2)[1].token == top_k(narrow, state_of_narrow, 2)[1].token);
    }
    const std::vector<std::int32_t> prompt{1, 0};
    CHECK(generate(wide, prompt, {.max_tokens = 9}) == generate(narrow, prompt, {.max_tokens = 9}));
    CHECK(generate(ErasedModel(wide), prompt, {.max_tokens = 9, .temperature = 0}).size() == 9);
    CHECK(score(wide, std::vector<std::int32_t>{0, 1, 2, 3}).size() == 3);
  };
  Rng rng(8);
  const NetworkOptions options{.vocab = 6, .embedding = 5, .width = 7, .order = 3};
  check(FeedForwardModel{FeedForwardNetwork(rng, options)});
  check(NeuralModel<LogBilinearNetwork>{LogBilinearNetwork(rng, options)});
  check(RnnModel{RnnNetwork(rng, options)});
  check(GruModel{GruNetwork(rng, options)});
  check(LstmModel{LstmNetwork(rng, options)});
  const NetworkOptions heads{.vocab = 6, .width = 8, .heads = 2, .context = 5};
  check(NeuralModel<GptNetwork>{GptNetwork(rng, heads)});
  check(NeuralModel<LlamaNetwork>{LlamaNetwork(rng, heads)});
  // What gives log-probabilities of f64 is drawn from too.
  const Tensor log_probs = log(Tensor::of({0.2, 0.5, 0.3}, Dtype::f64));
  CHECK(sample(log_probs, {.temperature = 0}, rng) == 1);
  CHECK(top_k(log_probs, 2)[1].token == 2);
}

TEST_CASE("a network that is only called is a language model too", "[models]") {
  struct Plain {
    using State = LstmNetwork::State;
    LstmNetwork inner;
    NetworkOptions options;
    explicit Plain(LstmNetwork network) : inner(std::move(network)), options(inner.options) {}
    State start(std::int64_t batch) const { return inner.start(batch); }
    std::pair<Variable, State> operator()(const Indices& x, const State& state, Rng* rng = nullptr) const {
      return inner(x, state, rng);
    }
  };
  const Sample s = sample_text();
  const LstmModel model = trained<LstmNetwork>(s, {.embedding = 12, .width = 16});
  const NeuralModel<Plain> plain{Plain(model.network)};
  language_model_battery("called", plain, s.test, 1e-5);
  CHECK(score(plain, s.test) == score(model, s.test));
}

TEST_CASE("a text is scored in pieces as in one", "[models]") {
  const Sample s = sample_text();
  std::vector<std::int32_t> text;
  while (text.size() < 1500) text.insert(text.end(), s.test.begin(), s.test.end());
  const auto check = [&](const auto& model, double slack) {
    const std::vector<double> expected = score(model, text);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{256}, std::size_t{700}}) {
      INFO("pieces of " << piece);
      std::vector<double> found;
      auto state = model.start();
      for (std::span<const std::int32_t> rest = text; !rest.empty();) {
        const auto part = rest.first(std::min(piece, rest.size()));
        const std::vector<double> scored = score(model, state, part);
        found.insert(found.end(), scored.begin(), scored.end());
        rest = rest.subspan(part.size());
      }
      REQUIRE(found.size() == expected.size() + 1);  // one for the first token, too
      for (std::size_t i = 0; i < expected.size(); ++i) CHECK(test::agree(found[i + 1], expected[i], slack));
    }
  };
  check(trained<LstmNetwork>(s, {.embedding = 12, .width = 16}), 1e-5);
  check(trained<FeedForwardNetwork>(s, {.embedding = 12, .width = 16}), 1e-5);
  check(
      NgramModel(std::span(s.train).subspan(1), static_cast<std::int32_t>(s.vocabulary.size()), {.order = 3}),
      0);
}

TEST_CASE("the loss of every network has derivatives equal to central differences", "[models][gradient]") {
  const auto check = [](const char* name, const GradcheckResult& result) {
    INFO(name << ": " << result.message);
    CHECK(result.passed);
    CHECK(result.checked > 100);
  };
  Rng rng(2);
  const NetworkOptions small{.vocab = 5, .embedding = 3, .width = 4, .layers = 2, .order = 3};
  check("feed-forward", check_network(FeedForwardNetwork(rng, small), 11));
  check("log-bilinear", check_network(LogBilinearNetwork(rng, small), 15));
  check("rnn", check_network(RnnNetwork(rng, small), 12));
  check("gru", check_network(GruNetwork(rng, {.vocab = 5, .embedding = 3, .width = 4}), 14));
  check("lstm", check_network(LstmNetwork(rng, {.vocab = 5, .embedding = 3, .width = 4}), 13));
  check("gpt",
        check_network(GptNetwork(rng, {.vocab = 5, .width = 4, .heads = 2, .context = 8, .inner = 3}), 16));
  check("llama",
        check_network(
            LlamaNetwork(
                rng,
                {.vocab = 5, .width = 4, .heads = 2, .kv_heads = 1, .context = 8, .inner = 3, .tied = false}),
            17));
  const NetworkOptions tied{.vocab = 5, .embedding = 4, .width = 4, .tied = true};
  check("tied rnn", check_network(RnnNetwork(rng, tied), 18));
  check("tied lstm", check_network(LstmNetwork(rng, tied), 19));
  check("tied gru with penalties", check_penalized(GruNetwork(rng, tied), 20));
  NetworkOptions adaptive{.vocab = 5, .embedding = 3, .width = 16, .cutoffs = {2, 4}};
  check("rnn with an adaptive softmax", check_network(RnnNetwork(rng, adaptive), 21));
  check("rnn with an adaptive softmax and penalties", check_penalized(RnnNetwork(rng, adaptive), 22));
  adaptive.document_end = 3;
  check("lstm of documents with penalties",
        check_penalized(LstmNetwork(rng, {.vocab = 5, .embedding = 3, .width = 4, .document_end = 3}), 23));
  check("rnn of documents with an adaptive softmax", check_penalized(RnnNetwork(rng, adaptive), 24));
}

TEST_CASE("a trained network has the same bits for any number of threads", "[models][threads]") {
  const Sample s = sample_text();
  const auto weights = [&]<class Network>(const NeuralModel<Network>& model) {
    std::vector<Tensor> out;
    for_each_parameter(model.network,
                       [&](const std::string&, const Parameter& p) { out.push_back(p.value()); });
    return out;
  };
  const auto check = [&](auto make) {
    set_threads(1);
    const auto alone = make();
    const std::vector<Tensor> expected = weights(alone);
    const std::vector<double> scores = score(alone, s.test);
    for (const int count : {2, 3, 8}) {
      INFO(count << " threads");
      set_threads(count);
      const auto model = make();
      const std::vector<Tensor> found = weights(model);
      for (std::size_t i = 0; i < expected.size(); ++i) CHECK(identical(found[i], expected[i]));
      CHECK(score(model, s.test) == scores);
    }
    set_threads(0);
  };
  // Wide enough that every kernel is split.
  const NetworkOptions wide{.embedding = 64, .width = 160, .dropout = 0.2, .order = 4};
  check([&] { return trained<FeedForwardNetwork>(s, wide); });
  check([&] { return trained<RnnNetwork>(s, wide); });
  check([&] { return trained<GruNetwork>(s, wide); });
  check([&] { return trained<LstmNetwork>(s, wide); });
  check([&] { return trained<GptNetwork>(s, wide); });
  check([&] { return trained<LlamaNetwork>(s, wide); });
}

TEST_CASE("training lowers the loss, and names the step and op when it is not finite", "[models]") {
  const Sample s = sample_text();
  Rng rng(1);
  LstmNetwork network(rng, {.vocab = s.vocabulary.size(), .embedding = 16, .width = 24});
  std::vector<double> losses;
  const TrainProgress done = train(network, s.train, {.batch = 4, .steps = 20, .epochs = 3, .lr = 1e-2},
                                   [&](const TrainProgress& p) { losses.push_back(p.loss); });
  CHECK(losses.size() == static_cast<std::size_t>(done.steps));
  CHECK(losses.front() == Approx(std::log(static_cast<double>(s.vocabulary.size()))).epsilon(0.02));
  CHECK(losses.back() < losses.front() - 1);

  // Fewer updates than an epoch has, more than all have, and a slow start.
  const auto updated = [&](const TrainOptions& how) {
    Rng one(1);
    LstmNetwork again(one, network.options);
    std::vector<double> seen;
    const TrainProgress end =
        train(again, s.train, how, [&](const TrainProgress& p) { seen.push_back(p.loss); });
    CHECK(end.step == end.steps);
    CHECK(end.steps == how.updates);
    CHECK(seen.size() == static_cast<std::size_t>(how.updates));
    return seen;
  };
  const std::int64_t once = done.steps / 3;
  const std::vector<double> few = updated({.batch = 4, .steps = 20, .updates = 3, .lr = 1e-2});
  CHECK(few.front() == losses.front());
  const std::vector<double> many = updated({.batch = 4, .steps = 20, .updates = 4 * once + 1, .lr = 1e-2});
  CHECK(many.back() < few.back() - 1);
  const std::vector<double> slow =
      updated({.batch = 4, .steps = 20, .updates = 4 * once + 1, .lr = 1e-2, .warmup = 2 * once});
  CHECK(slow[4] > many[4]);
  CHECK_THROWS_WITH(updates(s.train, {.updates = -1}), Catch::Contains("updates -1"));
  CHECK_THROWS_WITH(updates(s.train, {.warmup = -1}), Catch::Contains("warmup -1"));

  // The same by the optimizer and the schedule that are the default, and otherwise by others.
  Rng same(1);
  LstmNetwork other(same, network.options);
  const TrainOptions options{.batch = 4, .steps = 20, .epochs = 3, .lr = 1e-2};
  CHECK(updates(s.train, options) == done.steps);
  optim::AdamW adam({.lr = 1e-2, .weight_decay = 0});
  const optim::CosineSchedule cosine{.lr = 1e-2, .steps = done.steps, .minimum = 1e-2 * options.final_lr};
  CHECK(train(other, s.train, options, adam, cosine).loss == done.loss);
  optim::Sgd sgd({.lr = 1});
  std::vector<std::int64_t> asked;
  const TrainProgress by_sgd = train(
      other, s.train, options, sgd,
      [&](std::int64_t update) {
        asked.push_back(update);
        return 0.5 / static_cast<double>(1 + update);
      },
      [&](const TrainProgress& p) { CHECK(sgd.options().lr == 0.5 / static_cast<double>(p.step)); });
  CHECK(std::ssize(asked) == by_sgd.steps);
  CHECK(asked.front() == 0);
  CHECK(asked.back() == by_sgd.steps - 1);
  optim::Sgd other_sgd({.lr = 1});
  train(other, s.train, options, other_sgd, optim::StepSchedule{.lr = 0.1, .every = 10, .gamma = 0.5});
  CHECK(other_sgd.options().lr < 0.1);

  Tensor& weight = network.head.weight.mutable_value();
  weight.mutable_data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(train(network, s.train, {.batch = 4, .steps = 20}),
                    Catch::Contains("training step 1") && Catch::Contains("linear"));
  CHECK_THROWS_AS(train(network, std::span(s.train).first(3), {.batch = 4, .steps = 20}), DataError);
  CHECK_THROWS_AS(train(network, s.train, {.batch = 0}), ArgumentError);
}

TEST_CASE("sampling obeys its options", "[models]") {
  // Probabilities 0.5, 0.3, 0.15, 0.05.
  const Tensor logs = log(Tensor::of({0.3, 0.5, 0.05, 0.15}));
  const auto shares = [&](GenerateOptions options) {
    Rng rng(9);
    std::vector<double> out(4);
    for (int i = 0; i < 20'000; ++i)
      out[static_cast<std::size_t>(sample(logs, options, rng))] += 1 / 20'000.0;
    return out;
  };
  const auto check = [&](const char* name, GenerateOptions options, std::vector<double> expected) {
    INFO(name);
    const std::vector<double> found = shares(std::move(options));
    for (std::size_t i = 0; i < 4; ++i) {
      if (expected[i] == 0) {
        CHECK(found[i] == 0);
      } else {
        CHECK(found[i] == Approx(expected[i]).epsilon(0).margin(0.015));
      }
    }
  };
  check("plain", {}, {0.3, 0.5, 0.05, 0.15});
  check("temperature 0", {.temperature = 0}, {0, 1, 0, 0});
  check("temperature 0.5", {.temperature = 0.5},
        {0.09 / 0.365, 0.25 / 0.365, 0.0025 / 0.365, 0.0225 / 0.365});
  check("top_k", {.top_k = 2}, {0.375, 0.625, 0, 0});
  check("top_p", {.top_p = 0.9}, {0.3 / 0.95, 0.5 / 0.95, 0, 0.15 / 0.95});
  check("top_p of the likeliest", {.top_p = 0.01}, {0, 1, 0, 0});
  check("banned", {.banned = {1}}, {0.6, 0, 0.1, 0.3});
  check("min_p", {.min_p = 0.29}, {0.3 / 0.95, 0.5 / 0.95, 0, 0.15 / 0.95});
  check("min_p of the likeliest", {.min_p = 1}, {0, 1, 0, 0});
  // The entropy is 1.142 nats; -log p is 1.204, 0.693, 2.996 and 1.897.
  check("typical_p", {.typical_p = 0.25}, {1, 0, 0, 0});
  check("typical_p of two", {.typical_p = 0.35}, {0.375, 0.625, 0, 0});
  check("typical_p of three", {.typical_p = 0.9}, {0.3 / 0.95, 0.5 / 0.95, 0, 0.15 / 0.95});
  // top_k leaves 0.3 and 0.5, whose entropy is 0.662: the likelier one, at 0.47, is the more typical.
  check("typical_p behind top_k", {.top_k = 2, .typical_p = 0.5}, {0, 1, 0, 0});
  // Without a text there is nothing to penalize.
  check("repetition_penalty", {.repetition_penalty = 2}, {0.3, 0.5, 0.05, 0.15});
  Rng rng(1);
  const std::vector<std::int32_t> before{3, 1, 1};
  CHECK(sample(logs, {.repetition_penalty = 50, .temperature = 0}, rng, before) == 0);
  CHECK(sample(logs, {.repetition_penalty = 0.01, .temperature = 0}, rng, std::vector<std::int32_t>{2}) == 2);
  CHECK(sample(logs, {.repetition_penalty = 50, .repetition_window = 1, .temperature = 0}, rng,
               std::vector<std::int32_t>{1, 3}) == 1);
  CHECK(sample(logs, {.repetition_penalty = 50, .repetition_window = 0, .temperature = 0}, rng,
               std::vector<std::int32_t>(200, 1)) == 0);
  for (const GenerateOptions& wrong :
       {GenerateOptions{.min_p = -0.1}, GenerateOptions{.min_p = 1.1}, GenerateOptions{.typical_p = 0},
        GenerateOptions{.repetition_penalty = 0}, GenerateOptions{.repetition_penalty = INFINITY},
        GenerateOptions{.repetition_window = -1}, GenerateOptions{.min_p = NAN}})
    CHECK_THROWS_AS(sample(logs, wrong, rng), ArgumentError);
  CHECK_THROWS_AS(sample(logs, {.banned = {0, 1, 2, 3}}, rng), ArgumentError);
  CHECK_THROWS_AS(sample(logs, {.temperature = -1}, rng), ArgumentError);
  CHECK_THROWS_AS(sample(logs, {.top_p = 0}, rng), ArgumentError);
  CHECK_THROWS_AS(sample(Tensor::of({0, std::nan("")}), {}, rng), NumericError);
}

TEST_CASE("generation stops at the line end, and needs a prompt", "[models]") {
  const Sample s = sample_text();
  const NgramModel model(std::span(s.train).subspan(1), static_cast<std::int32_t>(s.vocabulary.size()),
                         {.order = 3});
  const std::int32_t end = s.vocabulary.line_end();
  const std::vector<std::int32_t> prompt{end};
  const auto drawn = generate(model, prompt, {.max_tokens = 1000, .stop = end, .stop_count = 3});
  CHECK(std::count(drawn.begin(), drawn.end(), end) == 3);
  CHECK(drawn.back() == end);
  CHECK_THROWS_AS(generate(model, {}, {}), ArgumentError);
  // Blank lines are not counted.
  const std::vector<std::int32_t> blank{0, 1, 1, 1, 0, 1, 1, 0, 1};
  const NgramModel blanks(blank, 2, {.order = 2});
  const auto lines =
      generate(blanks, std::vector<std::int32_t>{1}, {.max_tokens = 1000, .stop = 1, .stop_count = 20});
  std::int64_t filled = 0, ends = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ends += lines[i] == 1;
    filled += lines[i] == 1 && i > 0 && lines[i - 1] == 0;
  }
  CHECK(filled == 20);
  CHECK(ends > 20);
}

TEST_CASE("evaluation needs something to predict", "[models]") {
  const Sample s = sample_text();
  const NgramModel model(std::span(s.train).subspan(1), static_cast<std::int32_t>(s.vocabulary.size()),
                         {.order = 2});
  CHECK_THROWS_WITH(evaluate(model, std::span(s.test).first(1), 1), Catch::Contains("at least 2"));
  // Unknown tokens are counted apart, and read as context all the same.
  std::vector<std::int32_t> text(s.test.begin(), s.test.begin() + 30);
  text[10] = text[20] = s.vocabulary.unknown();
  const Evaluation e = evaluate(model, text, 100, s.vocabulary.unknown());
  CHECK(e.tokens == 29);
  CHECK(e.unknown == 2);
  const std::vector<double> scores = score(model, text);
  double known = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) known += i + 1 == 10 || i + 1 == 20 ? 0 : scores[i];
  CHECK(e.perplexity_known() == Approx(std::exp(-known / 27)));
  CHECK(e.bits_per_character() == Approx(-e.log_prob / std::log(2.0) / 100));

  Rng rng(1);
  RnnModel spoiled{RnnNetwork(rng, {.vocab = s.vocabulary.size(), .embedding = 4, .width = 4})};
  spoiled.network.head.bias.mutable_value().mutable_data<float>()[2] =
      std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(evaluate(spoiled, text, 100), Catch::Contains("token 1") && Catch::Contains("NaN"));
}
