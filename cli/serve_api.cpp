#include "cli/serve_api.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "models/evaluate.hpp"
#include "tensor/support/suggestion.hpp"
#include "text/decoded_text.hpp"
#include "text/prompt.hpp"
#include "text/tokenizer.hpp"

namespace gradus::cli {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

/// The members of a request, each taken once; what is left in the end is a mistake.
class RequestFields {
 public:
  explicit RequestFields(std::string_view body) {
    try {
      all_ = json::parse(body);
    } catch (const json::exception& error) {
      fail<DataError>("the request is no JSON: {}", error.what());
    }
    if (!all_.is_object()) fail<DataError>("the request is no JSON object, such as {{\"text\": \"...\"}}");
  }

  std::string text(const char* name, bool required) {
    const json* const value = take(name);
    if (value == nullptr && required) fail<ArgumentError>("the request lacks \"{}\", a text", name);
    if (value != nullptr && !value->is_string()) wrong(name, "a text");
    return value == nullptr ? std::string() : value->get<std::string>();
  }
  bool flag(const char* name) {
    const json* const value = take(name);
    if (value != nullptr && !value->is_boolean()) wrong(name, "true or false");
    return value != nullptr && value->get<bool>();
  }
  /// A whole number from `least` to `most`.
  std::int64_t whole(const char* name, std::int64_t usual, std::int64_t least, std::int64_t most) {
    const json* const value = take(name);
    if (value == nullptr) return usual;
    const bool fits = value->is_number_unsigned()
                          ? value->get<std::uint64_t>() <= static_cast<std::uint64_t>(most)
                          : value->is_number_integer();
    if (!fits || value->get<std::int64_t>() < least || value->get<std::int64_t>() > most)
      wrong(name, fmt::format("a whole number from {} to {}", least, most));
    return value->get<std::int64_t>();
  }
  double number(const char* name, double usual, double least, double most) {
    const json* const value = take(name);
    if (value == nullptr) return usual;
    if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most))
      wrong(name, fmt::format("a number from {} to {}", least, most));
    return value->get<double>();
  }
  /// One text or a list of them.
  std::vector<std::string> texts(const char* name) {
    const json* const value = take(name);
    if (value == nullptr) return {};
    if (value->is_string()) return {value->get<std::string>()};
    const bool list =
        value->is_array() && std::ranges::all_of(*value, [](const json& v) { return v.is_string(); });
    if (!list) wrong(name, "a text or a list of texts");
    return value->get<std::vector<std::string>>();
  }
  /// Throws ArgumentError for members that nobody took.
  void done() const {
    for (const auto& [name, value] : all_.items()) {
      if (taken_.contains(name)) continue;
      fail<ArgumentError>("the request has \"{}\", which is not known{}", name,
                          suggestion(name, {taken_.begin(), taken_.end()}));
    }
  }

 private:
  const json* take(const char* name) {
    taken_.insert(name);
    const auto found = all_.find(name);
    return found == all_.end() || found->is_null() ? nullptr : &*found;
  }
  [[noreturn]] void wrong(const char* name, const std::string& wanted) const {
    fail<ArgumentError>("\"{}\" is {}; give {}", name,
                        all_.at(name).dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 60),
                        wanted);
  }

  json all_;
  std::set<std::string> taken_;
};

ServeApi::ServeApi(models::TrainedModel trained, std::string name, const Limits& limits)
    : model_(std::move(trained)),
      name_(std::move(name)),
      limits_(limits),
      queue_(model_.model(), limits.queue) {}

json ServeApi::about() const {
  const Vocabulary& v = model_.vocabulary();
  return {{"model", name_},
          {"kind", model_.kind()},
          {"unit", name_of(v.unit())},
          {"vocabulary", v.size()},
          {"max_tokens", limits_.tokens},
          {"requests",
           {{"POST /score", {{"text", "the end ."}, {"details", false}}},
            {"POST /next", {{"context", "the"}, {"top", 10}}},
            {"POST /generate",
             {{"prompt", "the"},
              {"max_tokens", 100},
              {"temperature", 1.0},
              {"top_k", 0},
              {"top_p", 1.0},
              {"min_p", 0.0},
              {"typical_p", 1.0},
              {"repetition_penalty", 1.0},
              {"repetition_window", 64},
              {"seed", 1},
              {"count", 1},
              {"stop", json::array()},
              {"regex", ""},
              {"allow_unknown", false},
              {"stream", false}}}}}};
}

json ServeApi::score(std::string_view body) {
  RequestFields fields(body);
  const std::string text = fields.text("text", true);
  const bool details = fields.flag("details");
  fields.done();
  const Vocabulary& v = model_.vocabulary();
  const std::vector<std::int32_t> ids = prompt_ids(v, text);
  scoring_.acquire();
  const std::unique_ptr<ServeApi, void (*)(ServeApi*)> release(
      this, [](ServeApi* api) { api->scoring_.release(); });
  const auto until = Clock::now() + limits_.time;
  models::Evaluation sums;
  json tokens = json::array();
  auto state = model_.model().start();
  constexpr std::size_t piece = 512;
  for (std::size_t from = 0; from < ids.size(); from += piece) {
    if (closed_) fail<Error>("the server is being ended");
    if (Clock::now() > until)
      fail<DataError>("the text is too long: {} of its {} tokens were scored in {} s", from, ids.size(),
                      limits_.time.count());
    const auto part = std::span(ids).subspan(from, std::min(piece, ids.size() - from));
    const std::vector<double> scores = models::score(model_.model(), state, part);
    for (std::size_t i = from == 0 ? 1 : 0; i < part.size(); ++i) {  // the first is the context alone
      sums.add(std::span(scores).subspan(i, 1), part.subspan(i, 1), v.unknown());
      if (details) tokens.push_back({{"token", v.symbol(part[i])}, {"log_prob", scores[i]}});
    }
  }
  json out{{"log_prob", sums.log_prob}, {"tokens", sums.tokens}, {"unknown", sums.unknown}};
  out["perplexity"] = sums.tokens > 0 ? json(sums.perplexity()) : json();
  if (details) out["details"] = std::move(tokens);
  return out;
}

