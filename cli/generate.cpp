#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "cli/usage.hpp"
#include "models/beam.hpp"
#include "models/generate.hpp"
#include "models/team.hpp"
#include "models/text_model.hpp"
#include "text/byte_source.hpp"
#include "text/decoded_text.hpp"
#include "text/escapes.hpp"
#include "text/load.hpp"
#include "text/tokenizer.hpp"

// The commands that ask a model what comes next: generate, next.
namespace gradus::cli {

namespace {

using models::TrainedModel;

/// A continuation of a prompt.
struct Continuation {
  std::vector<std::int32_t> tokens;
  std::string text;
};

using Prompts = std::vector<std::vector<std::int32_t>>;

void put_tokens(models::Team::Bytes& to, std::span<const std::int32_t> tokens) {
  models::put(to, std::uint64_t{tokens.size()});
  models::put(to, tokens);
}

Prompts get_all_tokens(std::span<const std::byte> bytes) {
  Prompts out;
  for (models::TeamReader reader(bytes); !reader.at_end();) {
    out.emplace_back(reader.get<std::uint64_t>());
    reader.get(std::span(out.back()));
  }
  return out;
}

struct GenerateCommand : ModelOptions {
  std::string prompt, prompts, regex, words;
  std::vector<std::string> stops;
  models::GenerateOptions how;
  models::BeamOptions search;
  std::int64_t lines = 0, count = 1;
  bool allow_unknown = false, skip_marks = false, interactive = false, log_probs = false;
  CLI::Option *lines_given = nullptr, *tokens_given = nullptr, *prompt_given = nullptr,
              *beams_given = nullptr, *penalty_given = nullptr;
  std::vector<const CLI::Option*> of_drawing;  // those that a search by beams has no use for

