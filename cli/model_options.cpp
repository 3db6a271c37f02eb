#include "cli/model_options.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "cli/text_blocks.hpp"
#include "models/ngram/ngram.hpp"
#include "text/text_check.hpp"

namespace gradus::cli {

void ModelOptions::add_to(CLI::App* command) {
  self = command;
  command
      ->add_option(
          "--model", model,
          "A model that `gradus train` or `gradus ngram` wrote, an ARPA file, or a folder with Hugging "
          "Face's files of a GPT-2 or Llama")
      ->required();
  command
      ->add_option("--quantize", quantize,
                   "Round a network's weights to 8 bits and a scale a row (i8) or to bfloat16 (bf16), which "
                   "take less memory and are read faster; eval reports the exact model beside it")
      ->check(CLI::IsMember({"i8", "bf16"}))
      ->default_str("");
  add_json(command, json);
}

void ModelOptions::run_with_team(FunctionRef<void(models::Team&)> work) const {
  run_together(*self, [&](const std::shared_ptr<models::Team>& team) {
    if (!team->alone() && is_standard_input(model))
      misuse("--model {}: one process alone can read the standard input; name a file", model);
    work(*team);
  });
}

models::TrainedModel ModelOptions::load() const {
  models::TrainedModel trained = models::load_model(model);
  if (!quantize.empty()) trained.model = quantized(trained).model;
  return trained;
}

models::QuantizedModel ModelOptions::quantized(const models::TrainedModel& trained) const {
  if (trained.model.get_if<models::NgramModel>() != nullptr) {
    fail<DataError>(
        "{}: --quantize rounds the weights of networks, and an n-gram model has none; `gradus ngram export "
        "--layout compact --quantize 8` makes a smaller one of it",
        model);
  }
  return models::quantized(trained.model, {.dtype = quantize == "bf16" ? Dtype::bf16 : Dtype::i8});
}

std::vector<std::int32_t> ids_before(const Vocabulary& v, const std::string& text, bool skip_marks) {
  std::string read = text;
  require_marks_of_words(skip_marks, v.unit());
  if (skip_marks) blank_sentence_marks(read);
  std::vector<std::string> unknown;
  std::vector<std::int32_t> ids = prompt_ids(v, read, &unknown);
  for (std::string& symbol : unknown) symbol = "'" + symbol + "'";
  if (!unknown.empty())
    warn("the model does not know {} of the prompt and reads <unk> instead", fmt::join(unknown, ", "));
  return ids;
}

}  // namespace gradus::cli
