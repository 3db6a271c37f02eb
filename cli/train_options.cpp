#include "cli/train_options.hpp"

#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/kinds.hpp"
#include "models/run/text.hpp"
#include "optim/any_optimizer.hpp"

namespace gradus::cli {

void TrainOptions::apply_to(models::RunConfig& configuration) const {
  if (!config.empty()) models::merge_toml_file(configuration, config);
  try {
    for (const auto* const list : {&settings, &flags}) {
      for (const std::string& setting : *list) models::merge_setting(configuration, setting);
    }
  } catch (const DataError& error) {
    misuse("{}", error.what());
  }
}

namespace {

/// An option that does not apply to the kind is an error.
void check_kind(const TrainOptions& o, const std::string& kind) {
  const models::NetworkKind* const network = models::find_network_kind(kind);
  const auto refuse = [&](const CLI::Option* option, const char* whose) {
    if (given(option)) misuse("{} is of {}, and --kind is {}", option->get_name(), whose, kind);
  };
  if (network == nullptr) {
    for (const CLI::Option* const option : o.of_networks) refuse(option, "networks");
  } else if (network->has_order) {
    refuse(o.layers, "recurrent networks and transformers");
    refuse(o.document_end, "recurrent networks and transformers");
  } else {
    refuse(o.order, "n-grams and of networks that see the last few tokens only");
  }
  if (network == nullptr || !network->is_transformer) {
    for (const CLI::Option* const option : o.of_transformers) refuse(option, "transformers");
  }
  if (kind != "llama") refuse(o.sinks, "Llama, which reads on past its context");
}

}  // namespace

void TrainOptions::check(const models::RunConfig& c) const {
  check_kind(*this, c.model.kind);
  // Of a file's epochs and a flag's updates the flag holds, since updates stand in place of epochs.
  if (given(epochs) && given(updates) && c.training.updates.value_or(0) > 0 && c.training.epochs)
    misuse("--epochs and --updates both say how long to train; give one");
  const std::string& chosen = c.data.unit;
  const bool has_tokenizer = !c.data.tokenizer.empty();
  if (given(min_count) && chosen == "byte") misuse("--min-count: no byte is unknown among bytes");
  if (has_tokenizer && given(unit) && chosen != "bpe")
    misuse("--tokenizer cuts a text into subwords, and --unit is {}", chosen);
  if (given(subwords) && (chosen != "bpe" || has_tokenizer))
    misuse("--subwords is how many to learn with --unit bpe");
  if (given(min_count) && has_tokenizer) misuse("--min-count: a tokenizer's subwords are given");
  require_marks_of_words(c.data.skip_marks, models::unit_of(c.data));
}

namespace {

/// Adds flags that are short for settings.
class Flags {
 public:
  Flags(CLI::App* command, std::shared_ptr<TrainOptions> options)
      : command_(command), options_(std::move(options)) {}

  CLI::Option* add(const std::string& flag, const std::string& setting, const std::string& about) const {
    return command_->add_option_function<std::string>(
        flag,
        [options = options_, setting](const std::string& value) {
          options->flags.push_back(fmt::format("{}={}", setting, value));
        },
        about);
  }
  /// Of which 0 means that it is chosen by the kind or the size of the text, as if it were not given.
  CLI::Option* add_or_zero(const std::string& flag, const std::string& setting,
                           const std::string& about) const {
    return command_->add_option_function<std::string>(
        flag,
        [options = options_, setting](const std::string& value) {
          if (value.find_first_not_of("0.") != value.npos)
            options->flags.push_back(fmt::format("{}={}", setting, value));
        },
        about);
  }
  const std::shared_ptr<TrainOptions>& options() const { return options_; }
  CLI::Option* of_networks(CLI::Option* option) const {
    options_->of_networks.push_back(option);
    return option;
  }
  CLI::Option* of_transformers(CLI::Option* option) const {
    options_->of_transformers.push_back(option);
    return option;
  }