  void run();
  void run_in(models::Team& team);
  void check() const;
  void limit_texts(const TrainedModel& trained);
  std::vector<std::string> all_prompts(const Vocabulary& v) const;
  std::vector<std::string> listed_words() const;
  void warn_of_incomplete(std::span<const Continuation> texts) const;
  std::string before(const Vocabulary& v, const std::string& read, const std::string& text) const;
  std::vector<std::vector<std::int32_t>> tokens_of(const TrainedModel& trained, const Prompts& starts,
                                                   std::size_t begin, std::size_t end) const;
  std::vector<Continuation> written(const TrainedModel& trained, std::span<const std::string> read,
                                    models::Team& team) const;
  void print(const TrainedModel& trained, std::span<const std::string> read,
             std::span<const Continuation> texts, std::int64_t each) const;
  nlohmann::json described(const TrainedModel& trained, const std::string& read,
                           const Continuation& text) const;
  void answer_lines(const TrainedModel& trained, models::Team& team);
  void stream(const TrainedModel& trained, const std::string& read, models::Team& team);
};

void GenerateCommand::check() const {
  if (!prompts.empty() && given(prompt_given))
    misuse("--prompt and --prompts both say what to continue; give one");
  if (interactive && (!prompts.empty() || given(prompt_given)))
    misuse("--interactive continues the lines of standard input; leave out --prompt and --prompts");
  if (is_standard_input(model) && (interactive || is_standard_input(prompts)))
    misuse("standard input can be the model or the prompts, not both");
  if (std::ranges::find(stops, "") != stops.end()) misuse("--stop: give a text that is not empty");
  if (!regex.empty() && !words.empty()) misuse("--regex and --words both say what may be written; give one");
  if (!regex.empty() && given(lines_given))
    misuse("--lines ends a text at a line end, and --regex says itself where one may end");
  if (log_probs && !json) misuse("--log-probs is part of what --json prints; give both");
  if (!given(beams_given)) {
    if (given(penalty_given)) misuse("--length-penalty is of --beams");
    return;
  }
  for (const CLI::Option* const option : of_drawing) {
    if (given(option)) misuse("{} is of drawing, and --beams draws nothing", option->get_name());
  }
  if (count > search.beams)
    misuse("--count {} of --beams {}: a search finds one text a beam", count, search.beams);
}

/// Which tokens are not drawn, and where a text ends.
void GenerateCommand::limit_texts(const TrainedModel& trained) {
  const Vocabulary& v = trained.vocabulary;
  how.banned = ids_without_text(trained, allow_unknown);
  // What is given is the limit; otherwise there are both.
  constexpr std::int64_t usual_lines = 5, usual_tokens = 100, tokens_a_line = 1000;
  if (!given(lines_given) && !given(tokens_given) && regex.empty()) lines = usual_lines;
  if (!given(tokens_given)) how.max_tokens = given(lines_given) ? lines * tokens_a_line : usual_tokens;
  if (lines > 0) {
    how.stop = v.line_end();
    how.stop_count = lines;
    for (std::int32_t id = 0; id < v.size() && v.subwords() != nullptr; ++id) {
      if (v.symbol(id).find('\n') != std::string::npos) how.other_stops.push_back(id);
    }
  }
  if (!regex.empty())
    how.constraint = constrained(trained, models::TextAutomaton::of_expression(regex), allow_unknown);
  if (!words.empty())
    how.constraint = constrained(trained, models::TextAutomaton::of_words(listed_words()), allow_unknown);
  if (!stops.empty()) {
    how.until = [&v, this](std::span<const std::int32_t> text) { return ends_with_stop(v, text, stops); };
  }
}

/// The words of --words, which spaces and line ends separate.
std::vector<std::string> GenerateCommand::listed_words() const {
  std::vector<std::string> out;
  std::istringstream all(load_text(words, {.unit = Unit::word}));
  for (std::string word; all >> word;) out.push_back(std::move(word));
  return out;
}

/// Says so where a text that should match an expression does not.
void GenerateCommand::warn_of_incomplete(std::span<const Continuation> texts) const {
  if (regex.empty()) return;
  const auto incomplete = std::ranges::count_if(
      texts, [&](const Continuation& text) { return !how.constraint->after(text.tokens)->complete; });
  if (incomplete == 0) return;
  warn(
      "{} of the texts written, {} in all, {} not match --regex: cut off after {} tokens (--tokens sets the "
      "limit), or the model has no token for what would have to follow",
      incomplete, texts.size(), incomplete == 1 ? "does" : "do", how.max_tokens);
}

/// The prompt that is given, or those of a file, one a line.
std::vector<std::string> GenerateCommand::all_prompts(const Vocabulary& v) const {
  if (prompts.empty()) return {prompt};
  const std::string loaded = load_text(prompts, {.unit = v.unit(), .skip_marks = skip_marks});
  std::vector<std::string> out;
  for (std::size_t from = 0; from < loaded.size();) {
    const std::size_t end = std::min(loaded.find('\n', from), loaded.size());
    out.push_back(loaded.substr(from, end - from));
    from = end + 1;
  }
  return out;
}

/// What is printed before a continuation: the prompt, and a space where a word follows a word.
std::string GenerateCommand::before(const Vocabulary& v, const std::string& read,
                                    const std::string& text) const {
  const bool goes_on = v.unit() == Unit::word && !read.empty() && !read.ends_with('\n');
  return goes_on && !text.starts_with('\n') ? read + ' ' : read;
}

/// Some of the continuations, by their numbers; a search finds all of a prompt at once.
std::vector<std::vector<std::int32_t>> GenerateCommand::tokens_of(const TrainedModel& trained,
                                                                  const Prompts& starts, std::size_t begin,
                                                                  std::size_t end) const {
  const auto each = static_cast<std::size_t>(count);
  std::vector<std::vector<std::int32_t>> out;
  for (std::size_t at = begin; at < end;) {
    // Whole prompts together, so that they are written side by side.
    const std::size_t which = at / each;
    const bool whole = at % each == 0 && end - at >= each;
    const std::size_t prompts_now = whole ? (end - at) / each : 1;
    const std::size_t of_each = whole ? each : std::min(each - at % each, end - at);
    models::GenerateOptions options = how;
    options.stream += at;
    std::vector<std::vector<std::int32_t>> texts = models::generate(
        trained.model, std::span<const std::vector<std::int32_t>>(starts).subspan(which, prompts_now),
        options, static_cast<std::int64_t>(of_each));
    std::move(texts.begin(), texts.end(), std::back_inserter(out));
    at += prompts_now * of_each;
  }
  return out;
}

/// All continuations of the prompts, those of one behind each other, at the first member of a team. Each
/// member writes some of them.
std::vector<Continuation> GenerateCommand::written(const TrainedModel& trained,
                                                   std::span<const std::string> read,
                                                   models::Team& team) const {
  const Vocabulary& v = trained.vocabulary;
  Prompts starts, texts;
  models::Team::Bytes packed;
  for (const std::string& one : read) put_tokens(packed, ids_before(v, one, skip_marks));
  starts = get_all_tokens(team.broadcast(packed));
  const bool search_them = given(beams_given);
  const std::size_t total = search_them ? starts.size() : starts.size() * static_cast<std::size_t>(count);
  const auto share = [&](int r) {
    return total * static_cast<std::size_t>(r) / static_cast<std::size_t>(team.size());
  };
  const std::size_t begin = share(team.rank()), end = share(team.rank() + 1);
  if (search_them) {
    for (std::size_t i = begin; i < end; ++i) {
      std::vector<models::BeamText> found = models::beam_search(trained.model, starts[i], how, search);
      found.resize(std::min(found.size(), static_cast<std::size_t>(count)));
      for (models::BeamText& text : found) texts.push_back(std::move(text.tokens));
    }
  } else if (total == 1) {
    if (begin < end) texts.push_back(models::generate(trained.model, starts.front(), how));
  } else {
    texts = tokens_of(trained, starts, begin, end);
  }
  packed.clear();
  for (const std::vector<std::int32_t>& tokens : texts) put_tokens(packed, tokens);
  std::vector<Continuation> out;
  for (const models::Team::Bytes& of_member : team.collect(packed)) {
    for (std::vector<std::int32_t>& tokens : get_all_tokens(of_member)) {
      std::string text = without_stop(decode(v, tokens), stops);
      out.push_back({std::move(tokens), std::move(text)});
    }
  }
  if (team.leads()) warn_of_incomplete(out);
  return out;
}

nlohmann::json GenerateCommand::described(const TrainedModel& trained, const std::string& read,
                                          const Continuation& text) const {
  const Vocabulary& v = trained.vocabulary;
  nlohmann::json out{
      {"prompt", read}, {"text", text.text}, {"tokens", text.tokens.size()}, {"seed", how.seed}};
  if (!quantize.empty()) out["quantize"] = quantize;
  if (!log_probs) return out;
  auto state = models::advance(trained.model, trained.model.start(),
                               std::span<const std::int32_t>(ids_before(v, read, skip_marks)));
  const std::vector<double> scores = models::score(trained.model, state, text.tokens);
  nlohmann::json all = nlohmann::json::array();
  double total = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    all.push_back({{"token", decode(v, std::span(text.tokens).subspan(i, 1))}, {"log_prob", scores[i]}});
    total += scores[i];
  }
  out["log_prob"] = total;
  out["log_probs"] = std::move(all);
  return out;
}

void GenerateCommand::print(const TrainedModel& trained, std::span<const std::string> read,
                            std::span<const Continuation> texts, std::int64_t each) const {
  nlohmann::json all = nlohmann::json::array();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string& start = read[i / static_cast<std::size_t>(each)];
    if (json) {
      all.push_back(described(trained, start, texts[i]));
      continue;
    }
    const std::string& text = texts[i].text;
    if (texts.size() > 1) fmt::print("{}--- {} of {}\n", i == 0 ? "" : "\n", i + 1, texts.size());
    fmt::print("{}{}{}", before(trained.vocabulary, start, text), text, text.ends_with('\n') ? "" : "\n");
  }
  if (json) fmt::print("{}\n", json_text(texts.size() == 1 ? all.front() : all, interactive ? -1 : 2));
}

