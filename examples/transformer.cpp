// A small GPT: trained on a text, with its weights quantized, and kept in Hugging Face's files.
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "gradus.hpp"

using namespace gradus;

int main() {
  const std::string text = synthetic_corpus(1, 40'000).text;
  const auto bpe = std::make_shared<const Bpe>(Bpe::train(text, {.size = 400}));
  const Vocabulary vocab = Vocabulary::of(bpe);
  const std::vector<std::int32_t> tokens = encode(vocab, text);
  const std::span<const std::int32_t> train_part = std::span(tokens).first(tokens.size() * 9 / 10),
                                      test_part = std::span(tokens).subspan(train_part.size());
  Rng rng(1);
  models::GptNetwork network(rng,
                             {.vocab = vocab.size(), .width = 64, .layers = 2, .heads = 4, .context = 32});
  models::train(network, train_part, {.batch = 16, .steps = 32, .updates = 300, .lr = 5e-3, .warmup = 20});
  {
    const MatmulPrecisionScope precision(MatmulPrecision::medium);  // until the end of the block
    models::train(network, train_part, {.batch = 16, .steps = 32, .updates = 100, .lr = 1e-3});
  }

  const models::NeuralModel<models::GptNetwork> model{network};
  const models::QuantizedPerplexity both = models::quantized_perplexity(model, test_part);
  std::printf("perplexity %.2f, with weights of 8 bits %.2f\n", both.exact, both.quantized);

  nn::quantize(network);  // 8 bits and a scale a row; {.dtype = Dtype::bf16} for bfloat16
  const models::NeuralModel<models::GptNetwork> small{network};
  const std::vector<std::int32_t> prompt = encode(vocab, "\nthe");
  std::printf("the%s\n", decode(vocab, models::generate(small, prompt, {.max_tokens = 20})).c_str());

  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "gradus-transformer-example";
  models::save_pretrained(folder, model.network);
  bpe->save_json(folder / "tokenizer.json");
  const models::TrainedModel read = models::load_model(folder);
  const bool same = models::score(read.model, test_part) == models::score(model, test_part);
  std::printf("a %s of %lld symbols, the same scores: %s\n", read.kind.c_str(),
              static_cast<long long>(read.vocabulary.size()), same ? "yes" : "no");
  std::filesystem::remove_all(folder);
  return same && both.exact < 12 && std::abs(both.rise()) < 0.01 ? 0 : 1;
}