 private:
  CLI::App* command_;
  std::shared_ptr<TrainOptions> options_;
};

void add_text_flags(const Flags& f, TrainOptions& o) {
  f.of_networks(f.add("--valid", "data.valid",
                      "A text to validate on; otherwise the last twentieth of the text is split off"));
  f.of_networks(f.add("--valid-share", "data.valid_share",
                      "The share of the text that is split off for validation; 0: none")
                    ->check(share_below_one()));
  o.unit = f.add("--unit", "data.unit", "What a token is")->check(all_units());
  o.subwords =
      f.add("--subwords", "data.subwords",
            "How many subwords to learn with --unit bpe, the 256 bytes among them; a short text gives fewer")
          ->check(CLI::Range(256, 1 << 24));
  f.add("--tokenizer", "data.tokenizer",
        "Use the subwords of a tokenizer that others made, which the model's file keeps: a tokenizer.json, a "
        ".model of "
        "SentencePiece, or a folder with GPT-2's files");
  o.min_count = f.add("--min-count", "data.min_count",
                      "Words seen less often become <unk>; pairs of subwords seen less often are not joined")
                    ->check(CLI::Range(1, 1 << 30));
  o.document_end = f.of_networks(f.add("--document-end", "data.document_end",
                                       "A token that separates documents, such as </s>, which ends lines of "
                                       "words, or \\n among characters: each is read "
                                       "from there on as if it were alone"));
}

void add_model_flags(const Flags& f, TrainOptions& o, const CLI::Range& sizes) {
  std::vector<std::string> kinds{"ngram"};
  for (const models::NetworkKind& kind : models::network_kinds()) kinds.emplace_back(kind.name);
  f.add("--kind", "model.kind", "The kind of model")->check(CLI::IsMember(kinds));
  o.order = f.add("--order", "model.order",
                  "Tokens of an n-gram; for a network that sees only the last few tokens, those and the next")
                ->check(CLI::Range(1, 20));
  f.of_networks(f.add_or_zero("--width", "model.width", "Hidden units; 0: chosen by the kind")->check(sizes));
  o.layers = f.of_networks(
      f.add_or_zero("--layers", "model.layers", "Layers; 0: chosen by the kind")->check(CLI::Range(0, 1024)));
  f.of_transformers(f.add_or_zero("--heads", "model.heads",
                                  "Heads of attention, a divisor of --width; 0: chosen by the kind")
                        ->check(sizes));
  f.of_transformers(f.add_or_zero("--context", "model.context",
                                  "Tokens that a transformer sees at once; 0: chosen by the kind")
                        ->check(sizes));
  o.sinks =
      f.add(
           "--sinks", "model.sinks",
           "First tokens of a text that a Llama still sees when it reads on past its context, which they are "
           "part of")
          ->check(sizes);
  f.of_networks(f.add("--dropout", "model.dropout",
                      "The share of activations that training sets to 0; chosen by the kind")
                    ->check(share_below_one()));
}

void add_training_flags(CLI::App* command, const Flags& f, TrainOptions& o, const CLI::Range& sizes) {
  o.epochs = f.of_networks(f.add_or_zero("--epochs", "training.epochs",
                                         "How often a network reads the text; 0: chosen by its size")
                               ->check(CLI::Range(0, 100000)));
  o.updates =
      f.of_networks(f.add_or_zero("--updates", "training.updates",
                                  "How many updates to train for, in place of whole epochs; 0: by --epochs")
                        ->check(CLI::Range(0, 1 << 30)));
  f.of_networks(
      f.add_or_zero("--batch", "training.batch",
                    "Texts that are read side by side, the streams that the text is cut into; 0: chosen by "
                    "its size")
          ->check(sizes));
  f.of_networks(
      f.add_or_zero("--steps", "training.steps",
                    "Tokens of each between two updates, the reach of backpropagation; 0: chosen by the kind")
          ->check(sizes));
  f.of_networks(f.add_or_zero("--lr", "optimizer.lr", "The largest learning rate; 0: chosen by the kind")
                    ->check(zero_or_more()));
  f.of_networks(f.add("--optimizer", "optimizer.name", "The optimizer; adamw where nothing is said")
                    ->check(CLI::IsMember(optim::optimizer_names())));
  f.of_networks(
      f.add("--patience", "training.patience",
            "Ends training after so many looks at the validation text in a row without a best; 0: never")
          ->check(CLI::Range(0, 1 << 20)));
  f.of_networks(f.add("--seed", "training.seed", "Seed of the initial weights, of dropout and of contexts")
                    ->check(CLI::Range(std::int64_t{0}, std::numeric_limits<std::int64_t>::max())));
  f.of_networks(f.add(
      "--from", "start.from",
      "A trained model to begin with, which keeps its tokens and sizes: a file, the folder of a run, or "
      "one with Hugging Face's files"));
  command->add_flag_callback(
      "--extend", [options = f.options()] { options->flags.emplace_back("start.extend=true"); },
      "With --from: add the words or characters of the text that the model lacks to its own");
  f.of_networks(
      f.add("--freeze", "start.freeze",
            "Parameters that stay as they are, such as embed.* or h.0.*,h.1.*, with commas between"));
  f.of_networks(f.add("--lora-rank", "start.lora_rank",
                      "Train adapters of this rank on the linear layers, and nothing else")
                    ->check(sizes));
}

}  // namespace

void add_train_options(CLI::App* command, const std::shared_ptr<TrainOptions>& options) {
  const Flags flags(command, options);
  const CLI::Range sizes(0, 65536);
  command->add_option("--config", options->config,
                      "A TOML file of settings (recipes/ has some); --print-config prints all of them");
  command
      ->add_option("--set", options->settings,
                   "One setting, such as --set model.weight_dropout=0.5; may be given several times")
      ->allow_extra_args(false)
      ->default_str("");
  add_model_flags(flags, *options, sizes);
  add_text_flags(flags, *options);
  add_training_flags(command, flags, *options, sizes);
  command->add_flag_callback(
      "--skip-marks", [options] { options->flags.emplace_back("data.skip_marks=true"); },
      "Read the words <s> and </s> in a text as spaces; without it they are refused");
}

}  // namespace gradus::cli