/// Each line of standard input is continued before the next is read.
void GenerateCommand::answer_lines(const TrainedModel& trained, models::Team& team) {
  for (std::string line; std::getline(std::cin, line); how.stream += static_cast<std::uint64_t>(count)) {
    const std::vector<std::string> read{line};
    print(trained, read, written(trained, read, team), count);
    std::fflush(stdout);
  }
}

void GenerateCommand::run() {
  run_with_team([this](models::Team& team) { run_in(team); });
}

void GenerateCommand::run_in(models::Team& team) {
  check();
  const bool plain = count == 1 && !json && !given(beams_given);
  const bool shared = !interactive && !(plain && prompts.empty());
  if (!shared && !team.leads()) return;
  const TrainedModel trained = load();
  limit_texts(trained);
  models::Team one;
  if (interactive) return answer_lines(trained, one);
  const std::vector<std::string> read =
      team.leads() ? all_prompts(trained.vocabulary) : std::vector<std::string>();
  if (plain && read.size() == 1 && (team.alone() || !shared)) return stream(trained, read.front(), one);
  const std::vector<Continuation> texts = written(trained, read, team);
  if (!team.leads()) return;
  print(trained, read, texts, count);
}

/// Shows the one text as it is written.
void GenerateCommand::stream(const TrainedModel& trained, const std::string& read, models::Team& team) {
  const Vocabulary& v = trained.vocabulary;
  bool begun = false;
  StreamedText shown(v, stops, [&](std::string_view piece) {
    if (!begun) fmt::print("{}", before(v, read, std::string(piece)));
    begun = true;
    fmt::print("{}", piece);
    std::fflush(stdout);
  });
  how.until = [&shown, stopped = how.until](std::span<const std::int32_t> tokens) {
    const bool ends = stopped && stopped(tokens);
    if (!ends) shown.add(tokens);  // the last token may go on behind the stop
    return ends;
  };
  const std::vector<Continuation> texts = written(trained, std::span(&read, 1), team);
  const std::string& text = texts.front().text;
  shown.finish(text);
  if (!text.ends_with('\n')) fmt::print("\n");
}