json ServeApi::next(std::string_view body) {
  RequestFields fields(body);
  const std::string context = fields.text("context", false);
  const std::int64_t top = fields.whole("top", 10, 1, 1'000'000);
  fields.done();
  scoring_.acquire();
  const std::unique_ptr<ServeApi, void (*)(ServeApi*)> release(
      this, [](ServeApi* api) { api->scoring_.release(); });
  json all = json::array();
  for (const ScoredToken& one : model_.next(context, top))
    all.push_back(
        {{"token", one.token}, {"probability", std::exp(one.log_prob)}, {"log_prob", one.log_prob}});
  return {{"context", context}, {"next", std::move(all)}};
}

models::GenerateOptions ServeApi::options_of(RequestFields& fields, std::vector<std::string>& stops) {
  constexpr std::int64_t most = std::int64_t{1} << 40;
  models::GenerateOptions how;
  how.max_tokens = fields.whole("max_tokens", std::min<std::int64_t>(100, limits_.tokens), 1, limits_.tokens);
  how.temperature = fields.number("temperature", 1, 0, 1e6);
  how.top_k = fields.whole("top_k", 0, 0, most);
  how.top_p = fields.number("top_p", 1, 1e-9, 1);
  how.min_p = fields.number("min_p", 0, 0, 1);
  how.typical_p = fields.number("typical_p", 1, 1e-9, 1);
  how.repetition_penalty = fields.number("repetition_penalty", 1, 1e-6, 1e6);
  how.repetition_window = fields.whole("repetition_window", how.repetition_window, 0, most);
  how.seed = static_cast<std::uint64_t>(fields.whole("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
  how.banned = ids_without_text(model_.trained(), fields.flag("allow_unknown"));
  stops = fields.texts("stop");
  if (std::ranges::find(stops, "") != stops.end()) fail<ArgumentError>("\"stop\" has an empty text");
  const std::string regex = fields.text("regex", false);
  if (!regex.empty())
    how.constraint = constrained(model_.trained(), models::TextAutomaton::of_expression(regex));
  if (!stops.empty()) {
    how.until = [this, stops](std::span<const std::int32_t> text) {
      return ends_with_stop(model_.vocabulary(), text, stops);
    };
  }
  return how;
}

ServeApi::Generation ServeApi::generate(std::string_view body) {
  RequestFields fields(body);
  const std::string prompt = fields.text("prompt", false);
  std::vector<std::string> stops;
  models::GenerateOptions how = options_of(fields, stops);
  const std::int64_t count = fields.whole("count", 1, 1, limits_.texts);
  Generation out{.texts = {}, .streamed = fields.flag("stream")};
  fields.done();
  if (out.streamed && count > 1) fail<ArgumentError>("\"stream\" is of one text, and \"count\" is {}", count);
  const std::vector<std::int32_t> ids = prompt_ids(model_.vocabulary(), prompt);
  for (std::int64_t i = 0; i < count; ++i) {
    how.stream = static_cast<std::uint64_t>(i);
    Stream one;
    one.api_ = this;
    one.stops_ = stops;
    one.constraint_ = how.constraint;
    one.most_ = how.max_tokens;
    one.text_ = queue_.start(ids, how);
    if (one.text_ == nullptr) {
      for (const Stream& begun : out.texts) begun.text_->cancel();
      return {};
    }
    out.texts.push_back(std::move(one));
  }
  return out;
}

void ServeApi::Stream::run(const std::function<bool(std::string_view)>& show,
                           const std::function<bool(json)>& end) {
  const Vocabulary& v = api_->model_.vocabulary();
  const auto until = Clock::now() + api_->limits_.time;
  bool wanted = true, late = false;
  StreamedText shown(v, stops_, [&](std::string_view piece) {
    if (wanted && !piece.empty()) wanted = show(piece);
  });
  std::vector<std::int32_t> tokens;
  for (bool more = true; more && wanted && !late;) {
    const bool ended = text_->ended();
    tokens = text_->wait(ended ? 0 : tokens.size());
    more = !ended && !text_->ended();
    late = Clock::now() > until;
    const bool stopped = !stops_.empty() && ends_with_stop(v, tokens, stops_);
    if (more && !stopped) shown.add(tokens);
  }
  if (!wanted || late) text_->cancel();
  if (!wanted) return;
  tokens = late ? tokens : text_->wait(0);
  const std::string whole = decode(v, tokens), text = without_stop(whole, stops_);
  shown.finish(text);
  if (!wanted) return;
  const char* reason = "end";  // of what may be written
  if (late) {
    reason = "time";
  } else if (text.size() < whole.size()) {
    reason = "stop";
  } else if (std::ssize(tokens) >= most_) {
    reason = "length";
  }
  json out{{"tokens", tokens.size()}, {"finish", reason}};
  if (constraint_) out["complete"] = constraint_->after(tokens)->complete;
  end(std::move(out));
}

void ServeApi::close() {
  closed_ = true;
  queue_.close();
}

}  // namespace gradus::cli