struct NextCommand : ModelOptions {
  std::string context;
  std::int64_t top = 10;
  bool skip_marks = false;

  void run() const;
};

void NextCommand::run() const {
  const TrainedModel trained = load();
  const Vocabulary& v = trained.vocabulary;
  const std::vector<std::int32_t> ids = ids_before(v, context, skip_marks);
  const auto state =
      models::advance(trained.model, trained.model.start(), std::span<const std::int32_t>(ids));
  const std::int64_t count = top == 0 ? trained.model.vocab_size() : top;
  nlohmann::json all = nlohmann::json::array();
  for (const models::Candidate& candidate : models::top_k(trained.model, state, count)) {
    const std::string symbol = symbol_of(v, candidate.token);
    const double probability = std::exp(static_cast<double>(candidate.log_prob));
    if (json) {
      all.push_back({{"token", symbol},
                     {"id", candidate.token},
                     {"probability", probability},
                     {"log_prob", candidate.log_prob}});
    } else {
      fmt::print("{:.6f}\t{}\n", probability, escaped(symbol));
    }
  }
  if (json) fmt::print("{}\n", json_text({{"context", context}, {"next", all}}));
}

}  // namespace

void add_generate(CLI::App& app) {
  const auto [c, options] = subcommand<GenerateCommand>(
      app, "generate", &GenerateCommand::run, "Generate text by drawing from a model",
      "Examples:\n  gradus generate --model book.safetensors --prompt 'Once upon' --temperature 0.8\n"
      "  gradus generate --model book.safetensors --quantize i8 --tokens 1000\n"
      "  gradus generate --model book.safetensors --prompts beginnings.txt --count 4 --json\n"
      "  gradus generate --model book.safetensors --prompt 'It was' --beams 8 --stop .\n"
      "  gradus generate --model book.safetensors --prompt 'In the year' --regex ' ?[0-9]{4}'");
  options->add_to(c);
  options->prompt_given = c->add_option("--prompt", options->prompt, "The text to continue");
  c->add_option("--prompts", options->prompts,
                "A file of texts to continue, one a line, plain or compressed; - for standard input");
  c->add_option("--count", options->count,
                "How many continuations to draw of each prompt, each from random numbers of its own")
      ->check(CLI::Range(1, 1 << 20));
  c->add_option("--batch", options->how.batch,
                "Of several texts, how many are written side by side, so that weights are read once for all")
      ->check(CLI::Range(1, 65536));
  options->tokens_given =
      c->add_option("--tokens", options->how.max_tokens,
                    "The largest number of tokens to draw; 100 when neither this nor --lines is given")
          ->check(CLI::Range(1, 1 << 30))
          ->default_str("");
  options->lines_given =
      c->add_option("--lines", options->lines,
                    "The number of lines to stop after, blank ones not counted; 5 when neither this nor "
                    "--tokens is given")
          ->check(CLI::Range(1, 1 << 20))
          ->default_str("");
  c->add_option("--stop", options->stops,
                "Ends a text before this, when it has been written; may be given several times")
      ->allow_extra_args(false)
      ->default_str("");
  options->beams_given =
      c->add_option("--beams", options->search.beams,
                    "Search for the likeliest texts by following so many at a time, instead of drawing")
          ->check(CLI::Range(1, 65536))
          ->default_str("");
  options->penalty_given =
      c->add_option("--length-penalty", options->search.length_penalty,
                    "Of --beams: texts are ranked by log-probability / length^penalty; 0 favours short ones")
          ->check(zero_or_more());
  const auto of_drawing = [options = options](CLI::Option* option) { options->of_drawing.push_back(option); };
  of_drawing(c->add_option("--temperature", options->how.temperature,
                           "Divides the log-probabilities: below 1 favours likely tokens, above 1 unlikely "
                           "ones; 0 always takes the likeliest; 1 changes nothing")
                 ->check(zero_or_more()));
  of_drawing(
      c->add_option("--top-k", options->how.top_k, "Draw from the k likeliest tokens only; 0: from all")
          ->check(zero_or_more()));
  of_drawing(c->add_option("--top-p", options->how.top_p,
                           "Draw from the fewest likeliest tokens that together reach probability p; above "
                           "0, at most 1; 1: from all")
                 ->check(share_of_one()));
  of_drawing(c->add_option("--min-p", options->how.min_p,
                           "Draw from tokens at least so many times as likely as the likeliest; 0: from all")
                 ->check(CLI::Range(0.0, 1.0)));
  of_drawing(c->add_option("--typical-p", options->how.typical_p,
                           "Draw from the fewest tokens of the most usual surprise that together reach "
                           "probability p; above 0, at most 1; 1: from all")
                 ->check(share_of_one()));
  of_drawing(
      c->add_option("--repetition-penalty", options->how.repetition_penalty,
                    "Multiplies the log-probability of tokens that the text has already: above 1 makes "
                    "them rarer; 1 changes nothing")
          ->check(CLI::PositiveNumber));
  of_drawing(c->add_option("--repetition-window", options->how.repetition_window,
                           "How many of the last tokens the penalty looks at; 0: all")
                 ->check(CLI::Range(0, 1 << 30)));
  of_drawing(
      c->add_option("--seed", options->how.seed, "The same seed gives the same text")->check(whole_number()));
  c->add_option("--regex", options->regex,
                "Write only what this regular expression matches as a whole, behind the prompt");
  c->add_option("--words", options->words, "A file of words, the only ones that may be written");
  c->add_flag("--interactive", options->interactive, "Continue each line of standard input as it comes");
  c->add_flag("--log-probs", options->log_probs,
              "With --json: each token and its log-probability under the model, in nats");
  c->add_flag("--allow-unknown", options->allow_unknown, "Allow <unk> to be drawn");
  add_skip_marks(c, options->skip_marks);
}

void add_next(CLI::App& app) {
  const auto [c, options] =
      subcommand<NextCommand>(app, "next", &NextCommand::run,
                              "Print the likeliest next tokens after a text, each with its probability",
                              "Examples:\n  gradus next --model book.arpa --context 'the king has a'\n"
                              "  gradus next --model book.safetensors --context 'Once upon' --top 0 --json");
  options->add_to(c);
  c->add_option("--context", options->context, "The text before; by default the beginning of a line")
      ->default_str("");
  c->add_option("--top", options->top, "How many tokens; 0: all")->check(CLI::Range(0, 1 << 30));
  add_skip_marks(c, options->skip_marks);
}

}  // namespace gradus::cli
